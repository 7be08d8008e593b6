/**
 * The codec port and its JSON implementation. A frame is decoded once at the edge and an
 * event is encoded once for all who receive it. Decoding never throws: a fault is a value.
 */
import type { z } from "zod";
import type { LogEntry } from "./content.ts";
import type { ErrorCode } from "./errors.ts";
import { ClientFrame, type EventFrame, type Ref, type ServerFrame } from "./frames.ts";
import { MessageId } from "./ids.ts";
import { LIMITS } from "./limits.ts";
import { quickFrame } from "./quick_frame.ts";

/** Why a frame could not be decoded; `ref` and `id` are given where they could be read. */
export interface FrameFault {
  readonly code: ErrorCode;
  readonly ref?: Ref;
  readonly id?: MessageId;
  readonly details?: Readonly<Record<string, unknown>>;
}

/** How frames become bytes and back. */
export interface Codec {
  readonly name: string;
  /** Reads one frame; `fault` says what is wrong with it. */
  decode(text: string): { readonly frame: ClientFrame } | { readonly fault: FrameFault };
  /** Writes one frame of the server. */
  encode(frame: ServerFrame): string;
  /** Writes one entry of the log as an event frame; the result may be sent to any number of sockets. */
  encodeEvent(entry: LogEntry): string;
}

/** JSON in text messages, the codec that every client speaks. */
export const jsonCodec: Codec = {
  name: "json",
  decode: decodeJson,
  encode: (frame) => JSON.stringify(frame),
  encodeEvent: (entry) => JSON.stringify(toEventFrame(entry)),
};

/** The wire form of a log entry, for the socket and for HTTP pages alike. */
export function toEventFrame(entry: LogEntry): EventFrame {
  return {
    type: entry.kind,
    conversation_id: entry.conversationId,
    seq: entry.seq,
    id: entry.id,
    sender_id: entry.senderId,
    created_at: timestampOf(entry.createdAt),
    expires_at: entry.expiresAt === null ? undefined : timestampOf(entry.expiresAt), // left out by JSON
    ...entry.content,
  } as EventFrame;
}

let lastTime = { ms: Number.NaN, text: "" };

/** A time as ISO 8601, UTC. The entries of a batch share theirs, so the last one is kept. */
export function timestampOf(ms: number): string {
  if (ms !== lastTime.ms) lastTime = { ms, text: new Date(ms).toISOString() };
  return lastTime.text;
}

const KNOWN_TYPES: ReadonlySet<string> = new Set([
  ...["message", "reaction", "message_ack", "message_read", "typing_start", "typing_stop"],
  ...["key_exchange", "key_exchange_ack", "presence_update", "ping", "resume", "authenticate"],
]);

function decodeJson(text: string): ReturnType<Codec["decode"]> {
  const value = parseJson(text);
  if (value === undefined || value === null || typeof value !== "object" || Array.isArray(value)) {
    return { fault: { code: "bad_json" } };
  }
  const plain = quickFrame(value as Record<string, unknown>);
  if (plain !== undefined) return { frame: plain };
  const parsed = ClientFrame.safeParse(value);
  if (parsed.success) return { frame: parsed.data };
  return { fault: frameFault(value as Record<string, unknown>, parsed.error) };
}

function frameFault(value: Record<string, unknown>, error: z.ZodError): FrameFault {
  const ref =
    typeof value.ref === "number" || (typeof value.ref === "string" && value.ref.length <= 64) ? value.ref : undefined;
  const id = MessageId.safeParse(value.id);
  const mark = { ...(ref === undefined ? {} : { ref }), ...(id.success ? { id: id.data } : {}) };
  if (typeof value.type !== "string" || !KNOWN_TYPES.has(value.type)) return { code: "unknown_frame", ...mark };
  return { code: tooLong(error) ? "payload_too_large" : "bad_frame", ...mark, details: { fields: fieldsOf(error) } };
}

const CONTENT_FIELDS: ReadonlySet<string> = new Set(["content", "encrypted_content", "payload"]);

/** Whether an error is about a content field that is too long and about nothing else. */
export function tooLong(error: z.ZodError): boolean {
  return error.issues.every((issue) => issue.code === "too_big" && CONTENT_FIELDS.has(String(issue.path[0])));
}

/** The fields that a zod error names, with what is wrong and never with their values. */
export function fieldsOf(error: z.ZodError): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const issue of error.issues.slice(0, 10)) {
    // The key of a record, and of a field that nobody knows, is the client's own word, as a value is.
    const path = issue.code === "invalid_key" ? issue.path.slice(0, -1) : issue.path;
    const message = issue.code === "unrecognized_keys" ? "must hold no other fields" : issue.message;
    fields[path.slice(0, 4).join(".").slice(0, 80) || "(body)"] = message.slice(0, 200);
  }
  return fields;
}

/**
 * Parses JSON of limited depth, or gives `undefined`. The depth is looked at before
 * parsing, because the parser accepts far deeper input than a serializer can write again.
 * A key `__proto__` is refused.
 */
export function parseJson(text: string): unknown {
  if (!isShallow(text)) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return PROTO_SUSPECT.test(text) && holdsProtoKey(value) ? undefined : value;
  } catch {
    return undefined;
  }
}

/** Any character of the key may be written as an escape; as a text, and not as a key, it is harmless. */
const PROTO_SUSPECT = /__proto__|\\u/;

function holdsProtoKey(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.hasOwn(value, "__proto__") || Object.values(value).some(holdsProtoKey);
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

function isShallow(text: string): boolean {
  // Most frames: one object with nothing in it that could be another, and no need to look at every text.
  if (text.indexOf("{", 1) < 0 && !text.includes("[")) return true;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) {
      i = endOfString(text, i);
      if (i < 0) return true; // an open string: the parser refuses it
    } else if (code === 0x7b || code === 0x5b) {
      if (++depth > LIMITS.jsonDepth) return false;
    } else if (code === 0x7d || code === 0x5d) depth--;
  }
  return true;
}

/** The index of the quote that ends the string which starts at `from`, or -1. */
function endOfString(text: string, from: number): number {
  let end = text.indexOf('"', from + 1);
  while (end > 0) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return -1;
}
