/** The statements on `departures` and `retired_names`. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation } from "../platform/sql_states.ts";
import type { AccountId } from "../protocol/mod.ts";

/**
 * Takes an account's names away and writes down that it goes. Its password becomes one that nobody has,
 * and nobody finds it.
 */
export async function beginDeparture(
  tx: Sql,
  leaving: { readonly id: AccountId; readonly unusableHash: string; readonly now: number },
): Promise<void> {
  await tx.query(
    `update accounts
     set username = 'deleted ' || id, username_key = 'deleted ' || id, email = null, email_key = null,
         email_verified_at = null, display_name = null, display_name_key = null, password_hash = $2,
         password_version = password_version + 1, updated_at = $3
     where id = $1`,
    [leaving.id, leaving.unusableHash, new Date(leaving.now)],
    "departures_rename",
  );
  await tx.query(
    `insert into profiles (account, status, last_seen_to, findable) values ($1, 'offline', 'nobody', false)
     on conflict (account) do update set status = 'offline', last_seen_to = 'nobody', findable = false, last_seen_on = null`,
    [leaving.id],
    "departures_hide",
  );
  await tx.query(
    "insert into departures (account, asked_at) values ($1, $2) on conflict do nothing",
    [leaving.id, new Date(leaving.now)],
    "departures_insert",
  );
}

/** Accounts that go, the longest waiting first. */
export async function listDepartures(sql: Sql, limit: number): Promise<AccountId[]> {
  const rows = await sql.query<{ account: AccountId }>(
    "select account from departures order by asked_at, account limit $1",
    [limit],
    "departures_list",
  );
  return rows.map((row) => row.account);
}

/** Whether a session of the account ended at `since` or later: a node may not have closed its sockets yet. */
export async function hasRecentSession(sql: Sql, id: AccountId, since: number): Promise<boolean> {
  const rows = await sql.query(
    "select 1 from sessions where account = $1 and ended_at >= $2 limit 1",
    [id, new Date(since)],
    "departures_recent_session",
  );
  return rows.length > 0;
}

/**
 * Removes an account's row, and with it every row that refers to it. `false` where somebody has just made
 * it a member of a conversation: leave that too, and try again.
 */
export async function deleteAccount(sql: Sql, id: AccountId): Promise<boolean> {
  try {
    await sql.query("delete from accounts where id = $1", [id], "departures_finish");
    return true;
  } catch (error) {
    if (isForeignKeyViolation(error)) return false;
    throw error;
  }
}

/** Keeps a name from being taken until a time. */
export async function retireName(tx: Sql, name: { readonly hash: Uint8Array; readonly freeAt: number }): Promise<void> {
  await tx.query(
    "insert into retired_names (name_hash, free_at) values ($1, $2) on conflict (name_hash) do update set free_at = $2",
    [Buffer.from(name.hash), new Date(name.freeAt)],
    "retired_names_insert",
  );
}

/** Whether a name may not be taken yet. */
export async function isNameRetired(sql: Sql, hash: Uint8Array, now: number): Promise<boolean> {
  const rows = await sql.query(
    "select 1 from retired_names where name_hash = $1 and free_at > $2",
    [Buffer.from(hash), new Date(now)],
    "retired_names_find",
  );
  return rows.length > 0;
}

/** Forgets names that may be taken again. */
export async function freeNames(sql: Sql, now: number): Promise<void> {
  await sql.query("delete from retired_names where free_at <= $1", [new Date(now)], "retired_names_free");
}
