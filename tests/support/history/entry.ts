/** An entry of a log, as everybody who was shown it wrote it down. */
import type { AccountId, ConversationId, MessageId } from "../../../src/protocol/mod.ts";

/** An entry of a log as somebody was shown it. */
export interface Entry {
  readonly conversation: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  readonly sender: AccountId;
  readonly createdAt: number;
  readonly kind: "message" | "edit" | "deletion" | "reaction" | "membership" | "notice" | "tombstone";
  /** See {@link bodyOf}; `null` for a tombstone. */
  readonly body: string | null;
  /** Of a `membership`: what it says. */
  readonly change?: MembershipChange;
  /** Of an `edit`, `deletion` or `reaction`: the message that it changes. */
  readonly target?: MessageId;
  /** Of an `edit`: {@link bodyOf} the message with what it says. */
  readonly said?: string;
  /** Of a `reaction`: which, and whether it is to be there. */
  readonly emoji?: string;
  readonly added?: boolean;
  /** Of a `message` that is shown as edited: the id of the edit. */
  readonly version?: MessageId;
}

/** What a membership event says. */
export interface MembershipChange {
  readonly change: "created" | "joined" | "left" | "removed";
  readonly accounts: readonly AccountId[];
}

/** An event frame, from a socket or a page, as an entry. */
// biome-ignore lint/suspicious/noExplicitAny: a frame as it came.
export function entryOf(frame: any): Entry {
  return {
    conversation: frame.conversation_id,
    seq: frame.seq,
    id: frame.id,
    sender: frame.sender_id,
    createdAt: Date.parse(frame.created_at),
    kind: frame.type,
    body: frame.type === "tombstone" ? null : bodyOf(frame),
    ...aboutOf(frame.type, frame),
  };
}

/** What an entry says beside its body, from a frame or a stored body. */
// biome-ignore lint/suspicious/noExplicitAny: a frame as it came.
export function aboutOf(kind: Entry["kind"], content: any): Partial<Entry> {
  switch (kind) {
    case "membership":
      return { change: { change: content.change, accounts: content.user_ids } };
    case "edit":
      return { target: content.message_id, said: bodyOf({ ...content, message_id: null, message_seq: null }) };
    case "deletion":
      return { target: content.message_id };
    case "reaction":
      return { target: content.message_id, emoji: content.emoji, added: content.change === "added" };
    case "message":
      return content.edit_id === undefined ? {} : { version: content.edit_id };
    default:
      return {};
  }
}

const BODY_FIELDS = [
  ...["content", "encrypted_content", "encryption_iv", "reply_to"],
  ...["change", "user_ids", "notice", "user_id", "fingerprint"],
  ...["message_id", "message_seq", "emoji"],
] as const;

/** A short hash of what an entry says: the same for the frame that was sent, the event that came and the stored body. */
export function bodyOf(content: Readonly<Record<string, unknown>>): string {
  const fields = BODY_FIELDS.map((field) => content[field] ?? null);
  return Bun.hash.xxHash64(JSON.stringify([content["message_type"] ?? "text", ...fields])).toString(36);
}
