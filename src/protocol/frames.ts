/**
 * The frames of the socket protocol, as SPEC.md numbers their rules. A frame is a JSON
 * object in one text message; `type` says which. A client's frame may carry `ref`, which
 * the answer repeats.
 */
import { z } from "zod";
import {
  type ConversationChange,
  type Deletion,
  type Edit,
  type Edited,
  Emoji,
  ExpiresIn,
  MessageContent,
  type MessageStatus,
  type Reaction,
  type Tombstone,
} from "./content.ts";
import type { ErrorCode } from "./errors.ts";
import { AccountId, ConversationId, type DeviceId, MessageId, type ReportId, SessionId } from "./ids.ts";
import { LIMITS } from "./limits.ts";
import { DeviceStatus, type UserStatus } from "./people.ts";
import type { ReportReason } from "./reports.ts";

/** A client's mark on a frame, repeated in its answer. */
const ref = z
  .union([z.string().max(64), z.int()])
  .optional()
  .describe("Repeated in the answer");
const seq = z.int().min(0).describe("A place in the conversation's log");

/** Proves who the socket belongs to, first or again before the token expires [AUTH-2, AUTH-5]. */
export const AuthenticateFrame = z.object({
  type: z.literal("authenticate"),
  ref,
  token: z.string().min(1).max(8_192),
});

/** Sets this socket's cursors to what the device itself has stored, and catches up from there [RES-3]. */
export const ResumeFrame = z.object({
  type: z.literal("resume"),
  ref,
  cursors: z
    .record(ConversationId, seq)
    .refine((cursors) => Object.keys(cursors).length <= LIMITS.resumeCursors, {
      error: `must hold at most ${LIMITS.resumeCursors} conversations`,
    })
    .default({}),
});

/** Sends one message; answered by `receipt` or `error` [MSG-1]. */
export const MessageFrame = MessageContent.extend({
  type: z.literal("message"),
  ref,
  id: MessageId,
  conversation_id: ConversationId,
  expires_in: ExpiresIn.optional(),
});

/** Reacts to a message or takes that back; answered by `receipt` or `error` [CHG-3]. */
export const ReactionFrame = z.object({
  type: z.literal("reaction"),
  ref,
  id: MessageId,
  conversation_id: ConversationId,
  message_id: MessageId,
  emoji: Emoji,
  change: z.enum(["added", "removed"]).default("added"),
});

/** Says that this device has everything up to `seq` [ACK-1]. */
export const MessageAckFrame = z.object({
  type: z.literal("message_ack"),
  ref,
  conversation_id: ConversationId,
  seq,
});

/** Says that the person has read everything up to `seq` [READ-1]. */
export const MessageReadFrame = z.object({
  type: z.literal("message_read"),
  ref,
  conversation_id: ConversationId,
  seq,
});

/** RFC 4648 section 4: the standard alphabet, with padding. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Hands something to somebody's devices, or to one of them; answered by `key_exchange_stored` or `error` [KEX-1]. */
export const KeyExchangeFrame = z.object({
  type: z.literal("key_exchange"),
  ref,
  id: MessageId,
  to_user_id: AccountId,
  to_session_id: SessionId.optional().describe("Only the device of this session of theirs"),
  payload: z
    .string()
    .min(1)
    .max(LIMITS.keyExchangeChars)
    .regex(BASE64, { error: "must be base64 with padding" })
    .describe("What one device hands to another, in base64: the server does not look into it"),
});

/** Says that this device has stored what its inbox held up to `seq` [KEX-4]. */
export const KeyExchangeAckFrame = z.object({
  type: z.literal("key_exchange_ack"),
  ref,
  seq: z.int().min(0).describe("A place in the device's inbox"),
});

/** Says that the person has begun or ended to type [TYP-1]. */
export const TypingFrame = z.object({
  type: z.enum(["typing_start", "typing_stop"]),
  ref,
  conversation_id: ConversationId,
});

/** Says that the person is at this device, or away from it [PRE-2]. */
export const PresenceUpdateFrame = z.object({ type: z.literal("presence_update"), ref, status: DeviceStatus });

/** Asks for `pong` [HB-1]. */
export const PingFrame = z.object({ type: z.literal("ping"), ref });

/** Every frame that a client may send. */
export const ClientFrame = z.discriminatedUnion("type", [
  MessageFrame,
  ReactionFrame,
  MessageAckFrame,
  MessageReadFrame,
  KeyExchangeFrame,
  KeyExchangeAckFrame,
  TypingFrame,
  PresenceUpdateFrame,
  PingFrame,
  ResumeFrame,
  AuthenticateFrame,
]);
/** See {@link ClientFrame}. */
export type ClientFrame = z.infer<typeof ClientFrame>;
/** A client's mark on a frame. */
export type Ref = ClientFrame["ref"];

/** What an event of the log looks like on the wire, over the socket and over HTTP. Times are ISO 8601, UTC. */
export type EventFrame = {
  readonly conversation_id: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  readonly sender_id: AccountId;
  readonly created_at: string;
  readonly expires_at?: string;
} & (
  | ({
      readonly type: "message";
      /** Only on pages over HTTP: who reacted with what, the first ones of them. */
      readonly reactions?: readonly { readonly user_id: AccountId; readonly emoji: string }[];
      /** Only on pages over HTTP, of the caller's own messages. */
      readonly status?: MessageStatus;
    } & MessageContent &
      Edited)
  | {
      readonly type: "membership";
      readonly change: "created" | "joined" | "left" | "removed";
      readonly user_ids: readonly AccountId[];
    }
  | {
      readonly type: "notice";
      readonly notice: "key_changed";
      readonly user_id: AccountId;
      readonly fingerprint: string;
    }
  | ({ readonly type: "change" } & ConversationChange)
  | ({ readonly type: "edit" } & Edit)
  | ({ readonly type: "deletion" } & Deletion)
  | ({ readonly type: "reaction" } & Reaction)
  | ({ readonly type: "tombstone" } & Tombstone)
);

/** A person's own settings of a conversation, to all their devices [SET-2]. */
export interface SettingsFrame {
  readonly type: "settings";
  readonly conversation_id: ConversationId;
  /** No sound until then, ISO 8601; `null`: not muted. */
  readonly muted_until: string | null;
  readonly archived: boolean;
  readonly pinned: boolean;
  /** Nothing below this seq is theirs to read. */
  readonly first_seq: number;
}

/** The server's first frame on an authenticated socket, and its answer to `authenticate` [AUTH-4]. */
export interface WelcomeFrame {
  readonly type: "welcome";
  readonly ref?: Ref;
  readonly user_id: AccountId;
  readonly session_id: SessionId;
  readonly device_id: DeviceId;
  /** When the token ends, ISO 8601. */
  readonly expires_at: string;
  /** Milliseconds between the server's pings. */
  readonly heartbeat_ms: number;
}

/** The answer to `message` and `reaction`, sent after the commit [MSG-1, CHG-3]. */
export interface ReceiptFrame {
  readonly type: "receipt";
  readonly ref?: Ref;
  readonly conversation_id: ConversationId;
  readonly id: MessageId;
  readonly seq: number;
  readonly created_at: string;
  readonly expires_at?: string | undefined;
  /** True: this receipt stands for the event, which is not sent again on this socket [MSG-3]. */
  readonly in_order: boolean;
}

/** Something that another device handed to this one, from its inbox [KEX-3]. */
export interface InboxFrame {
  readonly type: "key_exchange";
  /** The place in this device's inbox. */
  readonly seq: number;
  readonly id: MessageId;
  readonly from_user_id: AccountId;
  /** By which the answer reaches that device alone. */
  readonly from_session_id: SessionId;
  /** Base64. */
  readonly payload: string;
  readonly created_at: string;
}

/** A message that the account deleted for itself. */
export interface HiddenMessage {
  readonly conversation_id: ConversationId;
  readonly message_id: MessageId;
  readonly message_seq: number;
  /** Rises from one to the next of the account: the cursor of `GET /api/messages/hidden`. */
  readonly number: number;
}

/** Every frame that the server may send. */
export type ServerFrame =
  | WelcomeFrame
  | EventFrame
  | ReceiptFrame
  | InboxFrame
  | { readonly type: "key_exchange_stored"; readonly ref?: Ref; readonly id: MessageId }
  | { readonly type: "caught_up" }
  | { readonly type: "resync" }
  | { readonly type: "truncated"; readonly conversation_id: ConversationId; readonly truncated_before: number }
  | SettingsFrame
  | { readonly type: "conversation_left"; readonly conversation_id: ConversationId; readonly left_seq: number }
  | {
      /** Everything up to `seq` was given to some device of the person [READ-3]. */
      readonly type: "message_delivered";
      readonly conversation_id: ConversationId;
      readonly user_id: AccountId;
      readonly seq: number;
    }
  | {
      readonly type: "presence_update";
      readonly user_id: AccountId;
      readonly status: UserStatus;
      /** The day on which somebody was here who is `offline` now, where they show it; else `null`. */
      readonly last_seen: string | null;
    }
  | {
      readonly type: "message_read";
      readonly conversation_id: ConversationId;
      readonly user_id: AccountId;
      readonly seq: number;
    }
  | {
      readonly type: "typing_start" | "typing_stop";
      readonly conversation_id: ConversationId;
      readonly user_id: AccountId;
    }
  | ({ readonly type: "message_hidden" } & HiddenMessage)
  | {
      /** To administrators: there is a new report. What it says is asked for over HTTP [RPT-3]. */
      readonly type: "report_filed";
      readonly report_id: ReportId;
      readonly reason: ReportReason;
    }
  | { readonly type: "pong"; readonly ref?: Ref }
  | { readonly type: "reauth"; readonly expires_at: string }
  | {
      readonly type: "error";
      readonly ref?: Ref;
      /** The id of what is refused, where the frame was a `message`, `reaction` or `key_exchange`. */
      readonly id?: MessageId;
      readonly code: ErrorCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly request_id: string;
      readonly details?: Readonly<Record<string, unknown>>;
    };
