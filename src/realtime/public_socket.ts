/**
 * One socket of `/ws/public/{channel}`, which may be anybody's: no account, no cursor that is kept, and little that
 * it may ask for.
 *
 *   opening ──feed open──▶ live ◀──last page──▶ paging          closing ──▶ gone
 *
 * Live it is sent every event of the channel once and in order; while it pages nothing but its pages. What it cannot
 * take because it reads slowly is not queued for it: once its buffer is empty it is sent the rest of what the feed
 * still keeps, and where that is not all it is cut off, and comes back with the seq it has [PUB-5].
 */
import { OverloadedError } from "../platform/overloaded.ts";
import { DatabaseFault } from "../platform/postgres.ts";
import {
  CLOSE_CODES,
  type CloseReason,
  DomainError,
  ERRORS,
  fieldsOf,
  LIMITS,
  PublicClientFrame,
  type PublicServerFrame,
  parseJson,
} from "../protocol/mod.ts";
import { FrameRate } from "./frame_rate.ts";
import type { PublicEvent, PublicFeed, PublicReader } from "./public_feed.ts";
import type { SocketPort } from "./session_deps.ts";

/** Where the socket was opened, and for what. */
export interface PublicOrigin {
  readonly address: string;
  readonly feed: PublicFeed;
}

/** What a socket needs of the feeds. */
export interface PublicSocketDeps {
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  newRequestId(): string;
  /** An error that is not a refusal; its cause belongs in the log, with the request id. */
  onFailure(requestId: string, error: unknown): void;
  onClosed(reason: CloseReason | "gone"): void;
  onGone(socket: PublicSocket): void;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}

type State = "opening" | "live" | "paging" | "reading" | "closing" | "gone";
type Ref = PublicClientFrame["ref"];

const PONG_MS = 15_000;
const CLOSING_MS = 5_000;

/** See the head of this file. */
export class PublicSocket implements PublicReader {
  readonly origin: PublicOrigin;
  readonly #socket: SocketPort;
  readonly #deps: PublicSocketDeps;
  readonly #rate: FrameRate;
  #state: State = "opening";
  /** What was asked for before the feed was open. */
  #early: Extract<PublicClientFrame, { type: "subscribe" }> | null = null;
  /** The last seq that the reader was sent, or was before it came. */
  #sent = 0;
  #heardAt: number;
  #pingedAt: number;
  /** Since when the outbound buffer has not been empty (ms), or `null`. */
  #blockedSince: number | null = null;
  #closingSince = 0;

  constructor(socket: SocketPort, origin: PublicOrigin, deps: PublicSocketDeps) {
    this.#socket = socket;
    this.origin = origin;
    this.#deps = deps;
    const now = deps.now();
    this.#heardAt = now;
    this.#pingedAt = now;
    this.#rate = new FrameRate(now);
  }

  /** Begins once the feed is open. */
  begin(): void {
    if (this.#state !== "opening") return;
    const { channel, name, top } = this.origin.feed;
    this.#state = "live";
    this.#sent = top;
    this.#send({ type: "subscribed", channel, name, last_seq: top, heartbeat_ms: this.#deps.heartbeatMs });
    if (this.#early !== null) this.#subscribe(this.#early.ref, this.#early.after_seq);
    this.#early = null;
  }

  /** A frame came. */
  receive(text: string): void {
    this.#heardAt = this.#deps.now();
    if (this.#over) return;
    const wait = this.#rate.take(this.#heardAt);
    if (this.#rate.flooding) return this.close("flooding");
    const value = parseJson(text);
    if (typeof value !== "object" || value === null) return this.#refuse(undefined, new DomainError("bad_json"));
    const parsed = PublicClientFrame.safeParse(value);
    if (!parsed.success) {
      const known = "type" in value && (value.type === "subscribe" || value.type === "ping");
      const details = { fields: fieldsOf(parsed.error) };
      return this.#refuse(
        undefined,
        known ? new DomainError("bad_frame", { details }) : new DomainError("unknown_frame"),
      );
    }
    const { data: frame } = parsed;
    if (wait > 0)
      return this.#refuse(frame.ref, new DomainError("rate_limited", { details: { retry_after_ms: wait } }));
    if (frame.type === "ping") return this.#send({ type: "pong", ...marked(frame.ref) });
    this.#rate.more(LIMITS.subscribeFrames - 1);
    if (this.#state === "opening" && this.#early === null) this.#early = frame;
    else this.#subscribe(frame.ref, frame.after_seq);
  }

  /** A ping or pong came. */
  heard(): void {
    this.#heardAt = this.#deps.now();
  }

  /** The outbound buffer is empty again. */
  drained(): void {
    this.#blockedSince = null;
    if (this.#state !== "live") return;
    const missed = this.origin.feed.since(this.#sent);
    if (missed === null) return this.close("slow_reader");
    for (const event of missed) this.live(event);
  }

  /** The socket has gone, by whomever. */
  gone(): void {
    this.#end("gone");
    this.#state = "gone";
    this.#deps.onGone(this);
  }

  /** Ends the socket. */
  close(reason: CloseReason): void {
    if (this.#over) return;
    this.#end(reason);
    this.#socket.close(CLOSE_CODES[reason], reason);
  }

  /** The next event of the channel. */
  live({ seq, text }: PublicEvent): void {
    if (this.#state !== "live" || this.#blockedSince !== null || seq <= this.#sent) return;
    this.#sent = seq;
    this.#write(text);
  }

  /** Looks at every deadline of the socket; called about once a second. */
  check(now: number): void {
    if (this.#state === "gone") return;
    if (this.#state === "closing") {
      if (now - this.#closingSince > CLOSING_MS) this.#socket.terminate();
      return;
    }
    const { heartbeatMs, connectionTimeoutMs } = this.#deps;
    if (now - this.#heardAt > Math.min(heartbeatMs + PONG_MS, connectionTimeoutMs)) {
      this.#end("gone");
      return this.#socket.terminate();
    }
    if (this.#blockedSince !== null && now - this.#blockedSince > LIMITS.drainMs) return this.close("slow_reader");
    if (now - this.#pingedAt < heartbeatMs) return;
    this.#pingedAt = now;
    this.#socket.ping();
  }

  #subscribe(ref: Ref, after: number | undefined): void {
    const { feed } = this.origin;
    if (this.#state === "opening" || this.#state === "reading") {
      return this.#refuse(ref, new DomainError("too_many_in_flight"));
    }
    this.#state = "reading";
    feed.load(after ?? feed.top).then(
      ({ texts, end, more }) => {
        if (this.#state !== "reading") return;
        // In this step: what was told since the log was read belongs to the page, or it is not the last one.
        const rest = more ? null : feed.since(end);
        this.#state = rest === null ? "paging" : "live";
        this.#sent = rest === null ? end : Math.max(end, feed.top);
        const next = rest === null ? end : null;
        const all = [...texts, ...(rest ?? []).map(({ text }) => text)];
        this.#write(pageText({ type: "page", ...marked(ref), channel: feed.channel, next }, all));
      },
      (error) => {
        if (this.#state !== "reading") return;
        this.#state = "paging";
        this.#refuse(ref, error);
      },
    );
  }

  #refuse(ref: Ref, error: unknown): void {
    const requestId = this.#deps.newRequestId();
    const refusal = error instanceof DomainError ? error : new DomainError(isFault(error) ? "unavailable" : "internal");
    if (refusal !== error) this.#deps.onFailure(requestId, error);
    const { code, details } = refusal;
    const { message, retryable } = ERRORS[code];
    this.#send({
      ...{ type: "error", ...marked(ref), code, message, retryable, request_id: requestId },
      ...(details === undefined ? {} : { details }),
    });
  }

  #send(frame: PublicServerFrame): void {
    this.#write(JSON.stringify(frame));
  }

  #write(text: string): void {
    if (this.#over) return;
    const taken = this.#socket.send([text]);
    const buffered = this.#socket.buffered();
    // Dropped or beyond the bound: what comes after would leave a hole, so nothing comes after.
    if (!taken || buffered > LIMITS.outboundBytes) this.close("slow_reader");
    else if (buffered > 0) this.#blockedSince ??= this.#deps.now();
  }

  get #over(): boolean {
    return this.#state === "closing" || this.#state === "gone";
  }

  #end(reason: CloseReason | "gone"): void {
    if (this.#over) return;
    this.#state = "closing";
    this.#closingSince = this.#deps.now();
    this.#deps.onClosed(reason);
  }
}

function isFault(error: unknown): boolean {
  return error instanceof DatabaseFault || error instanceof OverloadedError;
}

function marked(ref: Ref): { readonly ref?: Ref } {
  return ref === undefined ? {} : { ref };
}

/** A page around announcements that are encoded already. */
function pageText(page: Omit<Extract<PublicServerFrame, { type: "page" }>, "announcements">, texts: readonly string[]) {
  return `${JSON.stringify(page).slice(0, -1)},"announcements":[${texts.join(",")}]}`;
}
