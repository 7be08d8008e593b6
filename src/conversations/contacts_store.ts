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
