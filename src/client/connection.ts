/**
 * One socket to the server, kept alive. A state machine; each state owns only what it needs.
 *
 * ```
 * idle -> connecting -> authenticating -> catching_up -> live
 *             ^               |                |          |
 *             +--- waiting <--+----------------+----------+      (any end that may reconnect)
 * any state -> stopped                                           (close codes 4400-4499, or stop())
 * ```
 * - Back-off grows with full jitter, and starts anew after ten seconds of being live.
 * - Half-open sockets are found: after `heartbeat_ms` (20 s at most) without a frame a `ping`
 *   goes out, and without any frame 10 s later the socket is dropped [HB-1].
 * - 4401 refreshes the token and reconnects; a second one without a `welcome` between stops.
 * - Browsers cannot set headers on a WebSocket, so the token always goes in the first frame [AUTH-2].
 */
import { CLOSE_CODES, mayReconnect, type ServerFrame, type WelcomeFrame } from "../protocol/mod.ts";
import { SottoError } from "./sotto_error.ts";
import { backoffMs, type Timing } from "./timing.ts";

/** What the SDK uses of a WebSocket: browsers, Bun and Node 22 have it, and so has the package `ws`. */
export interface SocketLike {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

/** Opens a WebSocket to a URL: `(url) => new WebSocket(url)`. */
export type OpenSocket = (url: string) => SocketLike;

/** Why a connection will not come back by itself. */
export interface StopReason {
  /** A close code's name, `closed` for the own wish, or what the sign-in said. */
  readonly code: string;
  readonly closeCode?: number;
  readonly cause?: unknown;
}

/** How the connection is. `attempt` counts tries since the last live connection; times are milliseconds. */
export type ConnectionStatus =
  | { readonly state: "idle" }
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "authenticating" }
  | { readonly state: "catching_up" }
  | { readonly state: "live" }
  | { readonly state: "waiting"; readonly attempt: number; readonly untilMs: number; readonly reason: string }
  | { readonly state: "stopped"; readonly reason: StopReason };

/** What a connection needs, and whom it tells. */
export interface ConnectionOptions {
  readonly url: string;
  readonly openSocket: OpenSocket;
  readonly timing: Timing;
  /** A token that is valid now; `fresh` asks for a newer one than before. Rejects with SottoError. */
  token(fresh: boolean): Promise<string>;
  /** A new socket is authenticated. Not called when a socket renews its token. */
  onWelcome(frame: WelcomeFrame): void;
  /** Every other frame that the connection does not handle itself. */
  onFrame(frame: ServerFrame): void;
  /** The socket is gone. */
  onDown(): void;
  onStatus(status: ConnectionStatus): void;
  /** Where the machine says `online`; `globalThis` in browsers. */
  readonly network?: Pick<EventTarget, "addEventListener" | "removeEventListener">;
}

const BASE_MS = 500;
const MOST_MS = 30_000;
const SETTLED_MS = 10_000;
const CONNECT_MS = 10_000;
const QUIET_MS = 20_000;
const PONG_MS = 10_000;
const RENEW_MS = 25_000;

/** Keeps one authenticated socket, as long as that is possible. */
export class Connection implements Disposable {
  readonly #options: ConnectionOptions;
  #status: ConnectionStatus = { state: "idle" };
  #socket: SocketLike | undefined;
  #attempt = 0;
  /** The token was refused: ask for a fresh one, and stop if that is refused too. */
  #refused = false;
  #quietMs = QUIET_MS;
  #liveAt = 0;
  #heardAt = 0;
  #cancelTimer: (() => void) | undefined;
  #cancelHeartbeat: (() => void) | undefined;
  #renewedAt = 0;
  #cancelRenewal: (() => void) | undefined;
  readonly #online = () => {
    if (this.#status.state === "waiting") this.#connect();
  };

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  /** How the connection is now. */
  get status(): ConnectionStatus {
    return this.#status;
  }

  /** Begins to connect; does nothing unless idle or stopped. */
  start(): void {
    if (this.#status.state !== "idle" && this.#status.state !== "stopped") return;
    this.#attempt = 0;
    this.#refused = false;
    this.#options.network?.addEventListener("online", this.#online);
    this.#connect();
  }

  /** Sends a frame; false when no authenticated socket is there. */
  send(frame: string): boolean {
    const { state } = this.#status;
    if ((state !== "catching_up" && state !== "live") || this.#socket?.readyState !== 1) return false;
    this.#socket.send(frame);
    return true;
  }

  /** The server sends the log again: not live until the next `caught_up`. */
  catchUp(): void {
    if (this.#status.state === "live") this.#set({ state: "catching_up" });
  }

  /** Nothing is missing any more: the server's `caught_up`, or what else says so where there is none. */
  caughtUp(): void {
    if (this.#status.state !== "catching_up") return;
    this.#liveAt = this.#heardAt;
    this.#set({ state: "live" });
  }

  /** Drops the socket and comes back after a pause: something on it does not work. */
  reconnect(reason: string): void {
    if (this.#socket === undefined) return;
    this.#drop(4000);
    this.#wait(reason);
  }

  /** Ends for good. */
  stop(reason: StopReason): void {
    if (this.#status.state === "stopped") return;
    this.#options.network?.removeEventListener("online", this.#online);
    this.#drop(1000);
    this.#set({ state: "stopped", reason });
  }

  [Symbol.dispose](): void {
    this.stop({ code: "closed" });
  }

  #set(status: ConnectionStatus): void {
    this.#status = status;
    this.#options.onStatus(status);
  }

  #connect(): void {
    this.#cancelTimer?.();
    const status = { state: "connecting", attempt: this.#attempt } as const;
    this.#set(status);
    void this.#options.token(this.#refused).then(
      (token) => {
        // Meanwhile the connection may have been stopped, or stopped and started.
        if (this.#status === status) this.#open(token);
      },
      (error: unknown) => {
        if (this.#status !== status) return;
        if (error instanceof SottoError && error.retryable) this.#wait(error.code);
        else this.stop({ code: error instanceof SottoError ? error.code : "internal", cause: error });
      },
    );
  }

  #open(token: string): void {
    let socket: SocketLike;
    try {
      socket = this.#options.openSocket(this.#options.url);
    } catch (cause) {
      return this.stop({ code: "bad_url", cause });
    }
    this.#socket = socket;
    this.#cancelTimer = this.#options.timing.after(CONNECT_MS, () => this.reconnect("timeout"));
    socket.addEventListener("open", () => {
      if (this.#socket !== socket) return;
      this.#set({ state: "authenticating" });
      socket.send(JSON.stringify({ type: "authenticate", token }));
    });
    socket.addEventListener("message", (event) => {
      if (this.#socket === socket) this.#received(event.data);
    });
    socket.addEventListener("error", () => {}); // `close` follows and says more
    socket.addEventListener("close", (event) => {
      if (this.#socket === socket) this.#closed(event.code);
    });
  }

  #received(data: unknown): void {
    this.#heardAt = this.#options.timing.now();
    const frame = parseFrame(data);
    if (frame === undefined) return this.reconnect("bad_answer");
    switch (frame.type) {
      case "welcome":
        return this.#welcomed(frame);
      case "pong":
        return;
      case "reauth":
        return this.#renewLater(this.#socket);
      case "caught_up":
        this.caughtUp();
        return this.#options.onFrame(frame);
      default:
        return this.#options.onFrame(frame);
    }
  }

  #welcomed(frame: WelcomeFrame): void {
    this.#refused = false;
    if (this.#status.state !== "authenticating") return; // the answer to a renewed token [AUTH-5]
    this.#cancelTimer?.();
    this.#quietMs = Math.min(QUIET_MS, Math.max(1_000, frame.heartbeat_ms));
    this.#set({ state: "catching_up" });
    this.#listen(this.#quietMs);
    this.#options.onWelcome(frame);
  }

  /** Looks after `ms` whether anything was heard since; asks with a ping, and gives up without an answer. */
  #listen(ms: number): void {
    this.#cancelHeartbeat = this.#options.timing.after(ms, () => {
      const quietMs = this.#options.timing.now() - this.#heardAt;
      if (quietMs >= this.#quietMs + PONG_MS) return this.reconnect("half_open");
      if (quietMs < this.#quietMs) return this.#listen(this.#quietMs - quietMs);
      this.send('{"type":"ping"}');
      this.#listen(this.#quietMs + PONG_MS - quietMs);
    });
  }

  /**
   * Renews the token; not more often than every 25 s. Tokens that live for a minute are always about
   * to end, and the server says so at once.
   */
  #renewLater(socket: SocketLike | undefined): void {
    const { timing } = this.#options;
    const ms = Math.max(0, this.#renewedAt + RENEW_MS - timing.now());
    this.#cancelRenewal?.();
    this.#cancelRenewal = timing.after(ms, () => {
      this.#renewedAt = timing.now();
      void this.#renew(socket);
    });
  }

  async #renew(socket: SocketLike | undefined): Promise<void> {
    try {
      const token = await this.#options.token(true);
      if (socket === this.#socket) this.send(JSON.stringify({ type: "authenticate", token }));
    } catch (error) {
      // Retryable: the socket ends with 4401 when the token does, and reconnecting tries again.
      if (socket !== this.#socket || !(error instanceof SottoError) || error.retryable) return;
      this.stop({ code: error.code, cause: error });
    }
  }

  #closed(code: number): void {
    this.#drop();
    if (code === CLOSE_CODES.unauthorized && !this.#refused) {
      this.#refused = true;
      return this.#connect();
    }
    if (mayReconnect(code)) return this.#wait(nameOf(code));
    this.stop({ code: nameOf(code), closeCode: code });
  }

  #wait(reason: string): void {
    const { timing } = this.#options;
    if (this.#liveAt > 0 && timing.now() - this.#liveAt >= SETTLED_MS) this.#attempt = 0;
    this.#liveAt = 0;
    const ms = backoffMs(this.#attempt, timing.random(), BASE_MS, MOST_MS);
    this.#attempt++;
    this.#cancelTimer = timing.after(ms, () => this.#connect());
    this.#set({ state: "waiting", attempt: this.#attempt, untilMs: timing.now() + ms, reason });
  }

  /** Lets go of the socket; what it still says is not heard. Without a code it has ended by itself. */
  #drop(code?: number): void {
    this.#cancelTimer?.();
    this.#cancelHeartbeat?.();
    this.#cancelRenewal?.();
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket === undefined) return;
    if (code !== undefined) socket.close(code);
    this.#options.onDown();
  }
}

/** The name of a close code, or the code itself where it has none. */
function nameOf(code: number): string {
  return Object.entries(CLOSE_CODES).find(([, known]) => known === code)?.[0] ?? `close_${code}`;
}

/** The server's frame in a message. Types beyond the known ones pass and are left to the reader. */
function parseFrame(data: unknown): ServerFrame | undefined {
  if (typeof data !== "string") return undefined;
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === "object" && value !== null && "type" in value ? (value as ServerFrame) : undefined;
  } catch {
    return undefined;
  }
}
