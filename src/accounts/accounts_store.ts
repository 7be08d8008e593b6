/** The statements on `accounts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";

/** A row of `accounts` without what only sign-in needs. */
export interface StoredAccount {
  readonly id: AccountId;
  readonly username: string;
  readonly email: string | null;
  readonly displayName: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: AccountId;
  username: string;
  email: string | null;
  display_name: string | null;
  created_at: Date;
  updated_at: Date;
}

/** What {@link insertAccount} writes. */
export interface NewAccount {
  readonly id: AccountId;
  readonly username: string;
  readonly usernameKey: string;
  readonly email: string | null;
  readonly emailKey: string | null;
  readonly displayName: string | null;
  readonly passwordHash: string;
  readonly now: number;
}

/** Stores an account, or says which of its names another account has. */
export async function insertAccount(
  tx: Sql,
  account: NewAccount,
): Promise<"stored" | "username_taken" | "email_taken"> {
  const { id, username, usernameKey, email, emailKey, displayName, passwordHash } = account;
  try {
    await tx.query(
      `insert into accounts
         (id, username, username_key, email, email_key, display_name, password_hash, created_at, updated_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $8)`,
      [id, username, usernameKey, email, emailKey, displayName, passwordHash, new Date(account.now)],
      "accounts_insert",
    );
    return "stored";
  } catch (error) {
    const constraint = error instanceof Error && "constraint" in error ? error.constraint : undefined;
    if (constraint === "accounts_username_unique") return "username_taken";
    if (constraint === "accounts_email_unique") return "email_taken";
    throw error;
  }
}

/** What sign-in checks, by the folded user name or e-mail address. Read by either unique index. */
export async function findCredentials(
  sql: Sql,
  by: "username" | "email",
  key: string,
): Promise<{ readonly id: AccountId; readonly passwordHash: string } | undefined> {
  const [row] = await sql.query<{ id: AccountId; password_hash: string }>(
    by === "username"
      ? "select id, password_hash from accounts where username_key = $1"
      : "select id, password_hash from accounts where email_key = $1",
    [key],
    `accounts_credentials_${by}`,
  );
  return row === undefined ? undefined : { id: row.id, passwordHash: row.password_hash };
}

/** One account, or `undefined`. */
export async function findAccount(sql: Sql, id: AccountId): Promise<StoredAccount | undefined> {
  const [row] = await sql.query<Row>(
    "select id, username, email, display_name, created_at, updated_at from accounts where id = $1",
    [id],
    "accounts_find",
  );
  if (row === undefined) return undefined;
  const { username, email } = row;
  return { id, username, email, displayName: row.display_name, createdAt: row.created_at, updatedAt: row.updated_at };
}

/** Those of the ids that are accounts. */
export async function listExisting(sql: Sql, ids: readonly AccountId[]): Promise<AccountId[]> {
  const rows = await sql.query<{ id: AccountId }>(
    "select id from accounts where id = any($1::uuid[])",
    [ids],
    "accounts_existing",
  );
  return rows.map((row) => row.id);
}

/** Replaces a password's hash by a stronger one of the same password, unless the password changed meanwhile. */
export async function replaceHash(sql: Sql, id: AccountId, before: string, after: string): Promise<void> {
  await sql.query(
    "update accounts set password_hash = $3 where id = $1 and password_hash = $2",
    [id, before, after],
    "accounts_rehash",
  );
}

/** Makes other sign-ins of the account wait until the transaction ends, so its sessions can be counted. */
export async function lockAccount(tx: Sql, id: AccountId): Promise<void> {
  // Weaker than FOR UPDATE: rows elsewhere that refer to the account can still be written.
  await tx.query("select 1 from accounts where id = $1 for no key update", [id], "accounts_lock");
}
