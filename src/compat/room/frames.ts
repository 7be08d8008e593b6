/**
 * What is said on `/ws/chat`: the frames of the room, and the codec between them and those of SPEC.md,
 * which is what sessions know. To the contract's frames come those that a socket needs anyway:
 * `authenticate`, `ping`, `welcome`, `reauth`, `pong`, `error`.
 */
import { z } from "zod";
import {
  AuthenticateFrame,
  type ClientFrame,
  type Codec,
  type FrameFault,
  fieldsOf,
  jsonCodec,
  MessageId,
  newMessageId,
  PingFrame,
  parseJson,
  type Ref,
  tooLong,
} from "../../protocol/mod.ts";
import { ROOM } from "./keeper.ts";

/** Characters of a message in the room. Beyond: `payload_too_large`. */
const MESSAGE_CHARS = 10_000;

const Time = z.iso.datetime();
const ref = PingFrame.shape.ref;

/** Says something to everybody. With an `id`, a UUIDv7, it may be said again when its fate is not known: it is shown once. */
export const SayFrame = z.object({
  type: z.literal("message"),
  ref,
  id: MessageId.optional(),
  content: z.string().min(1).max(MESSAGE_CHARS),
});

/** Every frame that a client of the room may send. */
export const RoomClientFrame = z.discriminatedUnion("type", [SayFrame, AuthenticateFrame, PingFrame]);

/** A message, as it is shown to everybody in the room and in its history; `id` is its own. */
export const RoomMessage = z.strictObject({
  id: MessageId,
  username: z.string(),
  content: z.string(),
  timestamp: Time,
});
/** See {@link RoomMessage}. */
export type RoomMessage = z.infer<typeof RoomMessage>;

/** Shown to everybody when somebody said something. */
export const RoomMessageFrame = RoomMessage.extend({ type: z.literal("message") });

/** The answer to a message that was stored, and shown, before: nobody is shown it again. */
export const StoredFrame = z.strictObject({ type: z.literal("stored"), ref, id: MessageId });
/** See {@link StoredFrame}. */
export type StoredFrame = z.infer<typeof StoredFrame>;

/** Shown to everybody when somebody came or went: once for a person, whatever their sockets and nodes. */
export const PresenceFrame = z.strictObject({
  type: z.enum(["join", "leave"]),
  username: z.string(),
  timestamp: Time,
});
/** See {@link PresenceFrame}. */
export type PresenceFrame = z.infer<typeof PresenceFrame>;

/** Sessions of the room speak it; see the head of this file. What is shown to everybody is encoded once, elsewhere. */
export const roomCodec: Codec = {
  name: "room",
  decode,
  // The id in an error is of the client's own making only where it made one; `ref` marks frames here.
  encode: (frame) => JSON.stringify(frame.type === "error" ? { ...frame, id: undefined } : frame),
  encodeEvent: jsonCodec.encodeEvent,
};

const TYPES: ReadonlySet<unknown> = new Set(["message", "authenticate", "ping"]);

function decode(text: string): { readonly frame: ClientFrame } | { readonly fault: FrameFault } {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return { fault: { code: "bad_json" } };
  const parsed = RoomClientFrame.safeParse(value);
  if (!parsed.success) return { fault: faultOf(value, parsed.error) };
  const frame = parsed.data;
  if (frame.type !== "message") return { frame };
  const { id = newMessageId(), content } = frame;
  return {
    frame: { type: "message", ref: frame.ref, id, conversation_id: ROOM, message_type: "text", content },
  };
}

function faultOf(value: object, error: z.ZodError): FrameFault {
  const mark = markOf(value);
  if (!("type" in value) || !TYPES.has(value.type)) return { code: "unknown_frame", ...mark };
  return { code: tooLong(error) ? "payload_too_large" : "bad_frame", ...mark, details: { fields: fieldsOf(error) } };
}

function markOf(value: object): { readonly ref?: Ref } {
  const mark = ref.safeParse("ref" in value ? value.ref : undefined);
  return mark.success && mark.data !== undefined ? { ref: mark.data } : {};
}
