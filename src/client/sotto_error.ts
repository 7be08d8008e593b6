/** The one error of the SDK. */
import { ERRORS, type ErrorCode, type ServerFrame } from "../protocol/mod.ts";

/**
 * Failures that are the client's own:
 *
 * - `network`, `timeout`, `bad_answer`: the server was not reached, was late, or answered nonsense.
 * - `closed`: the client was closed; a message that waits is kept by the store.
 * - `stopped`: the server ended the session; sign in again.
 * - `outbox_full`: too many messages wait for their receipts.
 * - `store_failed`: the store threw; the client stopped, because nothing may be sent or
 *   acknowledged that was not stored.
 * - `no_public_key`: a member has no usable key, so nothing can be encrypted for them.
 * - `key_changed`: a member's key is not the one seen before; see `SottoClient.trustKey`.
 */
export type ClientErrorCode =
  | "network"
  | "timeout"
  | "bad_answer"
  | "closed"
  | "stopped"
  | "outbox_full"
  | "store_failed"
  | "no_public_key"
  | "key_changed";

/** What {@link SottoError} carries beside its code and its sentence. */
export interface SottoErrorOptions {
  /** The HTTP status; 0 where there was none. */
  readonly status?: number;
  /** Whether the same request may succeed later. Repeating it with the same id is always safe. */
  readonly retryable?: boolean;
  /** What to quote to the server's operator. */
  readonly requestId?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly cause?: unknown;
}

/** A refusal by the server, or a failure on the way to it. */
export class SottoError extends Error {
  override readonly name = "SottoError";
  /** A code of the protocol's registry, or one of {@link ClientErrorCode}. A newer server may know more. */
  readonly code: ErrorCode | ClientErrorCode | (string & {});
  readonly status: number;
  readonly retryable: boolean;
  readonly requestId: string | undefined;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: SottoError["code"], message: string, options: SottoErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.code = code;
    this.status = options.status ?? 0;
    this.retryable = options.retryable ?? false;
    this.requestId = options.requestId;
    this.details = options.details ?? {};
  }
}

/** The server's frame that refuses something. */
export type ErrorFrame = Extract<ServerFrame, { type: "error" }>;

/** An error frame as an error. */
export function fromErrorFrame(frame: ErrorFrame): SottoError {
  return new SottoError(frame.code, frame.message, {
    status: statusOf(frame.code),
    retryable: frame.retryable,
    requestId: frame.request_id,
    ...(frame.details === undefined ? {} : { details: frame.details }),
  });
}

/** Whether a refusal over HTTP may succeed later: the registry knows, else the status tells. */
export function isRetryable(code: string, status: number): boolean {
  return isKnown(code) ? ERRORS[code].retryable : status >= 500 || status === 429;
}

function statusOf(code: string): number {
  return isKnown(code) ? ERRORS[code].status : 0;
}

function isKnown(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
