/** The statements behind `cursors.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, DeviceId } from "../protocol/mod.ts";

/** What a device has acknowledged in one conversation. */
export interface DeviceCursor {
  readonly deviceId: DeviceId;
  readonly accountId: AccountId;
  readonly conversationId: ConversationId;
  readonly seq: number;
  /** When that entry was stored (ms), where it is known: later reads leave older partitions unread. */
  readonly at: number | null;
}

/** What a person has read in one conversation. */
export interface ReadCursor {
  readonly accountId: AccountId;
  readonly conversationId: ConversationId;
  readonly seq: number;
}

/*
 * Both cursors in one statement: the device's own, and the account's delivered cursor. Rows are
 * taken in the order of the arrays, which the caller sorts. A cursor of a conversation that the
 * account never was in is left out by the join; one beyond the end counts as the end.
 */
const WRITE_DEVICE_CURSORS = `
with given as materialized (
  select g.device, g.account, g.conversation, g.ord, g.acked_day,
         least(g.seq, coalesce(m.left_seq, c.last_seq)) as seq, m.joined_seq
  from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::date[])
       with ordinality g(device, account, conversation, seq, acked_day, ord)
  join conversations c on c.id = g.conversation
  cross join lateral (
    select m.joined_seq, m.left_seq from members m
    where m.conversation = g.conversation and m.account = g.account
    order by m.joined_seq desc limit 1) m),
written as (
  insert into device_cursors (device, conversation, account, acked_seq, acked_day)
  select device, conversation, account, seq, acked_day from given order by ord
  on conflict (device, conversation) do update
    set acked_seq = excluded.acked_seq, acked_day = coalesce(excluded.acked_day, device_cursors.acked_day)
    where excluded.acked_seq > device_cursors.acked_seq)
update members m set delivered_seq = g.seq
from (select conversation, account, joined_seq, max(seq) as seq from given group by 1, 2, 3) g
where m.conversation = g.conversation and m.account = g.account and m.joined_seq = g.joined_seq
  and m.delivered_seq < g.seq`;

/** Raises device cursors and, with them, the accounts' delivered cursors. */
export async function writeDeviceCursors(sql: Sql, cursors: readonly DeviceCursor[]): Promise<void> {
  await sql.query(
    WRITE_DEVICE_CURSORS,
    [
      cursors.map((c) => c.deviceId),
      cursors.map((c) => c.accountId),
      cursors.map((c) => c.conversationId),
      cursors.map((c) => c.seq),
      cursors.map((c) => (c.at === null ? null : new Date(c.at).toISOString().slice(0, 10))),
    ],
    "write_device_cursors",
  );
}

/*
 * As a rule somebody has read everything there is; else the event's own row knows how many count up to it
 * (0034). A dm that was cleared has a higher count already.
 */
const WRITE_READ_CURSORS = `
update members m
set read_seq = s.seq, changed_at = clock_timestamp(), counted_read = greatest(m.counted_read,
      case when s.seq = c.last_seq then c.counted else counted_at(c.id, s.seq) end)
from unnest($1::uuid[], $2::uuid[], $3::bigint[]) g(account, conversation, seq)
join conversations c on c.id = g.conversation
cross join lateral (select least(g.seq, c.last_seq) as seq) s
where m.conversation = g.conversation and m.account = g.account and m.left_seq is null and m.read_seq < s.seq`;

/** Raises the read cursors of present members. */
export async function writeReadCursors(sql: Sql, cursors: readonly ReadCursor[]): Promise<void> {
  await sql.query(
    WRITE_READ_CURSORS,
    [cursors.map((c) => c.accountId), cursors.map((c) => c.conversationId), cursors.map((c) => c.seq)],
    "write_read_cursors",
  );
}
