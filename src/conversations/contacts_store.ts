/** Who shares a conversation with whom. */
import type { Sql } from "../platform/postgres.ts";
import { type AccountId, LIMITS } from "../protocol/mod.ts";

/*
 * Present members of a dm, or of a group of at most $3. Of larger groups no more than $3 + 1 members are
 * counted. Indexes: members_account for both people, members_open.
 */
const CONTACTS_AMONG = `
select distinct b.account
from members a
join members b on b.conversation = a.conversation and b.left_seq is null and b.account = any ($2::uuid[])
join conversations c on c.id = a.conversation
where a.account = $1 and a.left_seq is null and b.account <> $1
  and (c.kind = 1 or (c.kind = 2 and
    (select count(*) from (select 1 from members m where m.conversation = c.id and m.left_seq is null limit $3 + 1) n) <= $3))`;

/** Those of some accounts who share a dm, or a group of at most `LIMITS.contactGroup`, with an account. */
export async function contactsAmong(
  deps: { readonly db: Sql },
  account: AccountId,
  others: readonly AccountId[],
): Promise<ReadonlySet<AccountId>> {
  const rows = await deps.db.query<{ account: AccountId }>(
    CONTACTS_AMONG,
    [account, others, LIMITS.contactGroup],
    "contacts_among",
  );
  return new Set(rows.map((row) => row.account));
}

/*
 * Of each pair the conversations of the first are looked through until one is found that the other is in too.
 * Indexes: members_account, members_open.
 */
const PAIRS_SHARING = `
select p.one, p.other from unnest($1::uuid[], $2::uuid[]) p(one, other)
where exists (
  select 1 from members a
  join members b on b.conversation = a.conversation and b.account = p.other and b.left_seq is null
  join conversations c on c.id = a.conversation
  where a.account = p.one and a.left_seq is null and (c.kind = 1 or (c.kind = 2 and
    (select count(*) from (select 1 from members m where m.conversation = c.id and m.left_seq is null limit $3 + 1) n) <= $3)))`;

/** Those of some pairs of accounts that share a dm, or a group of at most `LIMITS.contactGroup`. */
export async function listPairsSharing(
  sql: Sql,
  pairs: readonly (readonly [AccountId, AccountId])[],
): Promise<[AccountId, AccountId][]> {
  const rows = await sql.query<{ one: AccountId; other: AccountId }>(
    PAIRS_SHARING,
    [pairs.map(([one]) => one), pairs.map(([, other]) => other), LIMITS.contactGroup],
    "pairs_sharing",
  );
  return rows.map(({ one, other }) => [one, other]);
}

/** Conversations of one account that are looked through for contacts. */
const MOST_CONVERSATIONS = 1_000;

/*
 * The contacts of each account, at most $2, in at most $4 of its conversations; who has none is missing. How
 * large a group is is asked once for all who are in it, and the members of a large one are not read.
 * Indexes: members_account, members_open.
 */
const LIST_CONTACTS = `
with own as materialized (
  select r.account, a.conversation
  from unnest($1::uuid[]) r(account)
  cross join lateral (select a.conversation from members a where a.account = r.account and a.left_seq is null limit $4) a),
small as materialized (
  select c.id from (select distinct o.conversation from own o) o
  join conversations c on c.id = o.conversation
  where c.kind = 1 or (c.kind = 2 and
    (select count(*) from (select 1 from members m where m.conversation = c.id and m.left_seq is null limit $3 + 1) n) <= $3))
select o.account, (array_agg(distinct b.account::text))[1:$2] as contacts
from own o
join small s on s.id = o.conversation
cross join lateral (select b.account from members b where b.conversation = s.id and b.left_seq is null offset 0) b
where b.account <> o.account
group by o.account`;

/** Who shares a dm, or a group of at most `LIMITS.contactGroup`, with each of some accounts; at most `most` of each. */
export async function listContactsOf(
  sql: Sql,
  accounts: readonly AccountId[],
  most: number,
): Promise<ReadonlyMap<AccountId, readonly AccountId[]>> {
  const rows = await sql.query<{ account: AccountId; contacts: AccountId[] }>(
    LIST_CONTACTS,
    [accounts, most, LIMITS.contactGroup, MOST_CONVERSATIONS],
    "list_contacts",
  );
  return new Map(rows.map((row) => [row.account, row.contacts]));
}
