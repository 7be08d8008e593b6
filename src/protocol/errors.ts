/**
 * The one registry of refusals. An error answers a request or a frame and leaves the
 * connection alive; what ends a connection is in `close_codes.ts`.
 *
 * `retryable` means: the same request, with the same id, may succeed later, and until
 * then nothing was stored or it is unknown whether it was. Repeating is always safe.
 */

interface ErrorEntry {
  readonly status: number;
  readonly retryable: boolean;
  readonly message: string;
}

/** Every code that an error may carry, with its HTTP status and its plain sentence. */
export const ERRORS = {
  bad_json: { status: 400, retryable: false, message: "Send well-formed JSON of limited depth" },
  bad_request: { status: 400, retryable: false, message: "Correct the fields named in details" },
  bad_frame: { status: 400, retryable: false, message: "Correct the fields named in details" },
  unknown_frame: { status: 400, retryable: false, message: "Use a frame type that the protocol knows" },
  bad_public_key: { status: 422, retryable: false, message: "Send exactly one public key as PEM" },
  private_key_refused: { status: 422, retryable: false, message: "Keep your private key: send the public key only" },
  unauthorized: { status: 401, retryable: false, message: "Sign in or send a valid access token" },
  token_expired: { status: 401, retryable: false, message: "Refresh the access token" },
  invalid_credentials: { status: 401, retryable: false, message: "Check the name and the password" },
  wrong_password: { status: 403, retryable: false, message: "Type your current password" },
  link_invalid: {
    status: 401,
    retryable: false,
    message: "Ask for a new link: this one was used, is too old or is none",
  },
  refresh_reused: { status: 401, retryable: false, message: "Sign in again: this refresh token was already used" },
  refresh_raced: { status: 409, retryable: true, message: "Use the token that the other refresh received" },
  account_disabled: { status: 403, retryable: false, message: "Ask who runs the server: this account is disabled" },
  https_required: { status: 403, retryable: false, message: "Use https" },
  forbidden: { status: 403, retryable: false, message: "Ask for something that you may do" },
  use_leave: { status: 403, retryable: false, message: "Leave the conversation instead of deleting it" },
  not_found: { status: 404, retryable: false, message: "Check the address: there is nothing here for you" },
  conversation_not_found: {
    status: 404,
    retryable: false,
    message: "Check the conversation: there is none here for you",
  },
  message_not_found: { status: 404, retryable: false, message: "Check the message: there is none here for you" },
  user_not_found: { status: 404, retryable: false, message: "Check the user: there is none here for you" },
  method_not_allowed: { status: 405, retryable: false, message: "Use a method that this address knows" },
  username_taken: { status: 409, retryable: false, message: "Choose another name" },
  email_taken: { status: 409, retryable: false, message: "Choose another e-mail address" },
  channel_taken: { status: 409, retryable: false, message: "Choose another address for the channel" },
  user_blocked: { status: 409, retryable: false, message: "Unblock the user first" },
  already_member: { status: 409, retryable: false, message: "The user is already a member" },
  conflict: { status: 409, retryable: false, message: "Use a new id" },
  idempotency_conflict: { status: 409, retryable: false, message: "Use a new id for a new body" },
  key_reused: { status: 409, retryable: false, message: "Choose a key that you did not use before" },
  report_closed: { status: 409, retryable: false, message: "Look at the report: it was closed before in another way" },
  out_of_order: { status: 409, retryable: true, message: "Send first the message that was refused before this one" },
  ack_ahead: { status: 409, retryable: false, message: "Acknowledge only what was sent to you" },
  gone: { status: 410, retryable: false, message: "The message was deleted or has expired" },
  precondition_failed: {
    status: 412,
    retryable: false,
    message: "Read again: another version was stored meanwhile, and nothing was changed",
  },
  payload_too_large: { status: 413, retryable: false, message: "Send less" },
  unsupported_media_type: { status: 415, retryable: false, message: "Send application/json" },
  weak_password: { status: 422, retryable: false, message: "Choose a stronger password" },
  id_out_of_window: {
    status: 422,
    retryable: false,
    message: "Make a new id: this one is not of the last 24 hours, and nothing was stored",
  },
  encryption_mismatch: {
    status: 422,
    retryable: false,
    message: "Send the fields that fit the conversation's encryption",
  },
  encryption_unsupported: { status: 422, retryable: false, message: "Choose an encryption that this server offers" },
  too_many_participants: { status: 422, retryable: false, message: "Choose fewer participants" },
  too_many_reactions: { status: 422, retryable: false, message: "Choose among those that you reacted with" },
  too_many_blocked: { status: 422, retryable: false, message: "Unblock somebody first" },
  precondition_required: {
    status: 428,
    retryable: false,
    message: "Say which version you replace: If-Match with its ETag, or If-None-Match: * for the first",
  },
  rate_limited: { status: 429, retryable: true, message: "Wait before you try again" },
  inbox_full: {
    status: 429,
    retryable: true,
    message: "Try again later: a device has no room for more of this",
  },
  too_many_in_flight: { status: 429, retryable: true, message: "Wait for receipts before you send more" },
  upgrade_required: { status: 426, retryable: false, message: "Connect with a WebSocket" },
  internal: { status: 500, retryable: false, message: "Report this with its request id: something failed here" },
  mail_disabled: { status: 501, retryable: false, message: "Ask the operator: this server sends no mail" },
  busy: { status: 503, retryable: true, message: "Try again: the conversation is busy" },
  overloaded: { status: 503, retryable: true, message: "Try again later: too much is waiting" },
  unavailable: { status: 503, retryable: true, message: "Try again: a part of the server does not answer" },
} as const satisfies Record<string, ErrorEntry>;

/** A code from {@link ERRORS}. */
export type ErrorCode = keyof typeof ERRORS;

/** What {@link DomainError} may carry beside its code. */
export interface DomainErrorOptions {
  /** Goes out with the answer: field names, limits, seconds; never content. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Stays here: what the log shows. */
  readonly cause?: unknown;
}

/** An expected refusal. Anything else that is thrown leaves the server as `internal`. */
export class DomainError extends Error {
  override readonly name = "DomainError";
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>> | undefined;

  constructor(code: ErrorCode, options: DomainErrorOptions = {}) {
    super(ERRORS[code].message, { cause: options.cause });
    this.code = code;
    this.details = options.details;
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
