/**
 * The one registry of ends: why the server closes a socket. The range says what the
 * client does next, so an unknown code is handled too [CLS-1]:
 *
 * - 4400-4499: stop. The same credentials will not work; sign in or refresh first.
 * - 4500-4599 and every code below 4000: reconnect with backoff and resume.
 */
export const CLOSE_CODES = {
  bad_protocol: 4400,
  unauthorized: 4401,
  wrong_session: 4403,
  /** A public channel is public no more. */
  channel_gone: 4404,
  authentication_timeout: 4408,
  too_many_sockets: 4409,
  session_ended: 4410,
  account_disabled: 4411,
  failing: 4500,
  unavailable: 4503,
  slow_reader: 4508,
  unacknowledged: 4509,
  flooding: 4529,
  /** The node drains: RFC 6455's registry calls 1012 "Service Restart". */
  draining: 1012,
} as const;

/** A reason from {@link CLOSE_CODES}. */
export type CloseReason = keyof typeof CLOSE_CODES;

/** Why a session is over, as its sockets are told [AUTH-6, AUTH-7]. */
export type SessionEnd = Extract<CloseReason, "session_ended" | "account_disabled">;

/** Whether a client that saw this close code should come back by itself [CLS-1]. */
export function mayReconnect(code: number): boolean {
  return code < 4400 || code >= 4500;
}
