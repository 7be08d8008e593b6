/**
 * The one place where what was thrown becomes an HTTP answer:
 * `{ error: { code, message, requestId, details? } }`. A {@link DomainError} leaves as itself; a fault
 * of the database as `unavailable`; anything else is logged with its cause and leaves as `internal`,
 * without its text. A rejected body is never repeated.
 */
import { NotFoundError, ParseError, ValidationError } from "elysia";
import { z } from "zod";
import { OverloadedError } from "../platform/overloaded.ts";
import { DatabaseFault } from "../platform/postgres.ts";
import { DomainError, ERRORS, type ErrorCode, fieldsOf, tooLong } from "../protocol/mod.ts";

/** An error as it leaves the server. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly error: {
      readonly code: ErrorCode;
      readonly message: string;
      readonly requestId: string;
      readonly details?: Readonly<Record<string, unknown>>;
    };
  };
}

/** Writes the answer for a refusal. */
export function errorAnswer(error: DomainError, requestId: string): ErrorAnswer {
  const { status, message } = ERRORS[error.code];
  const details = error.details === undefined ? {} : { details: error.details };
  return {
    status,
    headers: headersFor(error, status),
    body: { error: { code: error.code, message, requestId, ...details } },
  };
}

/**
 * What was thrown, as a refusal. `expected: false` means that the log must show it with its cause.
 * `allowedMethods` are those that the address knows, when no route was found.
 */
export function refusalOf(
  thrown: unknown,
  allowedMethods: readonly string[],
): { refusal: DomainError; expected: boolean } {
  if (thrown instanceof DomainError) return { refusal: thrown, expected: true };
  if (thrown instanceof ParseError) {
    return thrown.cause === undefined
      ? { refusal: new DomainError("bad_json"), expected: true }
      : refusalOf(thrown.cause, allowedMethods);
  }
  if (thrown instanceof NotFoundError) {
    if (allowedMethods.length === 0) return { refusal: new DomainError("not_found"), expected: true };
    return { refusal: new DomainError("method_not_allowed", { details: { allow: allowedMethods } }), expected: true };
  }
  if (thrown instanceof ValidationError) return { refusal: invalid(thrown), expected: true };
  if (thrown instanceof OverloadedError) return { refusal: new DomainError("overloaded"), expected: true };
  if (thrown instanceof DatabaseFault)
    return { refusal: new DomainError("unavailable", { cause: thrown }), expected: false };
  return { refusal: new DomainError("internal", { cause: thrown }), expected: false };
}

/** Names the fields at fault. Elysia keeps only the first issue, so the schema judges the value once more. */
function invalid(error: ValidationError): DomainError {
  const validator: object = error.validator;
  const schema = "schema" in validator ? validator.schema : validator;
  if (!(schema instanceof z.ZodType)) return new DomainError("bad_request");
  const judged = schema.safeParse(error.value);
  if (judged.success) return new DomainError("bad_request");
  // An id in the address that is not an id names nothing.
  if (error.type === "params") return new DomainError("not_found");
  if (tooLong(judged.error)) return new DomainError("payload_too_large");
  return new DomainError("bad_request", { details: { fields: fieldsOf(judged.error) } });
}

function headersFor(error: DomainError, status: number): Record<string, string> {
  const headers: Record<string, string> = {};
  if (status === 401) headers["www-authenticate"] = "Bearer"; // RFC 9110 section 11.6.1
  if (status === 426) headers["upgrade"] = "websocket"; // RFC 9110 section 15.5.22
  const allow = error.details?.["allow"];
  if (status === 405 && Array.isArray(allow)) headers["allow"] = allow.join(", "); // RFC 9110 section 15.5.6
  const retryAfterMs = error.details?.["retry_after_ms"];
  if (typeof retryAfterMs === "number") headers["retry-after"] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)));
  else if (status === 503 || status === 429) headers["retry-after"] = "1";
  return headers;
}
