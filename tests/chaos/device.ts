/**
 * One device on the wire. It keeps a socket open to whichever node serves, writes down everything
 * that comes and goes, acknowledges, and repeats what was not answered, on another node as well.
 * It speaks the protocol by itself, and not through the SDK, so that raw repeats and the raw order
 * are seen.
 *
 * - Nothing waits for ever: a silent socket is cut, and a send that is not answered is `unknown`.
 * - What it was shown it keeps; what it acknowledges it was shown on that same socket.
 */
import type { AccountId, ConversationId, DeviceId, SessionId } from "../../src/protocol/mod.ts";
import { bodyOf } from "../support/history/entry.ts";
import type { Closed, History, NodeName } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Chance } from "../support/random.ts";
import { waitUntil } from "../support/wait.ts";
import { type Letter, Letters } from "./letters.ts";
import { Link, type Socket } from "./link.ts";
import { ask } from "./web.ts";

/** A node that can be asked. */
export interface ServingNode {
  readonly name: NodeName;
  readonly url: string;
}

/** Somebody with a name and a password. */
export interface Account {
  readonly id: AccountId;
  readonly name: string;
  readonly password: string;
}

/** Who the device is at the moment; a sign-in changes session and token. */
export interface Identity {
  readonly device: DeviceId;
  readonly session: SessionId;
  readonly token: string;
}

/** What a {@link Device} is made of. */
export interface DeviceOptions {
  readonly history: History;
  readonly chance: Chance;
  /** The nodes that are meant to serve now. */
  readonly nodes: () => readonly ServingNode[];
  readonly account: Account;
  readonly identity: Identity;
  /** Told of every entry that comes. */
  readonly onEntry: (frame: Frame) => void;
  /** A send was refused because the account is not in the conversation. */
  readonly onOutside: (conversation: ConversationId) => void;
}

const OPEN_MS = 3_000;
/** A send that is not answered by then is unknown, and so is its socket. */
const ANSWER_MS = 8_000;
const SILENT_MS = 3_000;
const TICK_MS = 100;
const PING_TICKS = 10;
const SIGNED_OUT_MS = 13_000;
const STOP_MS = 20_000;

/** See the head of this file. */
export class Device implements AsyncDisposable {
  readonly account: Account;
  /** The highest seq that it was shown, by conversation. */
  readonly cursors = new Map<ConversationId, number>();
  readonly letters = new Letters();
  /** Entries that came although it had them. */
  repeats = 0;
  /** What it is told instead of a node's address, and how long it bears silence there (ms). */
  detour: { readonly node: ServingNode; readonly silentMs: number } | null = null;
  readonly #options: DeviceOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stays: Promise<void>;
  readonly #stopping = Promise.withResolvers<void>();
  #identity: Identity;
  #link: Link | null = null;
  #ended = false;
  /** The session may have ended: where a socket is refused, it signs in again. */
  #doubtful = false;
  #hurry = false;
  #ticks: number;
  /** Ticks between two acknowledgements; another after each connection. */
  #acknowledgeTicks = 2;

  constructor(options: DeviceOptions) {
    this.#options = options;
    this.account = options.account;
    this.#identity = options.identity;
    this.#ticks = options.chance.whole(0, PING_TICKS);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#stays = this.#stay();
  }

  /** Its name for good. */
  get id(): DeviceId {
    return this.#identity.device;
  }

  /** Its session and token now. */
  get identity(): Identity {
    return this.#identity;
  }

  /** The node that it is connected to, if it is. */
  get node(): NodeName | null {
    return this.#link?.welcomed === true ? this.#link.node : null;
  }

  /** Whether its socket was told that it has everything. */
  get live(): boolean {
    return this.#link?.live === true;
  }

  /** Writes a message, and sends it in its turn; false where too many wait. */
  send(conversation: ConversationId, text: string): boolean {
    const letter = this.letters.write(conversation, text);
    this.#flush();
    return letter !== null;
  }

  /** Sends a message once more that was answered, or its id with another text; the answer is written down. */
  sendAgain({ id, conversation, text }: Omit<Letter, "state">, other: string | null): void {
    if (this.#link?.welcomed === true) this.#attempt(this.#link, { id, conversation, text: other ?? text }, null);
  }

  /** Acknowledges what was never sent, where there is a socket; that is to be refused. */
  acknowledgeAhead(conversation: ConversationId, by: number): void {
    const ahead = (this.cursors.get(conversation) ?? 0) + by;
    if (this.#link?.welcomed === true) this.#link.acknowledge(conversation, ahead);
  }

  /** Begins to type, where there is a socket. */
  type(conversation: ConversationId): void {
    if (this.#link?.welcomed === true) this.#link.type(conversation);
  }

  /** Its person reads what it was shown, in a part of all times not to the end; where there is a socket. */
  read(conversation: ConversationId): void {
    const { chance } = this.#options;
    const seq = this.cursors.get(conversation);
    if (this.#link?.welcomed !== true || seq === undefined) return;
    this.#link.read(conversation, Math.max(1, chance.happens(0.6) ? seq : seq - chance.whole(0, 20)));
  }

  /** Its person is at it, or away from it; where there is a socket. */
  presence(status: "online" | "away"): void {
    if (this.#link?.welcomed === true) this.#link.presence(status);
  }

  /**
   * Acknowledges all that it was shown and reads some of it; resolves once the server has taken that, with
   * the highest seqs of its socket. Rejects where it does not answer.
   */
  async conclude(): Promise<Pick<Link, "acknowledged" | "marked">> {
    const { chance, history } = this.#options;
    const link = this.#link;
    if (link?.live !== true) throw new Error("Connect the device first");
    for (const conversation of this.cursors.keys()) if (chance.happens(0.5)) this.read(conversation);
    link.acknowledgeShown();
    const since = history.tick();
    link.ping(history.tick());
    await waitUntil("the device has said where it stands", () => link.settledSince > since);
    return link;
  }

  /** Goes to another node, in order. */
  hop(): void {
    if (this.#link !== null) this.#leave(this.#link, 1000, "client");
  }

  /** Loses its socket without a word; `hurry`: it comes back at once. */
  cut(hurry: boolean): void {
    this.#hurry = hurry;
    if (this.#link !== null) this.#leave(this.#link, 1006, "cut");
  }

  /** Signs out at a node; its sockets must end, and then it signs in again. */
  async signOut(node: ServingNode): Promise<void> {
    const { history } = this.#options;
    const { session, token } = this.#identity;
    const asked = { account: this.account.id, session, node: node.name };
    const operation = history.begin("sign_out", { ...asked, sessions: [session] });
    this.#doubtful = true;
    const link = this.#link;
    const answer = await ask({ url: node.url, method: "POST", path: "/api/auth/signout", token, body: {} });
    if (answer.type === "unknown") return operation.unknown(answer.why);
    if (answer.type === "refused") return operation.refused(answer.code, answer.retryable);
    operation.ok(null);
    if (link === null) return;
    // The server ends the socket; whether it was in time is for the checker to say.
    const late = setTimeout(() => this.#leave(link, 1006, "cut"), SIGNED_OUT_MS);
    await link.over;
    clearTimeout(late);
  }

  /** Whether everything that it wrote was answered for good. */
  get settled(): boolean {
    return this.letters.size === 0 && (this.#link?.attempts.size ?? 0) === 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#stopping.resolve();
    clearInterval(this.#timer);
    if (this.#link !== null) this.#leave(this.#link, 1000, "client");
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, STOP_MS);
    await Promise.race([this.#stays, late.promise]);
    clearTimeout(timer);
  }

  async #stay(): Promise<void> {
    const { chance } = this.#options;
    while (!this.#ended) {
      const link = await this.#open();
      if (link !== null) await link.over;
      else if (this.#doubtful) await this.#signIn();
      const hurry = this.#hurry && link !== null;
      this.#hurry = false;
      if (!hurry) await this.#pause(chance.between(20, 250));
    }
  }

  async #open(): Promise<Link | null> {
    const { history, chance, nodes, account } = this.#options;
    const serving = nodes();
    if (serving.length === 0) return null;
    const node = this.detour?.node ?? chance.pick(serving);
    const { device, session, token } = this.#identity;
    const headers = { authorization: `Bearer ${token}` };
    const socket = new WebSocket(`${node.url.replace("http", "ws")}/ws`, { headers } as unknown as string[]) as Socket;
    const opened = Promise.withResolvers<Link | null>();
    const late = setTimeout(() => {
      socket.terminate();
      opened.resolve(null);
    }, OPEN_MS);
    socket.onopen = () => {
      const connection = history.connection({ account: account.id, session, node: node.name, device });
      const link = new Link(socket, connection);
      this.#link = link;
      this.#acknowledgeTicks = chance.pick([1, 2, 5, 20]);
      socket.onmessage = (event) => this.#receive(link, JSON.parse(String(event.data)));
      if (chance.happens(0.5)) link.resume(this.cursors);
      opened.resolve(link);
    };
    socket.onerror = () => opened.resolve(null);
    socket.onclose = ({ code }) => {
      opened.resolve(null);
      const link = this.#link;
      if (link?.socket !== socket) return;
      if (code === 4410 || code === 4401) this.#doubtful = true;
      this.#leave(link, code, code === 1006 ? "cut" : "server");
    };
    const link = await opened.promise;
    clearTimeout(late);
    if (this.#ended && link !== null) this.#leave(link, 1000, "client");
    return link;
  }

  #receive(link: Link, frame: Frame): void {
    if (this.#link !== link) return; // what comes after it was left is as good as lost
    link.heardAt = performance.now();
    switch (frame.type) {
      case "welcome":
        link.welcomed = true;
        return this.#flush();
      case "receipt":
        return this.#receipt(link, frame);
      case "error":
        return this.#refused(link, frame);
      case "pong":
        return link.pong(frame);
      case "message":
      case "edit":
      case "deletion":
      case "reaction":
      case "membership":
      case "notice":
      case "tombstone":
        link.connection.frame(frame);
        this.#options.onEntry(frame);
        return this.#stored(link, frame.conversation_id, frame.seq);
      default:
        if (frame.type === "caught_up") link.live = true;
        link.connection.frame(frame);
    }
  }

  #receipt(link: Link, frame: Frame): void {
    const attempt = link.answered(frame);
    if (attempt === undefined) return;
    const { seq, created_at: createdAt, in_order: inOrder } = frame;
    attempt.operation.ok({ seq, createdAt: Date.parse(createdAt), inOrder });
    if (inOrder) this.#stored(link, frame.conversation_id, seq);
    if (attempt.letter !== null) this.letters.done(attempt.letter, true);
    this.#flush();
  }

  #refused(link: Link, frame: Frame): void {
    if (link.markRefused(frame)) return;
    const attempt = link.answered(frame);
    if (attempt === undefined) return;
    const { code, retryable } = frame;
    attempt.operation.refused(code, retryable);
    const { letter } = attempt;
    if (letter === null) {
      // Nothing goes to its conversation any more until it is sent again [MSG-5], and it will not be.
      if (retryable) this.#leave(link, 1000, "client");
    } else if (retryable) {
      link.quietUntil = performance.now() + this.#options.chance.between(200, 600);
      this.letters.refused(letter);
    } else {
      this.letters.done(letter, false);
      if (code === "conversation_not_found") this.#options.onOutside(letter.conversation);
    }
  }

  #stored(link: Link, conversation: ConversationId, seq: number): void {
    if (seq <= (this.cursors.get(conversation) ?? 0)) this.repeats++;
    else this.cursors.set(conversation, seq);
    link.shown(conversation, seq);
  }

  /** Sends what may go. */
  #flush(): void {
    const link = this.#link;
    if (link?.welcomed !== true || performance.now() < link.quietUntil) return;
    for (const letter of this.letters.take()) this.#attempt(link, letter, letter);
  }

  #attempt(link: Link, { id, conversation, text }: Omit<Letter, "state">, letter: Letter | null): void {
    const content = { encrypted_content: text };
    const operation = this.#options.history.send({
      ...{ account: this.account.id, session: this.#identity.session, node: link.node, device: this.id },
      ...{ conversation, id, body: bodyOf(content), via: link.connection, ordered: letter !== null },
    });
    link.attempt(operation, letter, content);
  }

  /** Acknowledges, asks for a sign of life, and looks at every deadline. */
  #tick(): void {
    const link = this.#link;
    if (link === null) return;
    this.#ticks++;
    const silentMs = this.detour?.silentMs ?? SILENT_MS;
    const isSilent = performance.now() - link.heardAt > silentMs;
    if (isSilent || link.gaveUp(Math.max(ANSWER_MS, silentMs))) return this.#leave(link, 1006, "cut");
    this.#flush();
    if (this.#ticks % this.#acknowledgeTicks === 0) link.acknowledgeShown();
    if (this.#ticks % PING_TICKS === 0) link.ping(this.#options.history.tick());
  }

  /** The socket is over, whoever ended it. */
  #leave(link: Link, code: number, by: Closed["by"]): void {
    if (this.#link !== link) return;
    this.#link = null;
    this.letters.lost();
    link.end(code, by);
  }

  /** Signs in on the same device, so that its cursors stay. */
  async #signIn(): Promise<void> {
    const { chance, nodes } = this.#options;
    const serving = nodes();
    if (this.#ended || serving.length === 0) return;
    const { name: username, password } = this.account;
    const body = { username, password, device_id: this.id };
    const answer = await ask({ url: chance.pick(serving).url, method: "POST", path: "/api/auth/signin", body });
    if (answer.type !== "ok") return; // the next round tries again
    this.#identity = { device: this.id, session: answer.json.session_id, token: answer.json.access_token };
    this.#doubtful = false;
  }

  async #pause(ms: number): Promise<void> {
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, ms);
    await Promise.race([over.promise, this.#stopping.promise]);
    clearTimeout(timer);
  }
}
