/** From a row of the log to an entry that clients may see. */
import type { LogEntry, MembershipChange, Notice } from "../protocol/mod.ts";
import { openMessageBody } from "./body.ts";
import { EVENT_KINDS } from "./event_log.ts";
import type { EventRow } from "./events_store.ts";
import type { Head } from "./head.ts";
import type { Sealer } from "./sealer.ts";

/** Opens a row; one without a body is a tombstone. Throws where the body cannot be decrypted. */
export function toLogEntry(sealer: Sealer, conversation: Pick<Head, "id" | "dataKey">, row: EventRow): LogEntry {
  const base = {
    id: row.id,
    conversationId: row.conversationId,
    seq: row.seq,
    senderId: row.senderId,
    createdAt: row.at,
    expiresAt: row.expiresAt,
  };
  if (row.body === null) {
    return { ...base, kind: "tombstone", content: { reason: row.expired ? "expired" : "deleted" } };
  }
  switch (row.kind) {
    case EVENT_KINDS.message:
      return { ...base, kind: "message", content: openMessageBody(sealer, conversation, row.id, row.body) };
    case EVENT_KINDS.membership:
      return { ...base, kind: "membership", content: JSON.parse(Buffer.from(row.body).toString()) as MembershipChange };
    case EVENT_KINDS.notice:
      return { ...base, kind: "notice", content: JSON.parse(Buffer.from(row.body).toString()) as Notice };
    default:
      throw new Error(`Teach this version the event kind ${row.kind}`);
  }
}
