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
import type { Connection, History, NodeName, Operation, SendInput } from "../support/history/history.ts";
import type { Frame } from "../support/peer.ts";
import type { Chance } from "../support/random.ts";
import { type Letter, Letters } from "./letters.ts";
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

interface Attempt {
  readonly operation: Operation<"send">;
  /** `null`: a deliberate copy, which is not repeated. */
  readonly letter: Letter | null;
  readonly sentAt: number;
}

/** Bun's socket can also be cut, without a closing handshake. */
type Socket = WebSocket & { terminate(): void };

/** One socket. */
interface Link {
  readonly socket: Socket;
  readonly connection: Connection;
  readonly node: NodeName;
  /** Sends without an answer, by their `ref`. */
  readonly attempts: Map<number, Attempt>;
  /** The highest seq that came on this socket and is not acknowledged. */
  readonly unacknowledged: Map<ConversationId, number>;
  readonly over: PromiseWithResolvers<void>;
  welcomed: boolean;
  heardAt: number;
  /** Something was refused that may be sent again: not before this. */
  quietUntil: number;
}

const OPEN_MS = 3_000;
/** A send that is not answered by then is unknown, and so is its socket. */
const ANSWER_MS = 8_000;
const SILENT_MS = 3_000;
const TICK_MS = 100;
const PING_TICKS = 10;
const SIGNED_OUT_MS = 5_000;
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
  #refs = 0;
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
    if (this.#link?.welcomed !== true) return;
    const unacknowledged = new Map([[conversation, (this.cursors.get(conversation) ?? 0) + by]]);
    this.#acknowledge({ ...this.#link, unacknowledged });
  }

  /** Says that it begins to type, where there is a socket. */
  type(conversation: ConversationId): void {
    if (this.#link?.welcomed !== true) return;
    this.#link.socket.send(JSON.stringify({ type: "typing_start", conversation_id: conversation }));
  }

  /** Says that its person has read everything that it was shown, where there is a socket. */
  read(conversation: ConversationId): void {
    const seq = this.cursors.get(conversation);
    if (this.#link?.welcomed !== true || seq === undefined) return;
    this.#link.connection.note({ type: "read_marked", conversation, seq });
    this.#link.socket.send(JSON.stringify({ type: "message_read", conversation_id: conversation, seq }));
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
    await link.over.promise;
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
      if (link !== null) await link.over.promise;
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
      const link: Link = {
        ...{ socket, connection, node: node.name, attempts: new Map(), unacknowledged: new Map() },
        ...{ over: Promise.withResolvers<void>(), welcomed: false, heardAt: performance.now(), quietUntil: 0 },
      };
      this.#link = link;
      this.#acknowledgeTicks = chance.pick([1, 2, 5, 20]);
      socket.onmessage = (event) => this.#receive(link, JSON.parse(String(event.data)));
      if (chance.happens(0.5)) this.#resume(link);
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

  /** Says where it stands, instead of trusting what the server knows [RES-3]. */
  #resume({ socket, connection }: Link): void {
    connection.note({ type: "resumed", cursors: new Map(this.cursors) });
    socket.send(JSON.stringify({ type: "resume", cursors: Object.fromEntries(this.cursors) }));
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
        return void link.connection.note({ type: "settled", since: Number(frame.ref) });
      case "message":
      case "membership":
      case "notice":
      case "tombstone":
        link.connection.frame(frame);
        this.#options.onEntry(frame);
        return this.#stored(link, frame.conversation_id, frame.seq);
      default:
        link.connection.frame(frame);
    }
  }

  #receipt(link: Link, frame: Frame): void {
    const attempt = link.attempts.get(frame.ref);
    if (attempt === undefined) return;
    link.attempts.delete(frame.ref);
    const { seq, created_at: createdAt, in_order: inOrder } = frame;
    attempt.operation.ok({ seq, createdAt: Date.parse(createdAt), inOrder });
    if (inOrder) this.#stored(link, frame.conversation_id, seq);
    if (attempt.letter !== null) this.letters.done(attempt.letter, true);
    this.#flush();
  }

  #refused(link: Link, { ref, code, retryable }: Frame): void {
    if (typeof ref === "string" && ref.startsWith("ack ")) {
      const [, conversation, seq] = ref.split(" ");
      link.connection.note({
        ...{ type: "acknowledgement_refused", conversation: conversation as ConversationId, seq: Number(seq), code },
      });
      return;
    }
    const attempt = link.attempts.get(ref);
    if (attempt === undefined) return;
    link.attempts.delete(ref);
    attempt.operation.refused(code, retryable);
    const { letter } = attempt;
    if (letter === null) {
      // Nothing goes to its conversation any more until it is sent again [MSG-5], and it will not be.
      if (retryable) this.#leave(link, 1000, "client");
      return;
    }
    if (retryable) {
      link.quietUntil = performance.now() + this.#options.chance.between(200, 600);
      return this.letters.refused(letter);
    }
    this.letters.done(letter, false);
    if (code === "conversation_not_found") this.#options.onOutside(letter.conversation);
  }

  #stored(link: Link, conversation: ConversationId, seq: number): void {
    if (seq <= (this.cursors.get(conversation) ?? 0)) this.repeats++;
    else this.cursors.set(conversation, seq);
    link.unacknowledged.set(conversation, seq);
  }

  /** Sends what may go. */
  #flush(): void {
    const link = this.#link;
    if (link?.welcomed !== true || performance.now() < link.quietUntil) return;
    for (const letter of this.letters.take()) this.#attempt(link, letter, letter);
  }

  #attempt(link: Link, { id, conversation, text }: Omit<Letter, "state">, letter: Letter | null): void {
    const { account } = this;
    const content = { encrypted_content: text };
    const input: SendInput = {
      ...{ account: account.id, session: this.#identity.session, node: link.node, device: this.id },
      ...{ conversation, id, body: bodyOf(content), via: link.connection, ordered: letter !== null },
    };
    const ref = ++this.#refs;
    const operation = this.#options.history.send(input);
    link.attempts.set(ref, { operation, letter, sentAt: performance.now() });
    link.socket.send(JSON.stringify({ type: "message", ref, id, conversation_id: conversation, ...content }));
  }

  /** Acknowledges, asks for a sign of life, and looks at every deadline. */
  #tick(): void {
    const link = this.#link;
    if (link === null) return;
    this.#ticks++;
    const now = performance.now();
    const silentMs = this.detour?.silentMs ?? SILENT_MS;
    if (now - link.heardAt > silentMs) return this.#leave(link, 1006, "cut");
    const answerMs = Math.max(ANSWER_MS, silentMs);
    for (const { operation, sentAt } of link.attempts.values()) {
      if (now - sentAt > answerMs) operation.unknown("timeout");
    }
    if ([...link.attempts.values()].some(({ sentAt }) => now - sentAt > answerMs))
      return this.#leave(link, 1006, "cut");
    this.#flush();
    if (this.#ticks % this.#acknowledgeTicks === 0) this.#acknowledge(link);
    if (this.#ticks % PING_TICKS === 0) {
      link.socket.send(JSON.stringify({ type: "ping", ref: String(this.#options.history.tick()) }));
    }
  }

  #acknowledge({ socket, connection, unacknowledged }: Link): void {
    for (const [conversation, seq] of unacknowledged) {
      connection.note({ type: "acknowledged", conversation, seq });
      const ref = `ack ${conversation} ${seq}`;
      socket.send(JSON.stringify({ type: "message_ack", ref, conversation_id: conversation, seq }));
    }
    unacknowledged.clear();
  }

  /** The socket is over, whoever ended it. */
  #leave(link: Link, code: number, by: "server" | "client" | "cut"): void {
    if (this.#link !== link) return;
    this.#link = null;
    link.connection.end(code, by);
    for (const { operation } of link.attempts.values()) operation.unknown("cut");
    link.attempts.clear();
    this.letters.lost();
    if (by === "client") link.socket.close(1000);
    else if (by === "cut") link.socket.terminate();
    link.over.resolve();
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
