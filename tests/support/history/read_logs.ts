/** The final read of a history: what the tables hold of every log, its members and its cursors. */
import type { Sql } from "../../../src/platform/postgres.ts";
import type { AccountId, ConversationId, DeviceId, MessageId } from "../../../src/protocol/mod.ts";
import { aboutOf, bodyOf, type Entry } from "./entry.ts";
import type { FinalRead, StoredLog } from "./history.ts";

interface HeadRow {
  id: ConversationId;
  is_dm: boolean;
  last_seq: number;
  purged_seq: number;
  retention_seconds: number | null;
  sealed: boolean;
}
interface EventRow {
  conversation: ConversationId;
  seq: number;
  id: MessageId;
  sender: AccountId;
  kind: number;
  at: number;
  body: Uint8Array | null;
}
interface MemberRow {
  conversation: ConversationId;
  account: AccountId;
  joined: number;
  left: number | null;
}
interface CursorRow {
  conversation: ConversationId;
  device: DeviceId;
  account: AccountId;
  acknowledged: number;
}

const KINDS: Readonly<Record<number, Entry["kind"]>> = {
  ...{ 1: "message", 2: "membership", 3: "notice", 4: "edit", 5: "deletion", 6: "reaction" },
};

/**
 * Reads every conversation of the database. Bodies that the server sealed cannot be compared, so a
 * run whose bodies count uses conversations that are `opaque`; others are refused.
 */
export async function readLogs(sql: Sql): Promise<Omit<FinalRead, "at">> {
  const heads = await sql.query<HeadRow>(
    `select id, kind = 1 as is_dm, last_seq, purged_seq, retention_seconds, data_key is not null as sealed from conversations order by id`,
  );
  const sealed = heads.find((head) => head.sealed);
  if (sealed !== undefined) throw new Error(`Open no conversation that the server seals: ${sealed.id}`);
  const events = grouped(
    await sql.query<EventRow>(
      `select conversation, seq, id, sender, kind, unix_ms(at) as at, body from events order by conversation, seq`,
    ),
  );
  const members = grouped(
    await sql.query<MemberRow>(`select conversation, account, joined_seq as joined, left_seq as left from members`),
  );
  const cursors = grouped(
    await sql.query<CursorRow>(`select conversation, device, account, acked_seq as acknowledged from device_cursors`),
  );
  const [clock] = await sql.query<{ date: number }>("select unix_ms(clock_timestamp()) as date");
  const logs = heads.map(
    (head): StoredLog => ({
      conversation: head.id,
      isDm: head.is_dm,
      entries: (events.get(head.id) ?? []).map(toEntry),
      lastSeq: head.last_seq,
      purged: head.purged_seq,
      retentionMs: head.retention_seconds === null ? null : head.retention_seconds * 1_000,
      members: members.get(head.id) ?? [],
      cursors: cursors.get(head.id) ?? [],
    }),
  );
  return { date: clock?.date ?? 0, logs };
}

function toEntry(row: EventRow): Entry {
  const { conversation, seq, id, sender, at: createdAt } = row;
  const base = { conversation, seq, id, sender, createdAt };
  if (row.body === null) return { ...base, kind: "tombstone", body: null };
  const content = JSON.parse(Buffer.from(row.body).toString());
  const kind = KINDS[row.kind];
  if (kind === undefined) throw new Error(`Teach this version the event kind ${row.kind}`);
  return { ...base, kind, body: bodyOf(content), ...aboutOf(kind, content) };
}

function grouped<Row extends { readonly conversation: ConversationId }>(
  rows: readonly Row[],
): Map<ConversationId, Row[]> {
  const groups = new Map<ConversationId, Row[]>();
  for (const row of rows) {
    const group = groups.get(row.conversation);
    if (group === undefined) groups.set(row.conversation, [row]);
    else group.push(row);
  }
  return groups;
}
