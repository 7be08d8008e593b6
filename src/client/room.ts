/**
 * The public room: one conversation of everybody, over `/ws/chat` (family C of the contracts).
 *
 * - Every message is given once and in the order of the log. After each welcome the history is read back to
 *   what is known; what comes live meanwhile waits until then.
 * - What is said is sent one after the other, again and under the same id after every reconnect, until the
 *   room shows it: so it is there once, and in order.
 */
import { z } from "zod";
import { type MessageId, newMessageId } from "../protocol/mod.ts";
import { type Api, RoomMessage } from "./api.ts";
import { Connection, type ConnectionStatus, type OpenSocket } from "./connection.ts";
import { type Fetch, request } from "./http.ts";
import { isRetryable, SottoError } from "./sotto_error.ts";
import { backoffMs, systemTiming, type Timing } from "./timing.ts";

/** What happens in the room. */
export type RoomEvent =
  | ({ readonly type: "message" } & RoomMessage)
  | { readonly type: "join" | "leave"; readonly username: string; readonly timestamp: string };

/** What a {@link RoomClient} may be told. Callbacks are called one at a time and never awaited. */
export interface RoomOptions {
  readonly onEvent: (event: RoomEvent) => void;
  readonly onStatus?: (status: ConnectionStatus) => void;
  readonly openSocket?: OpenSocket;
  readonly timing?: Timing;
}

/** The promise of what is said; `Promise.withResolvers` is not there in Node 20. */
interface Said {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Saying {
  readonly id: MessageId;
  readonly content: string;
  readonly said: Said;
  refusals: number;
}

const Presence = z.looseObject({ type: z.enum(["join", "leave"]), username: z.string(), timestamp: z.string() });
const Refusal = z.looseObject({
  type: z.literal("error"),
  code: z.string(),
  message: z.string(),
  ref: z.unknown(),
  details: z.looseObject({ retry_after_ms: z.number().optional() }).optional(),
});
const Stored = z.looseObject({ type: z.literal("stored"), id: z.string() });
const Shown = RoomMessage.extend({ type: z.literal("message") });

const FIRST_PAGE = 50;
const PAGE = 200;
/** Pages that are read back after a long absence. */
const MOST_PAGES = 20;
/** Ids that are kept to tell what is new. */
const MOST_KNOWN = PAGE * MOST_PAGES;
const MOST_WAITING = 1_000;
const ANSWER_MS = 15_000;

/** Makes an account by the room's own rule for passwords. Throws SottoError; signing in is apart. */
export async function registerForRoom(
  url: string,
  body: { readonly username: string; readonly password: string },
  options: { readonly fetch?: Fetch; readonly timing?: Timing } = {},
): Promise<void> {
  const { fetch: get = (address, init) => fetch(address, init), timing = systemTiming } = options;
  const http = { url, fetch: get, timing, deadlineMs: 10_000 };
  await request(http, { method: "POST", path: "/api/auth/register", body });
}

/** See the head of this file. */
export class RoomClient implements AsyncDisposable {
  readonly #api: Api;
  readonly #options: RoomOptions;
  readonly #timing: Timing;
  readonly #connection: Connection;
  readonly #known = new Set<MessageId>();
  /** Live messages that wait for the history before them; `undefined` while nothing is missing. */
  #held: RoomMessage[] | undefined;
  #previous: number | null = null;
  #sayings: Saying[] = [];
  #cancelWait: (() => void) | undefined;
  #socket = 0;

  /** `api`: of whoever is in the room. `url`: the server's address. */
  constructor(url: string, api: Api, options: RoomOptions) {
    this.#api = api;
    this.#options = options;
    this.#timing = options.timing ?? systemTiming;
    this.#connection = new Connection({
      url: `${url.replace(/^http/, "ws").replace(/\/+$/, "")}/ws/chat`,
      openSocket: options.openSocket ?? ((address) => new WebSocket(address)),
      timing: this.#timing,
      token: (fresh) => (fresh ? api.tokens.refresh() : api.tokens.token()),
      onWelcome: () => void this.#catchUp(++this.#socket),
      onFrame: (frame) => this.#take(frame),
      onDown: () => {
        this.#socket++;
        this.#cancelWait?.();
      },
      onStatus: (status) => this.#changed(status),
    });
  }

  /** How the connection is. */
  get status(): ConnectionStatus {
    return this.#connection.status;
  }

  /** Begins to connect, and stays connected. */
  connect(): void {
    this.#connection.start();
  }

  /**
   * Says something; resolves once the room shows it. Rejects with a SottoError where it is refused for good, and
   * with `closed` or `stopped`. The same id again is shown once.
   */
  say(content: string, id: MessageId = newMessageId(this.#timing.now())): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#sayings.length >= MOST_WAITING) {
        reject(new SottoError("outbox_full", "Wait until messages are answered", { retryable: true }));
      } else if (this.status.state === "stopped") {
        reject(endOf(this.status.reason.code));
      } else {
        this.#sayings.push({ id, content, said: { resolve, reject }, refusals: 0 });
        if (this.#sayings.length === 1) this.#pump();
      }
    });
  }

  /** Messages before those that were given so far, oldest first; none where there are none. */
  async older(): Promise<readonly RoomMessage[]> {
    if (this.#previous === null) return [];
    const { messages, previous } = await this.#api.roomMessages({ before: this.#previous, limit: FIRST_PAGE });
    this.#previous = previous;
    return messages;
  }

  /** Leaves the room. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#connection.stop({ code: "closed" });
    return Promise.resolve();
  }

  #changed(status: ConnectionStatus): void {
    if (status.state === "stopped") {
      this.#cancelWait?.();
      for (const { said } of this.#sayings.splice(0)) said.reject(endOf(status.reason.code));
    }
    this.#options.onStatus?.(status);
  }

  /** Reads what was said since the last socket, then lets the live messages through. */
  async #catchUp(socket: number): Promise<void> {
    this.#held = [];
    try {
      const missed = this.#known.size === 0 ? await this.#firstPage() : await this.#missed();
      if (socket !== this.#socket) return;
      for (const message of [...missed, ...this.#held]) this.#show(message);
      this.#held = undefined;
      this.#connection.caughtUp();
      this.#pump();
    } catch (error) {
      if (socket !== this.#socket) return;
      if (error instanceof SottoError && error.retryable) this.#connection.reconnect(error.code);
      else this.#connection.stop({ code: error instanceof SottoError ? error.code : "internal", cause: error });
    }
  }

  async #firstPage(): Promise<readonly RoomMessage[]> {
    const { messages, previous } = await this.#api.roomMessages({ limit: FIRST_PAGE });
    this.#previous = previous;
    return messages;
  }

  /** What comes after what is known, oldest first. After too long an absence only the end of it. */
  async #missed(): Promise<readonly RoomMessage[]> {
    const missed: RoomMessage[] = [];
    let before: number | undefined;
    for (let count = 0; count < MOST_PAGES; count++) {
      const page = await this.#api.roomMessages({ limit: PAGE, ...(before === undefined ? {} : { before }) });
      missed.unshift(...page.messages);
      if (page.previous === null || page.messages.some(({ id }) => this.#known.has(id))) break;
      before = page.previous;
    }
    return missed.slice(missed.findLastIndex(({ id }) => this.#known.has(id)) + 1);
  }

  #take(frame: object): void {
    const message = Shown.safeParse(frame);
    if (message.success) {
      if (this.#held === undefined) this.#show(message.data);
      else this.#held.push(message.data);
      return;
    }
    const stored = Stored.safeParse(frame);
    if (stored.success) {
      const own = this.#sayings.find(({ id }) => id === stored.data.id);
      if (own !== undefined) this.#settle(own).resolve();
      return;
    }
    const presence = Presence.safeParse(frame);
    if (presence.success) return this.#options.onEvent(presence.data);
    const refusal = Refusal.safeParse(frame);
    if (refusal.success) this.#refused(refusal.data);
  }

  #show(message: RoomMessage): void {
    if (this.#known.has(message.id)) return;
    this.#known.add(message.id);
    for (const oldest of this.#known) {
      if (this.#known.size <= MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
    this.#options.onEvent({ ...message, type: "message" });
    const own = this.#sayings.find(({ id }) => id === message.id);
    if (own !== undefined) this.#settle(own).resolve();
  }

  #refused(refusal: z.infer<typeof Refusal>): void {
    const saying = this.#sayings.find(({ id }) => id === refusal.ref);
    if (saying === undefined) return;
    if (!isRetryable(refusal.code, 0)) {
      return this.#settle(saying).reject(new SottoError(refusal.code, refusal.message));
    }
    const asked = refusal.details?.retry_after_ms ?? 0;
    const ms = asked + backoffMs(saying.refusals++, this.#timing.random(), 200, 10_000);
    this.#cancelWait?.();
    this.#cancelWait = this.#timing.after(ms, () => this.#pump());
  }

  /** It waits no more, and the next one is sent; gives whom to tell. */
  #settle(saying: Saying): Said {
    this.#sayings = this.#sayings.filter((other) => other !== saying);
    this.#pump();
    return saying.said;
  }

  /** Sends what is to be said next; without an answer the socket is held for dead. */
  #pump(): void {
    this.#cancelWait?.();
    const [saying] = this.#sayings;
    if (saying === undefined || this.#held !== undefined) return;
    const { id, content } = saying;
    if (!this.#connection.send(JSON.stringify({ type: "message", ref: id, id, content }))) return;
    this.#cancelWait = this.#timing.after(ANSWER_MS, () => this.#connection.reconnect("unanswered"));
  }
}

function endOf(code: string): SottoError {
  return code === "closed"
    ? new SottoError("closed", "Enter the room again: this client was closed")
    : new SottoError("stopped", `Sign in again: the session has ended (${code})`);
}
