/**
 * People who use a server as people do, all at once: on several devices each, over every node, in
 * dms and groups that they join and leave, by socket and by HTTP. What they do is chosen by a seed;
 * what they ask and are given is written into a history.
 *
 * It needs nothing but the addresses of nodes, so it drives any server that speaks the protocol.
 */
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import type { History } from "../support/history/history.ts";
import type { Chance } from "../support/random.ts";
import { waitUntil } from "../support/wait.ts";
import { DEEDS, type Deed } from "./deeds.ts";
import { type Account, Device, type ServingNode } from "./device.ts";
import { Members } from "./members.ts";
import { RelayPeople } from "./relay.ts";
import {
  type Asking,
  changeBlock,
  changeMembers,
  changeSettings,
  deleteMessage,
  editMessage,
  newPost,
  openConversation,
  type Posted,
  post,
  reactTo,
  readList,
  readPage,
  type Said,
  signUp,
} from "./requests.ts";

/** What {@link Traffic.start} is told. */
export interface TrafficOptions {
  readonly history: History;
  readonly chance: Chance;
  /** The nodes that are meant to serve now; at the start at least one. */
  readonly nodes: () => readonly ServingNode[];
  /** With sockets; standard 10. */
  readonly people?: number;
  /** Standard 2. */
  readonly devicesEach?: number;
  /** Milliseconds between two deeds of a device, on average; standard 250. */
  readonly paceMs?: number;
  /** Standard: every deed. */
  readonly deeds?: Readonly<Partial<Record<Deed, number>>>;
  /** Whether people are there who have the relay's contract alone, and somebody who shares nothing; standard true. */
  readonly others?: boolean;
}

const PACE_MS = 250;
const GROUPS = 5;
const DMS = 6;
/** How often a request over HTTP is repeated while nobody knows what came of it. */
const TRIES = 3;
const STARTING_MS = 30_000;
const MOST_SAID = 100;
const EMOJIS = ["👍", "🎉", "❤️"] as const;
/** Members that a group keeps. */
const FEWEST = 4;
/** Of the changes of members those that add somebody, and of the others those that leave by themselves. */
const ADDED = 0.6;
const LEAVING = 0.7;

/** See the head of this file. Disposing closes every socket. */
export class Traffic implements AsyncDisposable {
  readonly devices: readonly Device[];
  readonly conversations: ConversationId[] = [];
  readonly members: Members;
  readonly #options: TrafficOptions;
  readonly #groups = new Set<ConversationId>();
  /** Who blocks whom, as was asked for last. */
  readonly #blocks = new Set<string>();
  /** What people have set that others are not told, as was asked for last. */
  readonly #kept = new Set<string>();
  readonly #relay: RelayPeople | null;
  /** Somebody who shares nothing with anybody. */
  readonly #loner: Device | null;
  /** Messages that were seen lately, by whomever. */
  readonly #said: Said[];
  readonly #timers = new Map<Device, ReturnType<typeof setTimeout>>();
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;
  #texts = 0;

  private constructor(
    options: TrafficOptions,
    devices: readonly Device[],
    members: Members,
    said: Said[],
    others: { readonly relay: RelayPeople | null; readonly loner: Device | null },
  ) {
    this.#options = options;
    this.#said = said;
    this.#relay = others.relay;
    this.#loner = others.loner;
    this.devices = devices;
    this.members = members;
  }

  /** Signs people up, connects their devices, opens their conversations, and lets them go on. */
  static async start(options: TrafficOptions): Promise<Traffic> {
    const { history, chance, nodes } = options;
    const members = new Members();
    const said: Said[] = [];
    const signedUp = await Promise.all(
      Array.from({ length: options.people ?? 10 }, (_, i) => {
        const name = `person_${i}_${crypto.randomUUID().slice(0, 8)}`;
        return signUp(chance.pick(nodes()), name, options.devicesEach ?? 2);
      }),
    );
    const devices = signedUp.flatMap(({ account, identities }) =>
      identities.map(
        (identity) =>
          new Device({
            ...{ history, nodes, account, identity, chance: chance.fork() },
            onEntry: (frame) => {
              members.entry(frame);
              if (frame.type !== "message") return;
              said.push({ conversation: frame.conversation_id, id: frame.id, sender: frame.sender_id });
              if (said.length > MOST_SAID) said.shift();
            },
            onOutside: (conversation) => members.outside(conversation, account.id),
          }),
      ),
    );
    const { others = true, paceMs = PACE_MS } = options;
    const relay = others ? await RelayPeople.signUp({ history, chance: chance.fork(), nodes, paceMs }) : null;
    const loner = others ? await Traffic.#makeLoner(options) : null;
    const traffic = new Traffic(options, devices, members, said, { relay, loner });
    // A new device is owed what comes after its first list [RES-6]: so all have had theirs before there is anything.
    await waitUntil("every device has caught up", () => devices.every(({ live }) => live), STARTING_MS);
    await traffic.#openConversations(signedUp.map(({ account }) => account));
    for (const device of devices) traffic.#schedule(device);
    relay?.begin();
    return traffic;
  }

  static async #makeLoner({ history, nodes, chance }: TrafficOptions): Promise<Device> {
    const name = `loner_${crypto.randomUUID().slice(0, 8)}`;
    const { account, identities } = await signUp(chance.pick(nodes()), name, 1);
    const [identity] = identities;
    if (identity === undefined) throw new Error("Sign in on one device");
    const nothing = () => {};
    return new Device({
      ...{ history, nodes, account, identity, chance: chance.fork(), onEntry: nothing, onOutside: nothing },
    });
  }

  /** Sends the same message three times at once: over the device's socket and by HTTP on two nodes. */
  sendThrice(device: Device, text = this.#text()): void {
    const { chance, nodes } = this.#options;
    const conversation = this.#conversationOf(device);
    if (conversation === null) return;
    const message = newPost(conversation, text);
    device.sendAgain(message, null);
    const serving = nodes();
    const first = chance.whole(0, Math.max(1, serving.length));
    for (const node of [serving[first], serving[(first + 1) % serving.length]]) {
      if (node !== undefined) this.#run(this.#post(this.#asking(device, node), message));
    }
  }

  /** Has somebody block somebody with whom they share a dm, or end that; a device that is in none does nothing. */
  async changeBlock(device: Device, node: ServingNode): Promise<void> {
    await this.#block(this.#asking(device, node));
  }

  /** Has a device edit, react to and delete messages of its own, and read its conversations before and after that. */
  async changeAndRead(device: Device, node: ServingNode): Promise<void> {
    const asking = this.#asking(device, node);
    const own = this.#said.filter(({ sender }) => sender === device.account.id).slice(-4);
    for (const deed of ["read", "edit", "react", "delete"] as const) {
      for (const said of own) {
        if (deed === "edit") await editMessage(asking, said, this.#text());
        else if (deed === "react") await reactTo(asking, said, { emoji: "👍", what: "react" });
        else if (deed === "delete") await deleteMessage(asking, said);
        const { conversation } = said;
        await readPage(asking, { conversation, direction: "newest", seq: null }, 100);
      }
    }
  }

  /** Has a device turn its person's read marks off or on, or hide them or show them. */
  async changePrivacy(device: Device, node: ServingNode, what: "marks" | "presence"): Promise<void> {
    const key = `${device.account.id} ${what}`;
    const off = !this.#kept.has(key);
    if (off) this.#kept.add(key);
    else this.#kept.delete(key);
    const settings = what === "marks" ? { readReceipts: !off } : { hidden: off };
    await changeSettings(this.#asking(device, node), settings);
  }

  /** The conversations that an account is in, as far as is known. */
  conversationsOf({ id }: Account): readonly ConversationId[] {
    return this.conversations.filter((conversation) => this.members.inside(conversation, id));
  }

  /** Sends something large to a conversation of somebody, from somebody else. */
  sendLarge(to: AccountId, bytes: number): void {
    const { chance } = this.#options;
    const shared = this.conversations.filter((id) => this.members.inside(id, to));
    if (shared.length === 0) return;
    const conversation = chance.pick(shared);
    const senders = this.devices.filter(
      ({ account, node }) => account.id !== to && node !== null && this.members.inside(conversation, account.id),
    );
    if (senders.length > 0) chance.pick(senders).send(conversation, this.#text(bytes));
  }

  /** Nobody begins anything any more; resolves once everything is answered for good, or after the deadline. */
  async stop(deadlineMs: number): Promise<boolean> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    await Promise.all([...this.#underWay, this.#relay?.stop()]);
    const deadline = performance.now() + deadlineMs;
    const settled = () => this.devices.every((device) => device.settled && device.node !== null);
    while (!settled() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    return settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(0);
    await Promise.all([...this.devices, this.#loner].map((device) => device?.[Symbol.asyncDispose]()));
  }

  async #openConversations(accounts: readonly Account[]): Promise<void> {
    const { chance } = this.#options;
    const wanted = [
      ...Array.from({ length: Math.min(GROUPS, accounts.length) }, (_, i) => ({
        type: "group" as const,
        // Rotated, so that everybody is in some and nobody in all.
        people: [...accounts, ...accounts].slice(i * 2, i * 2 + Math.ceil(accounts.length * chance.between(0.5, 0.9))),
      })),
      ...Array.from({ length: Math.min(DMS, accounts.length - 1) }, (_, i) => ({
        type: "dm" as const,
        people: [accounts[i], accounts[i + 1]].filter((account) => account !== undefined),
      })),
    ];
    for (const { type, people } of wanted) {
      const creator = this.devices.find(({ account }) => account === people[0]);
      if (creator === undefined) continue;
      const others = new Set(people.map(({ id }) => id).filter((id) => id !== creator.account.id));
      const id = await openConversation(this.#asking(creator, chance.pick(this.#options.nodes())), type, [...others]);
      this.conversations.push(id);
      if (type === "group") this.#groups.add(id);
    }
  }

  #asking(device: Device, node: ServingNode): Asking {
    return { history: this.#options.history, device, node };
  }

  #schedule(device: Device): void {
    const { chance, paceMs = PACE_MS } = this.#options;
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
    const asking = this.#asking(device, chance.pick(serving));
    switch (deed) {
      case "send":
        for (let i = chance.whole(1, 4); i > 0; i--) device.send(conversation, this.#text());
        return;
      case "send_http":
        return this.#post(asking, newPost(conversation, this.#text()));
      case "send_again":
      case "send_other_body": {
        const { stored } = device.letters;
        if (stored.length === 0) return;
        return device.sendAgain(chance.pick(stored), deed === "send_again" ? null : this.#text());
      }
      case "page":
        return this.#page(asking, conversation, device.cursors.get(conversation) ?? 0);
      case "snapshot":
        return void (await readList(asking));
      case "typing":
        return device.type(conversation);
      case "read":
        return device.read(conversation);
      case "membership":
        return this.#change(asking);
      case "block":
        return this.#block(asking);
      case "edit":
      case "delete":
      case "react":
        return this.#changeMessage(asking, deed);
      case "privacy":
        return this.changePrivacy(device, asking.node, chance.pick(["marks", "presence"] as const));
      case "presence":
        return device.presence(chance.pick(["online", "away"] as const));
      case "hop":
        return device.hop();
      case "sign_out":
        return device.signOut(asking.node);
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
    const own = this.conversations.filter((id) => this.members.inside(id, account.id));
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
  async #post(first: Asking, message: Posted): Promise<void> {
    const { chance, nodes } = this.#options;
    let asking = first;
    for (let tries = 0; tries < TRIES && !(await post(asking, message)); tries++) {
      const serving = nodes();
      if (this.#stopped || serving.length === 0) return;
      asking = { ...asking, node: chance.pick(serving) };
    }
  }

  async #page(asking: Asking, conversation: ConversationId, known: number): Promise<void> {
    const { chance } = this.#options;
    const direction = chance.pick(["after", "before", "newest"] as const);
    const seq = { newest: null, after: chance.whole(0, known + 1), before: Math.max(1, known) }[direction];
    await readPage(asking, { conversation, direction, seq }, chance.whole(1, 60));
  }

  /** Edits or deletes something of one's own, now and then of somebody else; reacts to whatever it is. */
  async #changeMessage(asking: Asking, deed: "edit" | "delete" | "react"): Promise<void> {
    const { chance } = this.#options;
    const { id: self } = asking.device.account;
    const any = deed === "react" || chance.happens(0.05);
    const choice = this.#said.filter(
      ({ conversation, sender }) => (any || sender === self) && this.members.inside(conversation, self),
    );
    if (choice.length === 0) return;
    const said = chance.pick(choice);
    if (deed === "edit") return editMessage(asking, said, this.#text());
    if (deed === "delete") return deleteMessage(asking, said);
    await reactTo(asking, said, { emoji: chance.pick(EMOJIS), what: chance.happens(0.7) ? "react" : "unreact" });
  }

  async #block(asking: Asking): Promise<void> {
    const { chance } = this.#options;
    const self = asking.device.account.id;
    const dms = this.conversations.filter((id) => !this.#groups.has(id) && this.members.inside(id, self));
    const others = [...new Set(this.devices.map(({ account }) => account.id))].filter(
      (account) => account !== self && dms.some((id) => this.members.inside(id, account)),
    );
    if (others.length === 0) return;
    const whom = chance.pick(others);
    const pair = `${self} ${whom}`;
    const change = this.#blocks.has(pair) ? "unblock" : "block";
    if (change === "block") this.#blocks.add(pair);
    else this.#blocks.delete(pair);
    await changeBlock(asking, { change, whom });
  }

  /** Adds somebody who is not in a group, removes somebody who is, or leaves. */
  async #change(asking: Asking): Promise<void> {
    const { chance } = this.#options;
    const self = asking.device.account.id;
    const own = [...this.#groups].filter((id) => this.members.inside(id, self));
    if (own.length === 0) return;
    const conversation = chance.pick(own);
    const everybody = [...new Set(this.devices.map(({ account }) => account.id))];
    const inside = everybody.filter((account) => this.members.inside(conversation, account));
    const outside = everybody.filter((account) => !inside.includes(account));
    const add = outside.length > 0 && (inside.length <= FEWEST || chance.happens(ADDED));
    if (add) return changeMembers(asking, { change: "add", conversation, account: chance.pick(outside) });
    if (inside.length <= FEWEST) return;
    const account = chance.happens(LEAVING) ? self : chance.pick(inside);
    await changeMembers(asking, { change: "remove", conversation, account });
  }
}
