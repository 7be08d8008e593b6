/**
 * The frames of the server as schemas: what `/asyncapi.json` says and what tests hold the server to.
 * Nothing is parsed by them at run time. A new type of `ServerFrame` gets a schema here, unless it is an
 * entry of the log (`EventAnswer`), and a note in `sockets.ts`. Times are ISO 8601, UTC.
 */
import { z } from "zod";
import { EventAnswer } from "./answers.ts";
import { ERRORS, type ErrorCode } from "./errors.ts";
import { PingFrame } from "./frames.ts";
import { AccountId, ConversationId, DeviceId, MessageId, ReportId, SessionId } from "./ids.ts";
import { UserStatus } from "./people.ts";
import { ReportReason } from "./reports.ts";

const Time = z.iso.datetime();
const Seq = z.int().min(0).describe("A place in the conversation's log");
const ref = PingFrame.shape.ref.describe("The mark of the frame that this answers");

/** The answer to `ping`. */
export const PONG_FRAME = z.strictObject({ type: z.literal("pong"), ref });

/** A frame that is refused. */
export const ERROR_FRAME = z.strictObject({
  type: z.literal("error"),
  ref,
  id: MessageId.optional().describe("The id of what is refused, where the frame had one"),
  code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
  message: z.string().describe("The same in plain English"),
  retryable: z.boolean().describe("Whether the same frame, with the same id, may succeed later"),
  request_id: z.string().describe("What the server's log calls it"),
  details: z.record(z.string(), z.unknown()).optional().describe("Names of fields, limits or milliseconds"),
});

/** What every socket that belongs to somebody is answered and told, whatever is spoken on it. */
export const SOCKET_ANSWERS = [
  z.strictObject({
    type: z.literal("welcome"),
    ref,
    user_id: AccountId,
    session_id: SessionId,
    device_id: DeviceId,
    expires_at: Time.describe("When the token ends"),
    heartbeat_ms: z.int().min(1).describe("Milliseconds between the server's pings"),
  }),
  PONG_FRAME,
  z.strictObject({ type: z.literal("reauth"), expires_at: Time.describe("When the token ends") }),
  ERROR_FRAME,
] as const;

/** Every frame that the server may send at `/ws`. */
export const ServerFrameSchema = z.discriminatedUnion("type", [
  ...SOCKET_ANSWERS,
  EventAnswer,
  z.strictObject({
    type: z.literal("receipt"),
    ref,
    conversation_id: ConversationId,
    id: MessageId,
    seq: Seq,
    created_at: Time,
    expires_at: Time.optional(),
    in_order: z.boolean().describe("`true`: this stands for the event, which is not sent again on this socket"),
  }),
  z.strictObject({
    type: z.literal("key_exchange"),
    seq: z.int().min(1).describe("The place in this device's inbox"),
    id: MessageId.describe("Made by the sender: with `from_user_id` it tells a repetition"),
    from_user_id: AccountId,
    from_session_id: SessionId.describe("By which the answer reaches that device alone"),
    payload: z.string().describe("Base64"),
    created_at: Time,
  }),
  z.strictObject({ type: z.literal("key_exchange_stored"), ref, id: MessageId }),
  z.strictObject({ type: z.literal("caught_up") }),
  z.strictObject({ type: z.literal("resync") }),
  z.strictObject({
    type: z.literal("truncated"),
    conversation_id: ConversationId,
    truncated_before: Seq.describe("Nothing below this seq will come"),
  }),
  z.strictObject({
    type: z.literal("conversation_left"),
    conversation_id: ConversationId,
    left_seq: Seq.describe("From this seq on nothing will come"),
  }),
  z.strictObject({
    type: z.literal("message_hidden"),
    conversation_id: ConversationId,
    message_id: MessageId,
    message_seq: Seq,
    number: z.int().min(1).describe("Rises from one to the next: the `after` of `GET /api/messages/hidden`"),
  }),
  z.strictObject({ type: z.literal("report_filed"), report_id: ReportId, reason: ReportReason }),
  z.strictObject({
    type: z.literal("settings"),
    conversation_id: ConversationId,
    muted_until: Time.nullable().describe("No sound until then"),
    archived: z.boolean(),
    pinned: z.boolean(),
    first_seq: Seq.describe("Nothing below this seq is theirs to read"),
  }),
  z.strictObject({
    type: z.literal("message_delivered"),
    conversation_id: ConversationId,
    user_id: AccountId,
    seq: Seq.describe("Everything up to it was given to some device of the person"),
  }),
  z.strictObject({
    type: z.literal("presence_update"),
    user_id: AccountId,
    status: UserStatus,
    last_seen: z.iso.date().nullable().describe("The day on which somebody was here who is `offline` now"),
  }),
  z.strictObject({
    type: z.literal("message_read"),
    conversation_id: ConversationId,
    user_id: AccountId,
    seq: Seq,
  }),
  z.strictObject({
    type: z.enum(["typing_start", "typing_stop"]),
    conversation_id: ConversationId,
    user_id: AccountId,
  }),
]);
