/** What a session is made of: the socket underneath, where it came from, and what it needs of the hub. */
import type { Principal } from "../accounts/mod.ts";
import type { ClientFrame, CloseReason, Codec } from "../protocol/mod.ts";
import type { Annex } from "./annex.ts";
import type { SendPlace } from "./send_order.ts";
import type { Session } from "./session.ts";

/** The socket underneath; `bun_socket.ts` makes it. */
export interface SocketPort {
  /** Sends frames in as few packets as possible; false where one was dropped, and then none after it was sent. */
  send(frames: readonly string[]): boolean;
  close(code: number, reason: string): void;
  /** Ends the connection without a closing handshake. */
  terminate(): void;
  ping(): void;
  /** Bytes that wait in the outbound buffer. */
  buffered(): number;
}

/** What a session needs of the hub. */
export interface SessionDeps {
  readonly codec: Codec;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  /** Whether what is sent after a refused message waits for it [MSG-5]. */
  readonly ordered: boolean;
  verify(token: string): Promise<Principal>;
  /** Joins the account's actor; false where the node takes no more. */
  attach(session: Session): boolean;
  detach(session: Session): void;
  /** Hands a frame to the actor; `place` is that of a `message`. */
  frame(session: Session, frame: ClientFrame, place: SendPlace | null, bytes: number): "accepted" | "full" | "stopped";
  drained(session: Session): void;
  /** The session has frames to write: {@link Session.flush} is wanted soon. */
  wrote(session: Session): void;
  newRequestId(): string;
  /** An error that is not a refusal; its cause belongs in the log, with the request id. */
  onFailure(session: Session, requestId: string, error: unknown): void;
  /** The session is over: by whom, and whether the socket is already gone. */
  onClosed(session: Session, reason: CloseReason | "gone"): void;
  onGone(session: Session): void;
  /** Milliseconds of a clock that nobody sets: a step of the machine's clock ends no socket. */
  now(): number;
  /** Milliseconds since the epoch: how long a token lasts is said by date. */
  date(): number;
}

/** Where the socket was opened, and by whom if a header or ticket said so. */
export interface SessionOrigin {
  readonly address: string;
  readonly principal: Principal | null;
  /** The user and session of the address `/ws/{user_id}/{session_id}` [CONN-2]. */
  readonly expected: { readonly userId: string; readonly sessionId: string } | null;
  /** Where it speaks another protocol; absent: SPEC.md. */
  readonly annex?: Annex;
}
