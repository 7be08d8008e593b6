/** One message, as somebody sees it who may have left since. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, MessageId } from "../protocol/mod.ts";
import { type EventRow, type EventSqlRow, toEventRow } from "./events_store.ts";

/*
 * The id's own time bounds the partitions, as where messages are changed; the newest edit is the reader's, as on
 * pages. Indexes: events (id, conversation), members' key, withheld's key, edits' key.
 */
const FIND_SEEN = `
select e.conversation, e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, x.expired,
       case when not x.expired then coalesce(n.body, e.body) end as body,
       n.id as edit_id, n.at as edit_at, false as hidden
from events e
cross join lateral (
  select case when e.conversation = any ($4::uuid[]) then int8multirange(int8range(1, null))
              else seen_seqs(e.conversation, $2) end as seen,
         withheld_seqs(e.conversation, $2) as withheld,
         coalesce(e.expires_at <= clock_timestamp(), false) as expired) x
left join lateral newest_edit(e.conversation, e.seq, x.seen, case when e.sender <> $2 then x.withheld end) d
  on e.body is not null
left join lateral edit_at(d.kept, d.day, e.conversation, d.seq) n on true
where e.id = $1 and e.kind = 1 and ($3::uuid is null or e.conversation = $3)
  and e.day >= (time_of_id($1) at time zone 'utc')::date - 2 and e.day <= (time_of_id($1) at time zone 'utc')::date + 2
  and x.seen @> e.seq and (e.sender = $2 or (x.withheld @> e.seq) is not true)
limit 1`;

/** Finds a message in a conversation that the reader is or was in, of those that they could see there. */
export async function findSeenRow(
  sql: Sql,
  of: {
    readonly messageId: MessageId;
    readonly readerId: AccountId;
    readonly conversationId: ConversationId | null;
    readonly openTo: readonly ConversationId[];
  },
): Promise<EventRow | null> {
  const values = [of.messageId, of.readerId, of.conversationId, of.openTo];
  const [row] = await sql.query<EventSqlRow & { seq: number }>(FIND_SEEN, values);
  return row === undefined ? null : toEventRow(row, row.seq);
}

/** Whether an account is or was a member, and not of a dm that is kept from them, or the conversation is public. */
export async function hasMembership(sql: Sql, id: ConversationId, account: AccountId): Promise<boolean> {
  const rows = await sql.query(
    `select 1 from channels h where h.conversation = $1 and h.public
     union all
     select 1 from members m where m.conversation = $1 and m.account = $2 and not exists (
       select from withheld w where w.conversation = $1 and w.reader = $2 and w.from_seq = 1 and w.to_seq is null)
     limit 1`,
    [id, account],
    "was_in",
  );
  return rows.length > 0;
}
