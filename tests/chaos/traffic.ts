/**
 * People who use a server as people do, all at once: on several devices each, over every node, in
 * dms and groups that they join and leave, by socket and by HTTP. What they do is chosen by a seed;
 * what they ask and are given is written into a history.
 *
 * It needs nothing but the addresses of nodes, so it drives any server that speaks the protocol.
 */
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import { newMessageId } from "../../src/protocol/mod.ts";
import { bodyOf, entryOf } from "../support/history/entry.ts";
import type { History, Operation } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Chance } from "../support/random.ts";
import { waitUntil } from "../support/wait.ts";
import { type Account, Device, type Identity, type ServingNode } from "./device.ts";
import { ask, type WebAnswer } from "./web.ts";

/** What {@link Traffic.start} is told. */
export interface TrafficOptions {
  readonly history: History;
  readonly chance: Chance;
  /** The nodes that are meant to serve now; at the start at least one. */
  readonly nodes: () => readonly ServingNode[];
  /** Standard 10. */
  readonly people?: number;
  /** Standard 2. */
  readonly devicesEach?: number;
  /** Milliseconds between two deeds of a device, on average; standard 250. */
  readonly paceMs?: number;
  /** Standard: every deed. */
  readonly deeds?: Readonly<Partial<Record<Deed, number>>>;
}

/** What a device may do. */
export type Deed =
  | "send"
  | "send_http"
  | "send_again"
  | "send_other_body"
  | "page"
  | "snapshot"
  | "typing"
  | "read"
  | "membership"
  | "hop"
  | "sign_out";

/** How often each deed is done, against the others. */
export const DEEDS: Readonly<Record<Deed, number>> = {
  send: 68,
  send_http: 4,
  send_again: 3,
  send_other_body: 0.7,
  page: 7,
  snapshot: 2,
  typing: 5,
  read: 4,
  membership: 2.5,
  hop: 2,
  sign_out: 0.4,
};

/** Whether somebody is in a conversation, and the seq that says so. */
export interface Membership {
  readonly seq: number;
  readonly inside: boolean;
}

type Members = Map<ConversationId, Map<AccountId, Membership>>;

const PASSWORD = "violet-harbour-93-lantern";
const GROUPS = 5;
const DMS = 6;
/** How often a request over HTTP is repeated while nobody knows what came of it. */
const TRIES = 3;
const STARTING_MS = 30_000;

/** See the head of this file. Disposing closes every socket. */
export class Traffic implements AsyncDisposable {
  readonly devices: readonly Device[];
  readonly conversations: ConversationId[] = [];
  readonly #options: TrafficOptions;
  readonly #groups = new Set<ConversationId>();
  /** Who is in which conversation, as the entries tell, and since which seq that is known. */
  readonly #members: Members;
  readonly #timers = new Map<Device, ReturnType<typeof setTimeout>>();
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;
  #texts = 0;

  private constructor(options: TrafficOptions, devices: readonly Device[], members: Members) {
    this.#options = options;
    this.devices = devices;
    this.#members = members;
  }

  /** Signs people up, connects their devices, opens their conversations, and lets them go on. */
  static async start(options: TrafficOptions): Promise<Traffic> {
    const { history, chance, nodes } = options;
    const members: Members = new Map();
    const signedUp = await Promise.all(
      Array.from({ length: options.people ?? 10 }, (_, i) => signUp(chance.pick(nodes()), i, options.devicesEach ?? 2)),
    );
    const devices = signedUp.flatMap(({ account, identities }) =>
      identities.map(
        (identity) =>
          new Device({
            ...{ history, nodes, account, identity, chance: chance.fork() },
            onEntry: (frame) => noteMembers(members, frame),
            onOutside: (conversation) => {
              const known = members.get(conversation)?.get(account.id);
              members.get(conversation)?.set(account.id, { seq: known?.seq ?? 0, inside: false });
            },
          }),
      ),
    );
    const traffic = new Traffic(options, devices, members);
    // Everybody is connected before there is anything, so that every device is owed the whole of every log.
    await waitUntil("every device is connected", () => devices.every(({ node }) => node !== null), STARTING_MS);
    await traffic.#openConversations(signedUp.map(({ account }) => account));
    for (const device of devices) traffic.#schedule(device);
    return traffic;
  }

  /** Whether an account is in a conversation, and since which seq that is known; `null`: never heard of. */
  membership(conversation: ConversationId, account: AccountId): Membership | null {
    return this.#members.get(conversation)?.get(account) ?? null;
  }

  /** Sends the same message three times at once: over the device's socket and by HTTP on two nodes. */
  sendThrice(device: Device, text = this.#text()): void {
    const { chance, nodes } = this.#options;
    const conversation = this.#conversationOf(device);
    if (conversation === null) return;
    const letter = { id: newMessageId(), conversation, text, state: "waiting" } as const;
    device.sendAgain(letter, null);
    const serving = nodes();
    const first = chance.whole(0, Math.max(1, serving.length));
    for (const node of [serving[first], serving[(first + 1) % serving.length]]) {
      if (node !== undefined) this.#run(this.#post(device, letter, node));
    }
  }

  /** Sends something large to a conversation of somebody, from somebody else. */
  sendLarge(to: AccountId, bytes: number): void {
    const { chance } = this.#options;
    const shared = this.conversations.filter((id) => this.membership(id, to)?.inside === true);
    if (shared.length === 0) return;
    const conversation = chance.pick(shared);
    const senders = this.devices.filter(
      ({ account, node }) =>
        account.id !== to && node !== null && this.membership(conversation, account.id)?.inside === true,
    );
    if (senders.length > 0) chance.pick(senders).send(conversation, this.#text(bytes));
  }

  /** Nobody begins anything any more; resolves once everything is answered for good, or after the deadline. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all(this.#underWay);
    const deadline = performance.now() + deadlineMs;
    const settled = () => this.devices.every((device) => device.settled && device.node !== null);
    while (!settled() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    return settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
    await Promise.all(this.devices.map((device) => device[Symbol.asyncDispose]()));
  }

  async #openConversations(accounts: readonly Account[]): Promise<void> {
    const { chance } = this.#options;
    const wanted = [
      ...Array.from({ length: Math.min(GROUPS, accounts.length) }, (_, i) => ({
        type: "group",
        // Rotated, so that everybody is in some and nobody in all.
        people: [...accounts, ...accounts].slice(i * 2, i * 2 + Math.ceil(accounts.length * chance.between(0.5, 0.9))),
      })),
      ...Array.from({ length: Math.min(DMS, accounts.length - 1) }, (_, i) => ({
        type: "dm",
        people: [accounts[i], accounts[i + 1]].filter((account) => account !== undefined),
      })),
    ];
    for (const { type, people } of wanted) {
      const creator = this.devices.find(({ account }) => account === people[0]);
      if (creator === undefined) continue;
      const others = [...new Set(people.slice(1).map(({ id }) => id))].filter((id) => id !== creator.account.id);
      const { history, nodes } = this.#options;
      const node = chance.pick(nodes());
      const asked = { account: creator.account.id, session: creator.identity.session, node: node.name };
      const operation = history.begin("membership", {
        ...{ ...asked, change: "create", conversation: null, accounts: [creator.account.id, ...others] },
      });
      const body = {
        conversation_type: type,
        participant_ids: others,
        ...(type === "group" ? { name: "A group" } : {}),
      };
      const { token } = creator.identity;
      const answer = await ask({ url: node.url, method: "POST", path: "/api/conversations", body, token });
      settle(operation, answer, (json) => ({ conversation: json.id }));
      if (answer.type !== "ok") throw new Error(`Open a conversation: ${JSON.stringify(answer)}`);
      this.conversations.push(answer.json.id);
      if (type === "group") this.#groups.add(answer.json.id);
    }
  }

  #schedule(device: Device): void {
    const { chance, paceMs = 250 } = this.#options;
    const timer = setTimeout(
      () => {
        if (this.#stopped) return;
        this.#run(this.#act(device));
        this.#schedule(device);
      },
      chance.between(0, 2 * paceMs),
    );
    this.#timers.set(device, timer);
  }

  /** Owns what goes on, so that `stop` can wait for it. */
  #run(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.finally(() => this.#underWay.delete(work));
  }

  async #act(device: Device): Promise<void> {
    const { chance, nodes } = this.#options;
    const deed = this.#deed();
    const conversation = this.#conversationOf(device);
    const serving = nodes();
    if (conversation === null || serving.length === 0) return;
    const node = chance.pick(serving);
    switch (deed) {
      case "send":
        for (let i = chance.whole(1, 4); i > 0; i--) device.send(conversation, this.#text());
        return;
      case "send_http":
        return this.#post(device, { id: newMessageId(), conversation, text: this.#text() }, node);
      case "send_again":
      case "send_other_body": {
        const { stored } = device.letters;
        if (stored.length === 0) return;
        return device.sendAgain(chance.pick(stored), deed === "send_again" ? null : this.#text());
      }
      case "page":
        return this.#page(device, conversation, node);
      case "snapshot":
        return this.#snapshot(device, node);
      case "typing":
        return device.type(conversation);
      case "read":
        return device.read(conversation);
      case "membership":
        return this.#change(device, node);
      case "hop":
        return device.hop();
      case "sign_out":
        return device.signOut(node);
      default:
        deed satisfies never;
    }
  }

  #deed(): Deed {
    const { chance, deeds = DEEDS } = this.#options;
    const weights = Object.entries(deeds) as [Deed, number][];
    let at = chance.between(
      0,
      weights.reduce((sum, [, weight]) => sum + weight, 0),
    );
    for (const [deed, weight] of weights) {
      at -= weight;
      if (at < 0) return deed;
    }
    return "send";
  }

  /** One that the device's account is in, as far as is known; now and then one that it is not in. */
  #conversationOf({ account }: Device): ConversationId | null {
    const { chance } = this.#options;
    const own = this.conversations.filter((id) => this.membership(id, account.id)?.inside === true);
    if (own.length === 0 || chance.happens(0.01)) return chance.pick(this.conversations);
    return chance.pick(own);
  }

  /** A text that nobody wrote before; now and then one that is too large for the bus. */
  #text(bytes?: number): string {
    const { chance } = this.#options;
    const length = bytes ?? (chance.happens(0.01) ? chance.whole(20_000, 40_000) : chance.whole(10, 400));
    return `${++this.#texts} `.padEnd(length, "lorem ipsum ");
  }

  /** Sends over HTTP, and again on other nodes while nobody knows what came of it. */
  async #post(
    device: Device,
    message: { readonly id: Frame; readonly conversation: ConversationId; readonly text: string },
    first: ServingNode,
  ): Promise<void> {
    const { history, chance, nodes } = this.#options;
    const content = { encrypted_content: message.text };
    let node = first;
    for (let tries = 0; tries < TRIES; tries++) {
      const { session, token } = device.identity;
      const operation = history.send({
        ...{ account: device.account.id, session, node: node.name, device: device.id, via: null, ordered: false },
        ...{ conversation: message.conversation, id: message.id, body: bodyOf(content) },
      });
      const path = `/api/conversations/${message.conversation}/messages`;
      const answer = await ask({ url: node.url, method: "POST", path, token, body: { id: message.id, ...content } });
      settle(operation, answer, ({ seq, created_at }) => ({ seq, createdAt: Date.parse(created_at), inOrder: false }));
      const serving = nodes();
      if (answer.type !== "unknown" || this.#stopped || serving.length === 0) return;
      node = chance.pick(serving);
    }
  }

  async #page(device: Device, conversation: ConversationId, node: ServingNode): Promise<void> {
    const { history, chance } = this.#options;
    const direction = chance.pick(["after", "before", "newest"] as const);
    const known = device.cursors.get(conversation) ?? 0;
    const seq = direction === "newest" ? null : direction === "after" ? chance.whole(0, known + 1) : Math.max(1, known);
    const query = seq === null ? "" : `&${direction}_seq=${seq}`;
    const { session, token } = device.identity;
    const operation = history.begin("page", {
      ...{ account: device.account.id, session, node: node.name, conversation, direction, seq },
    });
    const path = `/api/conversations/${conversation}/messages?limit=${chance.whole(1, 60)}${query}`;
    settle(operation, await ask({ url: node.url, method: "GET", path, token }), (json) => ({
      entries: json.messages.map(entryOf),
      next: json.next,
      previous: json.previous,
    }));
  }

  async #snapshot(device: Device, node: ServingNode): Promise<void> {
    const { history } = this.#options;
    const { session, token } = device.identity;
    const operation = history.begin("snapshot", { account: device.account.id, session, node: node.name });
    const answer = await ask({ url: node.url, method: "GET", path: "/api/conversations?limit=200", token });
    settle(operation, answer, ({ conversations }) =>
      conversations.map((summary: Frame) => ({
        conversation: summary.id,
        lastSeq: summary.last_seq,
        participants: summary.participant_ids,
        messages: summary.message_count,
      })),
    );
  }

  /** Adds somebody who is not in a group, removes somebody who is, or leaves. */
  async #change(device: Device, node: ServingNode): Promise<void> {
    const { history, chance } = this.#options;
    const own = [...this.#groups].filter((id) => this.membership(id, device.account.id)?.inside === true);
    if (own.length === 0) return;
    const conversation = chance.pick(own);
    const everybody = [...new Set(this.devices.map(({ account }) => account.id))];
    const inside = everybody.filter((account) => this.membership(conversation, account)?.inside === true);
    const outside = everybody.filter((account) => !inside.includes(account));
    const add = outside.length > 0 && (inside.length < 3 || chance.happens(outside.length / everybody.length + 0.2));
    if (!add && inside.length < 3) return;
    const account = add ? chance.pick(outside) : chance.happens(0.7) ? device.account.id : chance.pick(inside);
    const { session, token } = device.identity;
    const operation = history.begin("membership", {
      ...{ account: device.account.id, session, node: node.name, change: add ? "add" : "remove", conversation },
      accounts: [account],
    });
    const path = `/api/conversations/${conversation}/participants`;
    const answer = add
      ? await ask({ url: node.url, method: "POST", path, token, body: { user_id: account } })
      : await ask({ url: node.url, method: "DELETE", path: `${path}/${account}`, token });
    settle(operation, answer, () => ({ conversation }));
  }
}

function noteMembers(members: Members, frame: Frame): void {
  if (frame.type !== "membership") return;
  let known = members.get(frame.conversation_id);
  if (known === undefined) {
    known = new Map();
    members.set(frame.conversation_id, known);
  }
  const inside = frame.change === "created" || frame.change === "joined";
  for (const account of frame.user_ids) {
    if ((known.get(account)?.seq ?? -1) < frame.seq) known.set(account, { seq: frame.seq, inside });
  }
}

function settle<Kind extends Parameters<History["begin"]>[0]>(
  operation: Operation<Kind>,
  answer: WebAnswer,
  // biome-ignore lint/suspicious/noExplicitAny: the body as it came.
  read: (json: any) => Parameters<Operation<Kind>["ok"]>[0],
): void {
  if (answer.type === "ok") operation.ok(read(answer.json));
  else if (answer.type === "refused") operation.refused(answer.code, answer.retryable);
  else operation.unknown(answer.why);
}

/** Signs somebody up, and in on every further device. */
async function signUp(
  node: ServingNode,
  index: number,
  devices: number,
): Promise<{ account: Account; identities: Identity[] }> {
  const name = `person_${index}_${crypto.randomUUID().slice(0, 8)}`;
  const identities: Identity[] = [];
  let id = "" as AccountId;
  for (let i = 0; i < devices; i++) {
    const path = i === 0 ? "/api/auth/signup" : "/api/auth/signin";
    const answer = await ask({ url: node.url, method: "POST", path, body: { username: name, password: PASSWORD } });
    if (answer.type !== "ok") throw new Error(`Sign up: ${JSON.stringify(answer)}`);
    const { user, device_id: device, session_id: session, access_token: token } = answer.json;
    id = user?.id ?? id;
    identities.push({ device, session, token });
  }
  return { account: { id, name, password: PASSWORD }, identities };
}
