/** How a conversation looks over HTTP, and the cursor of a list of them. */
import {
  ConversationId,
  DomainError,
  type PagePlace,
  readPagePlace,
  type SettingsFrame,
  timestampOf,
  writePagePlace,
} from "../protocol/mod.ts";
import type { ConversationPage } from "./read_conversations.ts";
import type { ConversationSummary, Participant } from "./summaries_store.ts";

/** A `ConversationAnswer`. */
export function summaryAnswer(summary: ConversationSummary) {
  const { type: _, ...settings } = settingsFrame(summary);
  const { conversation_id: id, ...own } = settings;
  return {
    id,
    conversation_type: summary.type,
    encryption: summary.encryption,
    name: summary.name,
    participant_ids: summary.participantIds,
    participant_count: summary.participantCount,
    history: summary.history,
    posting: summary.posting,
    public: summary.isPublic,
    channel: summary.channel,
    role: summary.role,
    last_seq: summary.lastSeq,
    read_seq: summary.readSeq,
    unread_count: summary.unreadCount,
    ...own,
    last_message_id: summary.lastMessageId,
    last_activity: timestampOf(summary.lastActivity),
    message_count: summary.messageCount,
    retention_seconds: summary.retentionSeconds,
    created_at: timestampOf(summary.createdAt),
  };
}

/** What the caller's own devices are told of its settings. */
export function settingsFrame(summary: ConversationSummary): SettingsFrame {
  return {
    type: "settings",
    conversation_id: summary.id,
    muted_until: summary.mutedUntil === null ? null : timestampOf(summary.mutedUntil),
    archived: summary.archived,
    pinned: summary.pinned,
    first_seq: summary.firstSeq,
  };
}

/** A `ParticipantAnswer`. */
export function participantAnswer({ accountId, role, joinedAt }: Participant) {
  return { user_id: accountId, role, joined_at: timestampOf(joinedAt) };
}

/** The `next` of a list: the place of the following page, and the `sync` of the first one. */
export function listCursor({ next, sync }: Pick<ConversationPage, "next" | "sync">): string | null {
  return next === null ? null : `${writePagePlace(next)}_${sync}`;
}

/** Reads a `cursor`. Throws `bad_request` for what no page gave. */
export function readListCursor(cursor: string | undefined): {
  readonly behind: PagePlace<ConversationId> | null;
  readonly sync: number | null;
} {
  const behind = readPagePlace(cursor, ConversationId);
  const sync = cursor?.split("_")[2];
  if (sync === undefined) return { behind, sync: null };
  if (!/^\d{1,14}$/.test(sync)) {
    throw new DomainError("bad_request", { details: { fields: { cursor: "must be the next of an earlier page" } } });
  }
  return { behind, sync: Number(sync) };
}
