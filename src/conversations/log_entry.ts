/** From a row of the log to an entry that clients may see. */
import type { LogEntry, MembershipChange, Notice } from "../protocol/mod.ts";
import { openMessageBody } from "./body.ts";
import { EVENT_KINDS } from "./event_log.ts";
import type { EventRow } from "./events_store.ts";
import type { Head } from "./head.ts";
import type { Sealer } from "./sealer.ts";

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
  if (body === null) return { ...base, kind: "tombstone", content: { reason: row.expired ? "expired" : "deleted" } };
  switch (row.kind) {
    case EVENT_KINDS.message:
      return {
        ...base,
        kind: "message",
        content: read(row, () => openMessageBody(sealer, conversation, row.id, body)),
      };
    case EVENT_KINDS.membership:
      return { ...base, kind: "membership", content: read(row, () => parse(body) as MembershipChange) };
    case EVENT_KINDS.notice:
      return { ...base, kind: "notice", content: read(row, () => parse(body) as Notice) };
    default:
      throw new Error(`Teach this version the event kind ${row.kind}`);
  }
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
