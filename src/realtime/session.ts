/**
 * One socket of a session, from its upgrade to its close: authentication, decoding, limits,
 * heartbeat. What a frame means is its user actor's business, and what the socket is sent of
 * the logs is its feed's.
 *
 *   waiting ──authenticate──▶ verifying ──ok──▶ attached ──▶ closing ──▶ gone
 *
 * Frames that come while a token is being verified wait, a few of them, and are handled after.
 */
import type { Principal } from "../accounts/mod.ts";
import { OverloadedError } from "../platform/overloaded.ts";
import { DatabaseFault } from "../platform/postgres.ts";
import {
  CLOSE_CODES,
  type ClientFrame,
  type CloseReason,
  DomainError,
  ERRORS,
  type ErrorCode,
  LIMITS,
  type LogEntry,
  type MessageId,
  type Ref,
  type ServerFrame,
} from "../protocol/mod.ts";
import type { Feed } from "./feed.ts";
import { FrameRate } from "./frame_rate.ts";
import type { Inbox } from "./inbox.ts";
import { SendOrder, type SendPlace } from "./send_order.ts";
import type { SessionDeps, SessionOrigin, SocketPort } from "./session_deps.ts";

type State =
  | { readonly name: "waiting" }
  | { readonly name: "verifying"; readonly pending: string[]; chars: number }
  | { readonly name: "attached"; reauthSent: boolean }
  /** Closed from here; the peer has not answered yet. */
  | { readonly name: "closing"; readonly since: number }
  | { readonly name: "gone" };

/** Frames that may wait while a token is verified; their characters are bounded as a mailbox is. */
const PENDING_FRAMES = 64;
const PONG_MS = 15_000;
const REAUTH_MS = 60_000;
/** What a peer is given to answer a close, before the connection is cut. */
const CLOSING_MS = 5_000;
/** Characters of frames that are written at once, and not only when the turn is over: what one packet train holds. */
const FLUSH_CHARS = 16 * 1024;

/** See the head of this file. */
export class Session {
  readonly origin: SessionOrigin;
  readonly #deps: SessionDeps;
  readonly #socket: SocketPort;
  readonly #openedAt: number;
  #state: State = { name: "waiting" };
  #heardAt: number;
  #pingedAt: number;
  /** Since when the outbound buffer has not been empty (ms), or `null`. */
  #blockedSince: number | null = null;
  /** Frames that leave together when the turn is over, and their characters. */
  #outgoing: string[] | null = null;
  #outgoingChars = 0;
  readonly #rate: FrameRate;
  #principal: Principal | null = null;
  #welcomeRef: Ref;
  /** The order of this socket's messages. */
  readonly order = new SendOrder();
  /** Set by the user actor, which owns it; and so is the next. */
  feed: Feed | null = null;
  inbox: Inbox | null = null;

  constructor(socket: SocketPort, origin: SessionOrigin, deps: SessionDeps) {
    this.#socket = socket;
    this.origin = origin;
    this.#deps = deps;
    const now = deps.now();
    this.#openedAt = now;
    this.#heardAt = now;
    this.#pingedAt = now;
    this.#rate = new FrameRate(now);
  }

  /** Begins: at once for a socket whose header or ticket said who it is. */
  begin(): void {
    if (this.origin.principal !== null) this.#attach(this.origin.principal);
  }

  /** Whose socket it is, or was; only once it is attached. */
  get principal(): Principal {
    if (this.#principal === null) throw new Error("Ask for the principal once the session is attached");
    return this.#principal;
  }

  /** When the peer was last heard (ms). */
  get heardAt(): number {
    return this.#heardAt;
  }

  /** Whether it has shown who it belongs to, and is open. */
  get authenticated(): boolean {
    return this.#state.name === "attached";
  }

  /** Whether it has ever shown who it belongs to. */
  get wasAuthenticated(): boolean {
    return this.#principal !== null;
  }

  /** A frame came. */
  receive(text: string): void {
    this.#heardAt = this.#deps.now();
    const state = this.#state;
    switch (state.name) {
      case "closing":
      case "gone":
        return;
      case "verifying":
        state.chars += text.length;
        if (state.pending.push(text) > PENDING_FRAMES || state.chars > LIMITS.mailboxBytes) this.close("bad_protocol");
        return;
      case "waiting":
        return this.#receiveFirst(text);
      case "attached":
        return this.#receiveNext(text, state);
      default:
        state satisfies never;
    }
  }

  /** A ping or pong came. */
  heard(): void {
    this.#heardAt = this.#deps.now();
  }

  /** The outbound buffer is empty again. */
  drained(): void {
    this.#blockedSince = null;
    if (this.#state.name === "attached") this.#deps.drained(this);
  }

  /** The socket has gone, by whomever. */
  gone(): void {
    this.#end("gone");
    this.#state = { name: "gone" };
    this.#deps.onGone(this);
  }

  /** Ends the socket; the client knows from the code's range what to do next [CLS-1]. */
  close(reason: CloseReason): void {
    this.flush(); // what was said before comes before
    if (this.#over) return;
    this.#end(reason);
    this.#socket.close(CLOSE_CODES[reason], reason);
  }

  /** Whether nothing more should be sent until `drained`: the socket is full, or over. */
  get blocked(): boolean {
    return this.#blockedSince !== null || this.#over;
  }

  /** Sends an encoded frame; false where it was not taken. It leaves with all others of this turn. */
  send(text: string): boolean {
    if (this.#over) return false;
    if (this.#outgoing === null) {
      this.#outgoing = [text];
      this.#deps.wrote(this);
    } else this.#outgoing.push(text);
    this.#outgoingChars += text.length;
    if (this.#outgoingChars >= FLUSH_CHARS) this.flush();
    return true;
  }

  /** Writes what waits to the socket. */
  flush(): void {
    const frames = this.#outgoing;
    if (frames === null || this.#over) return;
    this.#outgoing = null;
    this.#outgoingChars = 0;
    const taken = this.#socket.send(frames);
    const buffered = this.#socket.buffered();
    // Dropped or beyond the bound: what comes after would leave a hole, so nothing comes after.
    if (!taken || buffered > LIMITS.outboundBytes) this.close("slow_reader");
    else if (buffered > 0) this.#blockedSince ??= this.#deps.now();
  }

  /** Encodes and sends a frame. */
  sendFrame(frame: ServerFrame): void {
    this.send(this.encode(frame));
  }

  /** Encodes a frame with the socket's codec. */
  encode(frame: ServerFrame): string {
    return this.#deps.codec.encode(frame);
  }

  /** Encodes an entry of the log with the socket's codec. */
  encodeEvent(entry: LogEntry): string {
    return this.#deps.codec.encodeEvent(entry);
  }

  /** Answers a frame with an error; what is not a refusal is logged and leaves as `internal`. */
  refuse(frame: { readonly ref?: Ref; readonly id?: MessageId }, error: unknown): void {
    const requestId = this.#deps.newRequestId();
    const known = error instanceof DomainError ? error : this.#asRefusal(error, requestId);
    this.#sendError(known.code, requestId, frame, known.details);
  }

  /**
   * Notes a refusal, in the step in which it is given: after a retryable one, later messages to that
   * conversation wait for the refused one [MSG-5]. False where the socket waits for too many.
   */
  hold(place: SendPlace, error: unknown): boolean {
    return !mayComeAgain(error) || this.order.refuse(place);
  }

  /** Refuses a message, and holds back what comes after it. */
  refuseMessage(place: SendPlace, frame: { readonly ref?: Ref; readonly id?: MessageId }, error: unknown): void {
    const kept = this.hold(place, error);
    this.refuse(frame, error);
    if (!kept) this.close("flooding");
  }

  /** Says who the socket belongs to [AUTH-4]. */
  welcome(): void {
    const ref = this.#welcomeRef;
    const { accountId, sessionId, deviceId, expiresAt } = this.principal;
    this.sendFrame({
      type: "welcome",
      ...(ref === undefined ? {} : { ref }),
      user_id: accountId,
      session_id: sessionId,
      device_id: deviceId,
      expires_at: new Date(expiresAt).toISOString(),
      heartbeat_ms: this.#deps.heartbeatMs,
    });
  }

  /** Looks at every deadline of the socket; called about once a second. */
  check(now: number): void {
    const state = this.#state;
    if (state.name === "gone") return;
    if (state.name === "closing") {
      if (now - state.since > CLOSING_MS) this.#socket.terminate();
      return;
    }
    const silence = now - this.#heardAt;
    if (silence > Math.min(this.#deps.heartbeatMs + PONG_MS, this.#deps.connectionTimeoutMs)) return this.#abandon();
    if (this.#blockedSince !== null && now - this.#blockedSince > LIMITS.drainMs) return this.close("slow_reader");
    if (now - this.#pingedAt >= this.#deps.heartbeatMs) {
      this.#pingedAt = now;
      this.#socket.ping();
    }
    if (state.name !== "attached") {
      if (now - this.#openedAt > LIMITS.authenticationMs) this.close("authentication_timeout");
      return;
    }
    const { expiresAt } = this.principal;
    const date = this.#deps.date();
    if (date >= expiresAt) return this.close("unauthorized");
    if (!state.reauthSent && date >= expiresAt - REAUTH_MS) {
      state.reauthSent = true;
      this.sendFrame({ type: "reauth", expires_at: new Date(expiresAt).toISOString() });
    }
    const fullSince = this.feed?.fullSince ?? null;
    if (fullSince !== null && now - fullSince > LIMITS.unacknowledgedMs) this.close("unacknowledged");
  }

  #receiveFirst(text: string): void {
    const decoded = this.#deps.codec.decode(text);
    if (!("frame" in decoded) || decoded.frame.type !== "authenticate") return this.close("unauthorized");
    const { token, ref } = decoded.frame;
    const verifying: State = { name: "verifying", pending: [], chars: 0 };
    this.#state = verifying;
    this.#deps.verify(token).then(
      (principal) => {
        // The socket may have closed across the wait.
        if (this.#state !== verifying) return;
        this.#welcomeRef = ref;
        this.#attach(principal);
        for (const pending of verifying.pending) this.receive(pending);
      },
      (error) => {
        if (this.#state !== verifying) return;
        if (error instanceof DomainError) return this.close("unauthorized");
        this.#deps.onFailure(this, this.#deps.newRequestId(), error);
        this.close("unavailable");
      },
    );
  }

  #receiveNext(text: string, state: Extract<State, { name: "attached" }>): void {
    const retryAfter = this.#rate.take(this.#heardAt);
    if (this.#rate.flooding) return this.close("flooding");
    const decoded = this.#deps.codec.decode(text);
    if ("fault" in decoded) {
      const { code, details, ...mark } = decoded.fault;
      return this.#sendError(code, this.#deps.newRequestId(), mark, details);
    }
    const { frame } = decoded;
    const isPlaced = frame.type === "message" && this.#deps.ordered;
    const place = isPlaced ? this.order.arrive(frame.conversation_id, frame.id) : null;
    if (retryAfter > 0) {
      return this.#refuseAtDoor(
        place,
        frame,
        new DomainError("rate_limited", { details: { retry_after_ms: retryAfter } }),
      );
    }
    if (frame.type === "resume") this.#rate.charge(frame);
    if (frame.type === "authenticate") return this.#reauthenticate(frame, state);
    const told = this.#deps.frame(this, frame, place, text.length);
    if (told === "full") this.#refuseAtDoor(place, frame, new DomainError("overloaded"));
    else if (told === "stopped") this.close("unavailable");
  }

  #refuseAtDoor(place: SendPlace | null, frame: ClientFrame, refusal: DomainError): void {
    if (place === null) this.refuse(frame, refusal);
    else this.refuseMessage(place, frame, refusal);
  }

  #attach(principal: Principal): void {
    const { expected } = this.origin;
    if (expected !== null && (expected.userId !== principal.accountId || expected.sessionId !== principal.sessionId)) {
      return this.close("wrong_session");
    }
    this.#principal = principal;
    this.#state = { name: "attached", reauthSent: false };
    if (!this.#deps.attach(this)) this.close("unavailable");
  }

  #reauthenticate(
    frame: Extract<ClientFrame, { type: "authenticate" }>,
    state: Extract<State, { name: "attached" }>,
  ): void {
    this.#deps.verify(frame.token).then(
      (principal) => {
        if (this.#state !== state) return;
        if (principal.sessionId !== this.principal.sessionId) return this.close("wrong_session");
        this.#principal = principal;
        state.reauthSent = false;
        this.#welcomeRef = frame.ref;
        this.welcome();
      },
      (error) => this.refuse(frame, error instanceof DomainError ? new DomainError("unauthorized") : error),
    );
  }

  #asRefusal(error: unknown, requestId: string): DomainError {
    this.#deps.onFailure(this, requestId, error);
    return new DomainError(isFault(error) ? "unavailable" : "internal");
  }

  #sendError(
    code: ErrorCode,
    requestId: string,
    mark: { readonly ref?: Ref; readonly id?: MessageId },
    details: Readonly<Record<string, unknown>> | undefined,
  ): void {
    this.sendFrame({
      type: "error",
      ...(mark.ref === undefined ? {} : { ref: mark.ref }),
      ...(mark.id === undefined ? {} : { id: mark.id }),
      code,
      message: ERRORS[code].message,
      retryable: ERRORS[code].retryable,
      request_id: requestId,
      ...(details === undefined ? {} : { details }),
    });
  }

  /** A peer that is silent gets no closing handshake: nobody is there to answer it. */
  #abandon(): void {
    this.#end("gone");
    this.#socket.terminate();
  }

  get #over(): boolean {
    return this.#state.name === "closing" || this.#state.name === "gone";
  }

  #end(reason: CloseReason | "gone"): void {
    if (this.#over) return;
    if (this.#state.name === "attached") this.#deps.detach(this);
    this.#state = { name: "closing", since: this.#deps.now() };
    this.#deps.onClosed(this, reason);
  }
}

/** A fault of a dependency, not of this server: what was asked may or may not have happened. */
function isFault(error: unknown): boolean {
  return error instanceof DatabaseFault || error instanceof OverloadedError;
}

function mayComeAgain(error: unknown): boolean {
  return error instanceof DomainError ? error.retryable : isFault(error);
}
