/** The statements behind `undelivered.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, MessageId, PagePlace } from "../protocol/mod.ts";
import { type EventRow, type EventSqlRow, toEventRow } from "./events_store.ts";

/*
 * Messages from others in the account's opaque dms with a retention, beyond the delivered cursor and
 * not confirmed one by one. Each dm gives at most a page, by its index (conversation, seq); the
 * pages are merged by time. Indexes: members_account, events (conversation, seq), confirmations' key.
 */
const LIST_UNDELIVERED = `
select p.* from (
  select x.*, count(*) over () as found, row_number() over w as place,
         sum(octet_length(x.body)) over w - octet_length(x.body) as before
  from (
    select e.conversation, e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, coalesce(n.body, e.body) as body,
           n.id as edit_id, n.at as edit_at, false as expired, false as hidden
    from members m
    join conversations c on c.id = m.conversation
    cross join lateral (select withheld_seqs(m.conversation, m.account) as seqs) h
    cross join lateral (
      select e.* from events e
      where e.kept = false and e.conversation = m.conversation and e.seq > m.delivered_seq and e.seq >= m.joined_seq
        and e.kind = 1 and e.sender <> m.account and e.body is not null and (h.seqs @> e.seq) is not true
        and (e.expires_at is null or e.expires_at > clock_timestamp())
        and ($2::timestamptz is null or (e.at, e.id) > ($2::timestamptz, $3::uuid))
        and not exists (select 1 from confirmations f
                        where f.conversation = m.conversation and f.account = m.account and f.seq = e.seq)
        and not exists (select 1 from hidden_messages x
                        where x.account = m.account and x.conversation = m.conversation and x.seq = e.seq)
      order by e.seq limit $4 + 1) e
    left join lateral newest_edit(e.conversation, e.seq, int8multirange(int8range(m.joined_seq, null)), h.seqs) d on true
    left join lateral edit_at(d.kept, d.day, e.conversation, d.seq) n on true
    where m.account = $1 and m.left_seq is null and c.kind = 1 and c.encryption = 2
      and c.retention_seconds is not null and c.last_seq > m.delivered_seq
    order by e.at, e.id limit $4 + 1) x
  window w as (order by x.at, x.id)) p
where p.place <= $4 and (p.before = 0 or p.before < $5)
order by p.at, p.id`;

/** Lists the messages that wait for an account, oldest first; one always fits `bytes`. */
export async function listUndeliveredRows(
  sql: Sql,
  account: AccountId,
  behind: PagePlace<MessageId> | null,
  limits: { readonly events: number; readonly bytes: number },
): Promise<{ readonly rows: readonly EventRow[]; readonly more: boolean }> {
  const found = await sql.query<EventSqlRow & { seq: number; found: number }>(LIST_UNDELIVERED, [
    account,
    behind === null ? null : new Date(behind.at).toISOString(),
    behind?.id ?? null,
    limits.events,
    limits.bytes,
  ]);
  const rows = found.map((row) => toEventRow(row, row.seq));
  return { rows, more: (found[0]?.found ?? 0) > rows.length };
}

/** A message as its recipient confirms it. */
export interface ConfirmableRow {
  readonly conversationId: ConversationId;
  readonly seq: number;
}

/*
 * The id's own time bounds the partitions: what is stored under an id was stored within a day of it.
 * Index: events (id, conversation).
 */
const FIND_RECEIVED = `
select e.conversation, e.seq from events e
join members m on m.conversation = e.conversation and m.account = $2
  and m.joined_seq <= e.seq and (m.left_seq is null or e.seq < m.left_seq)
join conversations c on c.id = e.conversation and c.kind = 1 and c.encryption = 2 and c.retention_seconds is not null
where e.kept = false and e.id = $1 and e.kind = 1 and e.sender <> $2
  and (withheld_seqs(e.conversation, $2) @> e.seq) is not true
  and e.day >= (time_of_id($1) at time zone 'utc')::date - 2 and e.day <= (time_of_id($1) at time zone 'utc')::date + 2`;

/** Finds a relayed message by id, for its recipient only. */
export async function findReceived(sql: Sql, id: MessageId, account: AccountId): Promise<ConfirmableRow | null> {
  const [row] = await sql.query<{ conversation: ConversationId; seq: number }>(FIND_RECEIVED, [id, account]);
  return row === undefined ? null : { conversationId: row.conversation, seq: row.seq };
}

const CONFIRM = `insert into confirmations (conversation, account, seq)
  select $1, $2, $3 from members m
  where m.conversation = $1 and m.account = $2 and m.left_seq is null and m.delivered_seq < $3
  on conflict do nothing`;

/*
 * The delivered cursor goes up to just before the first message that still waits, or to the end;
 * what it passes needs no confirmation of its own any more. The member row is locked first, and
 * what waits is looked up by the second statement, which sees what others confirmed meanwhile.
 */
const LOCK_MEMBER = `select greatest(m.delivered_seq, m.joined_seq - 1) as delivered_seq from members m
  where m.conversation = $1 and m.account = $2 and m.left_seq is null for no key update`;
const FOLD = `
update members m set delivered_seq = greatest(m.delivered_seq, f.seq)
from (select coalesce((
    select e.seq - 1 from events e
    where e.conversation = $1 and e.seq > $3 and e.kind = 1 and e.sender <> $2 and e.body is not null
      and ((select withheld_seqs($1, $2)) @> e.seq) is not true
      and (e.expires_at is null or e.expires_at > clock_timestamp())
      and not exists (select 1 from confirmations o where o.conversation = $1 and o.account = $2 and o.seq = e.seq)
      and not exists (select 1 from hidden_messages x where x.account = $2 and x.conversation = $1 and x.seq = e.seq)
    order by e.seq limit 1), (select c.last_seq from conversations c where c.id = $1)) as seq) f
where m.conversation = $1 and m.account = $2 and m.left_seq is null
returning m.delivered_seq`;
const FORGET = "delete from confirmations where conversation = $1 and account = $2 and seq <= $3";

/** Confirms one message and folds what is now contiguous into the delivered cursor. Call it in a transaction. */
export async function confirm(tx: Sql, account: AccountId, message: ConfirmableRow): Promise<void> {
  const { conversationId, seq } = message;
  const [member] = await tx.query<{ delivered_seq: number }>(LOCK_MEMBER, [conversationId, account]);
  if (member === undefined || member.delivered_seq >= seq) return;
  await tx.query(CONFIRM, [conversationId, account, seq]);
  const [folded] = await tx.query<{ delivered_seq: number }>(FOLD, [conversationId, account, member.delivered_seq]);
  if (folded !== undefined) await tx.query(FORGET, [conversationId, account, folded.delivered_seq]);
}
