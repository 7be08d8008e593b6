/**
 * Reads the body of a request: JSON (RFC 8259) in strict UTF-8, of limited size, depth and time;
 * a form only where a route says so. No body at all reads as `{}`.
 */
import { DomainError, LIMITS, parseJson } from "../protocol/mod.ts";

/** What one route allows beyond the standard. */
export interface BodyRule {
  /** Bytes; the standard is {@link STANDARD_BODY_BYTES}. */
  readonly maxBytes?: number;
  /** Whether `application/x-www-form-urlencoded` is read too. */
  readonly form?: boolean;
}

/** The largest body of a route that says nothing: one message, with room for the fields around it. */
export const STANDARD_BODY_BYTES = LIMITS.frameBytes + 16 * 1024;

const BODY_DEADLINE_MS = 20_000;
const JSON_TYPE = /^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

/**
 * The value of a request's body. Throws `unsupported_media_type`, `payload_too_large` (with
 * `details.max_bytes`), `bad_json`, or `bad_request` for a form that names a field twice or came too slowly.
 */
export async function readBody(request: Request, rule: BodyRule = {}): Promise<unknown> {
  const maxBytes = rule.maxBytes ?? STANDARD_BODY_BYTES;
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  // RFC 9110 section 15.5.16: a coding that we do not undo. None is undone: a small body could become a large one.
  const coding = request.headers.get("content-encoding") ?? "identity";
  if (coding.toLowerCase() !== "identity") throw new DomainError("unsupported_media_type");
  const text = decode(await readBytes(request, maxBytes));
  if (text === "") return {};
  const type = request.headers.get("content-type") ?? "";
  if (rule.form === true && FORM_TYPE.test(type)) return parseForm(text);
  if (!JSON_TYPE.test(type)) throw new DomainError("unsupported_media_type");
  const value = parseJson(text);
  if (value === undefined) throw new DomainError("bad_json");
  return value;
}

async function readBytes(request: Request, maxBytes: number): Promise<Uint8Array> {
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {}); // the read under way ends with `done`
  }, BODY_DEADLINE_MS);
  try {
    for (;;) {
      const { done, value } = await reader.read().catch(() => {
        // The sender has gone; nobody is there to be answered, and nothing here has failed.
        throw new DomainError("bad_request", { details: { fields: { "(body)": "ended too early" } } });
      });
      if (late) throw new DomainError("bad_request", { details: { fields: { "(body)": "came too slowly" } } });
      if (done) return concat(chunks, size);
      size += value.byteLength;
      if (size > maxBytes) {
        await reader.cancel();
        throw tooLarge(maxBytes);
      }
      chunks.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
}

function concat(chunks: readonly Uint8Array[], size: number): Uint8Array {
  const [only] = chunks;
  if (chunks.length === 1 && only !== undefined) return only;
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new DomainError("bad_json", { details: { fields: { "(body)": "must be UTF-8" } } });
  }
}

function parseForm(text: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const [name, value] of new URLSearchParams(text)) {
    if (Object.hasOwn(fields, name) || name === "__proto__") {
      throw new DomainError("bad_request", { details: { fields: { "(body)": "must hold each field once" } } });
    }
    fields[name] = value;
  }
  return fields;
}

function tooLarge(maxBytes: number): DomainError {
  return new DomainError("payload_too_large", { details: { max_bytes: maxBytes } });
}
