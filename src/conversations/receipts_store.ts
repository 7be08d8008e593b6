/** The statement behind `receipts.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";

/** How far the other members of a conversation are, the one who is least far. */
export interface OthersProgress {
  /** Up to where everything was delivered to all, or read by all; `null` where there is nobody else. */
  readonly delivered: number | null;
  readonly read: number | null;
  /** Messages beyond `delivered` that were confirmed one by one; in a dm alone. */
  readonly confirmed: ReadonlySet<number>;
}

/*
 * A member who came later begins at the seq before they joined, so the least of all cursors is right for
 * every message. Who gives no read marks has read nothing that was sent since they joined; who has read
 * something was given it. In a dm both were there from the start, and clearing it moves `joined_seq`. While one
 * of the two people of a dm blocks the other they seem to be where they were, with what they had confirmed; where
 * both do, where they were when the first one began, for the cursors go on meanwhile.
 * Indexes: members_open, withheld's key, confirmations' key.
 */
const FIND_PROGRESS = `
with others as (
  select m.account, m.joined_seq, coalesce(p.read_receipts, true) as gives,
         least(m.delivered_seq, w.delivered) as delivered, least(m.read_seq, w.read) as read,
         w.blocks, w.before, w.confirmed
  from members m
  left join profiles p on p.account = m.account
  cross join lateral (
    select min(case when w.reader = m.account then coalesce(w.shown_delivered, w.from_seq - 1) else w.from_seq - 1 end) as delivered,
           min(case when w.reader = m.account then coalesce(w.shown_read, w.from_seq - 1) else w.from_seq - 1 end) as read,
           coalesce(bool_or(w.reader = m.account), false) as blocks,
           max(w.shown_confirmed) filter (where w.reader = m.account) as confirmed,
           min(w.from_seq) filter (where w.reader <> m.account) as before
    from withheld w
    where w.conversation = m.conversation and w.to_seq is null and (w.reader = m.account or w.sender = m.account)) w
  where m.conversation = $1 and m.account <> $2 and m.left_seq is null)
select min(case when o.gives then greatest(o.delivered, o.read) else o.delivered end) as delivered,
       min(case when o.gives and me.gives then o.read when c.kind = 1 then 0 else o.joined_seq - 1 end) as read,
       (select array_agg(f.seq::float8) from (
          select f.seq, o.before from others o
          join confirmations f on f.conversation = $1 and f.account = o.account and not o.blocks
          union all select unnest(o.confirmed), o.before from others o where o.blocks) f
        where f.seq between $3 and $4 and (f.before is null or f.seq < f.before)) as confirmed
from others o
join conversations c on c.id = $1
cross join (select coalesce((select p.read_receipts from profiles p where p.account = $2), true) as gives) me`;

/** How far all other members are; `from` and `to` bound the messages that may be confirmed one by one. */
export async function findOthersProgress(
  sql: Sql,
  of: {
    readonly conversationId: ConversationId;
    readonly accountId: AccountId;
    readonly from: number;
    readonly to: number;
  },
): Promise<OthersProgress> {
  const [row] = await sql.query<{ delivered: number | null; read: number | null; confirmed: number[] | null }>(
    FIND_PROGRESS,
    [of.conversationId, of.accountId, of.from, of.to],
    "others_progress",
  );
  return {
    delivered: row?.delivered ?? null,
    read: row?.read ?? null,
    confirmed: new Set(row?.confirmed ?? []),
  };
}
