/**
 * What a message carries, by the conversation's encryption, and what a log entry is.
 * The same fields travel over HTTP and over the socket.
 */
import { z } from "zod";
import type { AccountId, ConversationId } from "./ids.ts";
import { MessageId } from "./ids.ts";
import { LIMITS } from "./limits.ts";

/** How a conversation's bodies are protected; fixed when it is created. */
export const Encryption = z.enum(["mls", "opaque", "server"]);
/** See {@link Encryption}. */
export type Encryption = z.infer<typeof Encryption>;

/** What sort of conversation it is. */
export const ConversationType = z.enum(["dm", "group", "channel"]);
/** See {@link ConversationType}. */
export type ConversationType = z.infer<typeof ConversationType>;

/** What sort of message it is; `system` is the server's own and refused from clients. */
export const MessageType = z.enum(["text", "image", "file"]);

/**
 * The content of a message.
 *
 * - `opaque`: `encrypted_content`, and `encryption_iv` and `reply_to` where the clients use them.
 * - `server`: `content` and `reply_to`.
 *
 * Any other combination is `encryption_mismatch`.
 */
export const MessageContent = z.object({
  message_type: MessageType.default("text"),
  content: z.string().min(1).max(LIMITS.contentChars).optional().describe("The text, in a `server` conversation"),
  encrypted_content: z
    .string()
    .min(1)
    .max(LIMITS.contentChars)
    .optional()
    .describe("What the client encrypted, in an `opaque` conversation"),
  encryption_iv: z.string().min(1).max(256).optional().describe("Where the clients use one"),
  reply_to: MessageId.optional().describe("The message that this answers"),
});
/** See {@link MessageContent}. */
export type MessageContent = z.infer<typeof MessageContent>;

/** The content alone of what carries it among other fields; what is absent is `undefined`, which JSON leaves out. */
export function contentOf(carrier: MessageContent): MessageContent {
  return {
    message_type: carrier.message_type,
    content: carrier.content,
    encrypted_content: carrier.encrypted_content,
    encryption_iv: carrier.encryption_iv,
    reply_to: carrier.reply_to,
  };
}

const GRAPHEMES = new Intl.Segmenter("en", { granularity: "grapheme" });

/** One emoji: a single character as people count them, of at most 64 units, in Unicode's form NFC. */
export const Emoji = z
  .string()
  .min(1)
  .max(64)
  .transform((text) => text.normalize("NFC"))
  .refine((text) => /\p{Extended_Pictographic}|\p{Regional_Indicator}|\u20e3/u.test(text) && isOneGrapheme(text), {
    error: "must be one emoji",
  });

function isOneGrapheme(text: string): boolean {
  return [...GRAPHEMES.segment(text)].length === 1;
}

/** How far a message of one's own has got: with everybody else it is for, as far as they let it be known. */
export const MessageStatus = z.enum(["sent", "delivered", "read"]);
/** See {@link MessageStatus}. */
export type MessageStatus = z.infer<typeof MessageStatus>;

/** Seconds until the message expires; absent means the conversation's retention. */
export const ExpiresIn = z.int().min(1).max(LIMITS.expirySeconds).describe("Seconds until a message expires");

/** What a member may do: owners and admins change the conversation and its members; there is one owner. */
export const Role = z.enum(["owner", "admin", "member"]);
/** See {@link Role}. */
export type Role = z.infer<typeof Role>;

/** What a membership event says. `user_ids` are those it happened to. `ended`: everybody, so nobody sees it. */
export interface MembershipChange {
  readonly change: "created" | "joined" | "left" | "removed" | "ended";
  readonly user_ids: readonly AccountId[];
}

/** What a `change` entry says of a conversation: only what is different from now on. */
export interface ConversationChange {
  readonly name?: string;
  /** Whose role changed, and to which. Where it is `owner`, who gave it is an admin now. */
  readonly user_id?: AccountId;
  readonly role?: Role;
  /** Seconds that messages live from now on; `null`: they are kept. */
  readonly settings?: { readonly retention_seconds: number | null };
}

/** What the server itself has to say in a conversation: a member published another public key. */
export interface Notice {
  readonly notice: "key_changed";
  readonly user_id: AccountId;
  /** SHA-256 of the key's DER, in hex. */
  readonly fingerprint: string;
}

/** Which message an entry changes. */
export interface MessageRef {
  readonly message_id: MessageId;
  readonly message_seq: number;
}

/** A message's new content; its type and what it answers are the message's own. */
export type Edit = MessageRef & MessageContent;

/** A message was deleted for all. */
export type Deletion = MessageRef;

/** Somebody reacted to a message, or took that back. */
export interface Reaction extends MessageRef {
  readonly emoji: string;
  readonly change: "added" | "removed";
}

/** How a message shows that it was edited: by which entry, and when (ISO 8601, UTC). */
export interface Edited {
  readonly edit_id?: MessageId;
  readonly edited_at?: string;
}

/**
 * Why there is nothing to show: `hidden` by the reader for themselves; `unknown`: this node runs a version that
 * does not know what a newer one wrote.
 */
export interface Tombstone {
  readonly reason: "deleted" | "expired" | "hidden" | "unknown";
}

/** What all entries of a conversation's log share. Times are milliseconds since the epoch. */
interface LogEntryBase {
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  readonly seq: number;
  readonly senderId: AccountId;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

/**
 * One entry of a conversation's log as clients may see it. A `tombstone` stands where a
 * body was: the seq stays, the bytes are gone.
 */
export type LogEntry =
  | (LogEntryBase & { readonly kind: "message"; readonly content: MessageContent & Edited })
  | (LogEntryBase & { readonly kind: "membership"; readonly content: MembershipChange })
  | (LogEntryBase & { readonly kind: "notice"; readonly content: Notice })
  | (LogEntryBase & { readonly kind: "change"; readonly content: ConversationChange })
  | (LogEntryBase & { readonly kind: "edit"; readonly content: Edit })
  | (LogEntryBase & { readonly kind: "deletion"; readonly content: Deletion })
  | (LogEntryBase & { readonly kind: "reaction"; readonly content: Reaction })
  | (LogEntryBase & { readonly kind: "tombstone"; readonly content: Tombstone });
