/** From a row of the log to an entry that clients may see. */

import type { Sealer } from "../platform/sealer.ts";
import {
  type ConversationChange,
  type Deletion,
  type Edit,
  type LogEntry,
  type MembershipChange,
  type Notice,
  type Reaction,
  type Tombstone,
  timestampOf,
} from "../protocol/mod.ts";
import { openBody } from "./body.ts";
import { EVENT_KINDS } from "./event_log.ts";
import type { EventRow } from "./events_store.ts";
import type { Head } from "./head.ts";

/**
 * Opens a row; one without a body is a tombstone. Throws where the body cannot be read: with the id
 * alone, because what a parser says of a text quotes it.
 */
export function toLogEntry(sealer: Sealer, conversation: Pick<Head, "id" | "dataKey">, row: EventRow): LogEntry {
  const base = {
    id: row.id,
    conversationId: row.conversationId,
    seq: row.seq,
    senderId: row.senderId,
    createdAt: row.at,
    expiresAt: row.expiresAt,
  };
  const { body } = row;
  if (body === null) return { ...base, kind: "tombstone", content: { reason: goneWhy(row) } };
  const sealed = <Content>(id = row.id) => read(row, () => openBody<Content>(sealer, conversation, id, body));
  switch (row.kind) {
    case EVENT_KINDS.message: {
      const { edit } = row;
      if (edit === null) return { ...base, kind: "message", content: sealed() };
      const { message_id: _, message_seq: __, ...content } = sealed<Edit>(edit.id);
      return { ...base, kind: "message", content: { ...content, edit_id: edit.id, edited_at: timestampOf(edit.at) } };
    }
    case EVENT_KINDS.membership:
      return { ...base, kind: "membership", content: read(row, () => parse(body) as MembershipChange) };
    case EVENT_KINDS.notice:
      return { ...base, kind: "notice", content: read(row, () => parse(body) as Notice) };
    case EVENT_KINDS.edit:
      return { ...base, kind: "edit", content: sealed<Edit>() };
    case EVENT_KINDS.deletion:
      return { ...base, kind: "deletion", content: read(row, () => parse(body) as Deletion) };
    case EVENT_KINDS.reaction:
      return { ...base, kind: "reaction", content: sealed<Reaction>() };
    case EVENT_KINDS.change:
      return { ...base, kind: "change", content: read(row, () => parse(body) as ConversationChange) };
    default:
      // Written by a newer version: its place in the log is kept, and what it says is for clients of that one.
      return { ...base, kind: "tombstone", content: { reason: "unknown" } };
  }
}

function goneWhy(row: EventRow): Tombstone["reason"] {
  if (row.hidden) return "hidden";
  return row.expired ? "expired" : "deleted";
}

function parse(body: Uint8Array): unknown {
  return JSON.parse(Buffer.from(body).toString());
}

function read<Content>(row: EventRow, open: () => Content): Content {
  try {
    return open();
  } catch {
    throw new Error(
      `Look at the stored body of event ${row.seq} of conversation ${row.conversationId}: it cannot be read`,
    );
  }
}
