/** The statements on `profiles`, and on the names in `accounts` that belong to a profile. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, LastSeenTo, UserStatus } from "../protocol/mod.ts";

/** An account with what it says of itself. */
export interface StoredProfile {
  readonly id: AccountId;
  readonly username: string;
  readonly email: string | null;
  readonly displayName: string | null;
  /** What they chose to be seen as; `null` where their sockets say it. */
  readonly chosenStatus: UserStatus | null;
  readonly lastSeenTo: LastSeenTo;
  readonly findable: boolean;
  readonly readReceipts: boolean;
  /** As `2026-01-31`; `null` where it is not known. */
  readonly lastSeenOn: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: AccountId;
  username: string;
  email: string | null;
  display_name: string | null;
  chosen_status: UserStatus | null;
  last_seen_to: LastSeenTo;
  findable: boolean;
  read_receipts: boolean;
  last_seen_on: string | null;
  created_at: Date;
  updated_at: Date;
}

/** The profile of who never said anything. */
const COLUMNS = `a.id, a.username, a.email, a.display_name, p.chosen_status,
  coalesce(p.last_seen_to, 'contacts') as last_seen_to, coalesce(p.findable, true) as findable,
  coalesce(p.read_receipts, true) as read_receipts, p.last_seen_on::text as last_seen_on, a.created_at, a.updated_at`;

/** One profile. Read by the primary keys. */
export async function findProfile(sql: Sql, id: AccountId): Promise<StoredProfile | undefined> {
  const [row] = await sql.query<Row>(
    `select ${COLUMNS} from accounts a left join profiles p on p.account = a.id where a.id = $1`,
    [id],
    "profiles_find",
  );
  return row === undefined ? undefined : toProfile(row);
}

/** Where a page of found people ends: the key that was found, and whose it is. */
export interface FoundPlace {
  readonly key: string;
  readonly id: AccountId;
}

/** A page of a search is asked for. */
export interface SearchRequest {
  /** Folded as names are. Empty: everybody. */
  readonly prefix: string;
  readonly behind: FoundPlace | null;
  readonly limit: number;
}

/*
 * The names in the order of their bytes, user names and display names merged; who is found by the user
 * name is not found by the display name too. What begins with a prefix lies between it and the prefix with
 * the highest character. Indexes: accounts_by_username, accounts_by_display_name; each is read for
 * about one page.
 */
const SEARCH = `
select f.key, ${COLUMNS}
from (
  (select a.username_key as key, a.id from accounts a left join profiles p on p.account = a.id
   where a.username_key collate "C" >= $1 and a.username_key collate "C" < $1 || U&'\\+10FFFF'
     and (a.username_key collate "C", a.id) > ($2 collate "C", $3::uuid) and coalesce(p.findable, true) and a.disabled_at is null
   order by a.username_key collate "C", a.id limit $4)
  union all
  (select a.display_name_key, a.id from accounts a left join profiles p on p.account = a.id
   where a.display_name_key collate "C" >= $1 and a.display_name_key collate "C" < $1 || U&'\\+10FFFF'
     and (a.display_name_key collate "C", a.id) > ($2 collate "C", $3::uuid) and coalesce(p.findable, true) and a.disabled_at is null
     and not starts_with(a.username_key, $1)
   order by a.display_name_key collate "C", a.id limit $4)) f
join accounts a on a.id = f.id
left join profiles p on p.account = a.id
order by f.key collate "C", f.id limit $4`;

const LOWEST_ID = "00000000-0000-0000-0000-000000000000";

/** Those who let themselves be found, are not disabled, and whose user name or display name begins so. */
export async function searchProfiles(
  sql: Sql,
  request: SearchRequest,
): Promise<{ readonly place: FoundPlace; readonly profile: StoredProfile }[]> {
  const { prefix, behind, limit } = request;
  const rows = await sql.query<Row & { key: string }>(
    SEARCH,
    [prefix, behind?.key ?? "", behind?.id ?? LOWEST_ID, limit],
    "profiles_search",
  );
  return rows.map((row) => ({ place: { key: row.key, id: row.id }, profile: toProfile(row) }));
}

/** Changes the name that others see; `null` takes it away. */
export async function setDisplayName(
  tx: Sql,
  to: { readonly id: AccountId; readonly name: string | null; readonly key: string | null },
): Promise<void> {
  await tx.query(
    "update accounts set display_name = $2, display_name_key = $3 where id = $1",
    [to.id, to.name, to.key],
    "profiles_display_name",
  );
}

/** What {@link writeProfile} changes; `null` leaves it as it is. */
export interface ProfileChange {
  readonly id: AccountId;
  readonly chosenStatus: UserStatus | null;
  readonly lastSeenTo: LastSeenTo | null;
  readonly findable: boolean | null;
  readonly readReceipts: boolean | null;
  readonly now: number;
}

/** Changes a profile; who shows the last day to nobody has none any more. `false` where the account is gone. */
export async function writeProfile(tx: Sql, change: ProfileChange): Promise<boolean> {
  const rows = await tx.query(
    "update accounts set updated_at = $2 where id = $1 returning 1",
    [change.id, new Date(change.now)],
    "profiles_touch",
  );
  if (rows.length === 0) return false;
  await tx.query(
    `insert into profiles as p (account, chosen_status, last_seen_to, findable, read_receipts)
     values ($1, $2, coalesce($3, 'contacts'), coalesce($4, true), coalesce($5, true))
     on conflict (account) do update
       set chosen_status = coalesce($2, p.chosen_status), last_seen_to = coalesce($3, p.last_seen_to),
           findable = coalesce($4, p.findable), read_receipts = coalesce($5, p.read_receipts),
           last_seen_on = case when coalesce($3, p.last_seen_to) = 'nobody' then null else p.last_seen_on end`,
    [change.id, change.chosenStatus, change.lastSeenTo, change.findable, change.readReceipts],
    "profiles_write",
  );
  return true;
}

/** Notes the day (`2026-01-31`) on which some accounts were here, where they let anybody know. */
export async function noteLastSeen(sql: Sql, ids: readonly AccountId[], day: string): Promise<void> {
  await sql.query(
    `insert into profiles as p (account, last_seen_on)
     select a.id, $2::date from accounts a where a.id = any ($1::uuid[]) order by a.id
     on conflict (account) do update set last_seen_on = excluded.last_seen_on
       where p.last_seen_to <> 'nobody' and p.last_seen_on is distinct from excluded.last_seen_on`,
    [ids, day],
    "profiles_last_seen",
  );
}

/** What of a person's profile decides on what others are told of them while they are connected. */
export interface PersonSettings {
  /** What they chose to be seen as; `null` where their sockets say it. */
  readonly chosenStatus: UserStatus | null;
  readonly lastSeenTo: LastSeenTo;
  readonly readReceipts: boolean;
}

/** The settings of who never said anything. */
export const STANDARD_SETTINGS: PersonSettings = { chosenStatus: null, lastSeenTo: "contacts", readReceipts: true };

/** The settings of some accounts; who never said anything is missing. Read by the primary key. */
export async function listSettings(
  sql: Sql,
  ids: readonly AccountId[],
): Promise<ReadonlyMap<AccountId, PersonSettings>> {
  const rows = await sql.query<Pick<Row, "id" | "chosen_status" | "last_seen_to" | "read_receipts">>(
    "select account as id, chosen_status, last_seen_to, read_receipts from profiles where account = any ($1::uuid[])",
    [ids],
    "profiles_settings",
  );
  return new Map(
    rows.map((row) => [
      row.id,
      { chosenStatus: row.chosen_status, lastSeenTo: row.last_seen_to, readReceipts: row.read_receipts },
    ]),
  );
}

function toProfile(row: Row): StoredProfile {
  const { id, username, email, findable } = row;
  return {
    id,
    username,
    email,
    displayName: row.display_name,
    chosenStatus: row.chosen_status,
    lastSeenTo: row.last_seen_to,
    findable,
    readReceipts: row.read_receipts,
    lastSeenOn: row.last_seen_on,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
