/** The statements on `accounts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";

/** What an account may do beside what everybody may. */
export type Role = "user" | "admin";

/** A row of `accounts` without what only sign-in needs. */
export interface StoredAccount {
  readonly id: AccountId;
  readonly username: string;
  readonly email: string | null;
  readonly emailVerified: boolean;
  readonly displayName: string | null;
  readonly role: Role;
  readonly disabledAt: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

interface Row {
  id: AccountId;
  username: string;
  email: string | null;
  email_verified: boolean;
  display_name: string | null;
  role: Role;
  disabled_at: Date | null;
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
  readonly displayNameKey: string | null;
  readonly passwordHash: string;
  readonly now: number;
}

/** Stores an account, or says which of its names another account has. */
export async function insertAccount(
  tx: Sql,
  account: NewAccount,
): Promise<"stored" | "username_taken" | "email_taken"> {
  const { id, username, usernameKey, email, emailKey, displayName, displayNameKey, passwordHash } = account;
  try {
    await tx.query(
      `insert into accounts
         (id, username, username_key, email, email_key, display_name, display_name_key, password_hash,
          created_at, updated_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`,
      [id, username, usernameKey, email, emailKey, displayName, displayNameKey, passwordHash, new Date(account.now)],
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

/** Accounts that administer and are not disabled, by id. */
export async function listAdministrators(sql: Sql, limit: number): Promise<AccountId[]> {
  const rows = await sql.query<{ id: AccountId }>(
    "select id from accounts where role = 'admin' and disabled_at is null order by id limit $1",
    [limit],
    "accounts_administrators",
  );
  return rows.map((row) => row.id);
}

/** What a password is checked against. */
export interface Credentials {
  readonly id: AccountId;
  readonly passwordHash: string;
  /** One more with each change of the password, and not with a new hash of the same one. */
  readonly passwordVersion: number;
}

const CREDENTIALS = {
  id: "select id, password_hash, password_version from accounts where id = $1",
  username: "select id, password_hash, password_version from accounts where username_key = $1",
  email: "select id, password_hash, password_version from accounts where email_key = $1",
} as const;

/** What a password is checked against, by id, folded user name or folded e-mail address; each has its unique index. */
export async function findCredentials(
  sql: Sql,
  by: keyof typeof CREDENTIALS,
  key: string,
): Promise<Credentials | undefined> {
  const [row] = await sql.query<{ id: AccountId; password_hash: string; password_version: number }>(
    CREDENTIALS[by],
    [key],
    `accounts_credentials_${by}`,
  );
  if (row === undefined) return undefined;
  return { id: row.id, passwordHash: row.password_hash, passwordVersion: row.password_version };
}

/** The account that an e-mail address is of, by its folded form. */
export async function findByEmail(
  sql: Sql,
  emailKey: string,
): Promise<{ readonly id: AccountId; readonly email: string } | undefined> {
  const [row] = await sql.query<{ id: AccountId; email: string }>(
    "select id, email from accounts where email_key = $1",
    [emailKey],
    "accounts_by_email",
  );
  return row;
}

/** What an account can be found by; names and addresses are folded. */
export type AccountKey =
  | { readonly by: "id"; readonly id: AccountId }
  | { readonly by: "username" | "email"; readonly key: string };

const COLUMNS =
  "id, username, email, email_verified_at is not null as email_verified, display_name, role, disabled_at, created_at, updated_at";
const FINDERS = {
  id: `select ${COLUMNS} from accounts where id = $1`,
  username: `select ${COLUMNS} from accounts where username_key = $1`,
  email: `select ${COLUMNS} from accounts where email_key = $1`,
} as const;

/** One account, or `undefined`. */
export async function findAccount(sql: Sql, id: AccountId): Promise<StoredAccount | undefined> {
  return findAccountBy(sql, { by: "id", id });
}

/** One account by its id, name or address. Read by one of the three unique indexes. */
export async function findAccountBy(sql: Sql, key: AccountKey): Promise<StoredAccount | undefined> {
  const value = key.by === "id" ? key.id : key.key;
  const [row] = await sql.query<Row>(FINDERS[key.by], [value], `accounts_find_${key.by}`);
  return row === undefined ? undefined : toAccount(row);
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

/** The user names of those of the ids that are accounts. Read by the primary key. */
export async function listUsernames(sql: Sql, ids: readonly AccountId[]): Promise<ReadonlyMap<AccountId, string>> {
  const rows = await sql.query<{ id: AccountId; username: string }>(
    "select id, username from accounts where id = any($1::uuid[])",
    [ids],
    "accounts_usernames",
  );
  return new Map(rows.map((row) => [row.id, row.username]));
}

/** Stores a disabled account under a fixed id, unless it is there. */
export async function insertServerAccount(
  sql: Sql,
  account: { readonly id: AccountId; readonly username: string; readonly passwordHash: string; readonly now: number },
): Promise<void> {
  const { id, username, passwordHash } = account;
  await sql.query(
    `insert into accounts (id, username, username_key, password_hash, created_at, updated_at, disabled_at)
     values ($1, $2, $2, $3, $4, $4, $4) on conflict (id) do nothing`,
    [id, username, passwordHash, new Date(account.now)],
    "accounts_insert_server",
  );
}

/** Replaces a password's hash by a stronger one of the same password, unless the password changed meanwhile. */
export async function replaceHash(sql: Sql, id: AccountId, before: string, after: string): Promise<void> {
  await sql.query(
    "update accounts set password_hash = $3 where id = $1 and password_hash = $2",
    [id, before, after],
    "accounts_rehash",
  );
}

/** Sets another password. The caller holds the account's lock. */
export async function setPasswordHash(
  tx: Sql,
  to: { readonly id: AccountId; readonly passwordHash: string; readonly now: number },
): Promise<void> {
  await tx.query(
    `update accounts set password_hash = $2, password_version = password_version + 1, updated_at = $3 where id = $1`,
    [to.id, to.passwordHash, new Date(to.now)],
    "accounts_set_password",
  );
}

/** Sets an address that its owner has shown to read; `email_taken` where another account has it: end the transaction then. */
export async function setVerifiedEmail(
  tx: Sql,
  to: { readonly id: AccountId; readonly email: string; readonly emailKey: string; readonly now: number },
): Promise<"stored" | "email_taken"> {
  try {
    await tx.query(
      `update accounts
       set email = $2, email_key = $3, email_verified_at = $4, updated_at = $4
       where id = $1 and (email_key is distinct from $3 or email_verified_at is null)`,
      [to.id, to.email, to.emailKey, new Date(to.now)],
      "accounts_set_email",
    );
    return "stored";
  } catch (error) {
    if (error instanceof Error && "constraint" in error && error.constraint === "accounts_email_unique")
      return "email_taken";
    throw error;
  }
}

/** Gives an account a role; `false` where it has that already. */
export async function setRole(tx: Sql, id: AccountId, role: Role): Promise<boolean> {
  const rows = await tx.query(
    "update accounts set role = $2 where id = $1 and role <> $2 returning 1",
    [id, role],
    "accounts_set_role",
  );
  return rows.length === 1;
}

/** Disables an account, or enables it (`null`); `false` where it is so already. */
export async function setDisabled(tx: Sql, id: AccountId, at: number | null): Promise<boolean> {
  const rows = await tx.query(
    `update accounts set disabled_at = $2
     where id = $1 and (disabled_at is null) <> ($2::timestamptz is null) returning 1`,
    [id, at === null ? null : new Date(at)],
    "accounts_set_disabled",
  );
  return rows.length === 1;
}

/**
 * Locks an account until the transaction ends: its sign-ins and changes of password and address come one
 * after another. Gives what may have changed meanwhile, or `undefined` where it is gone.
 */
export async function lockAccount(tx: Sql, id: AccountId): Promise<LockedAccount | undefined> {
  // Weaker than FOR UPDATE: rows elsewhere that refer to the account can still be written.
  const [row] = await tx.query<LockedAccount>(
    `select password_version as "passwordVersion", email, disabled_at is not null as disabled
     from accounts where id = $1 for no key update`,
    [id],
    "accounts_lock",
  );
  return row;
}

/** What {@link lockAccount} gives. */
export interface LockedAccount {
  /** Raised by every change of the password. */
  readonly passwordVersion: number;
  readonly email: string | null;
  readonly disabled: boolean;
}

/** How many accounts there are; reads them all. */
export async function countAccounts(sql: Sql): Promise<{ total: number; disabled: number; admins: number }> {
  const [row] = await sql.query<{ total: number; disabled: number; admins: number }>(
    `select count(*) as total, count(disabled_at) as disabled, count(*) filter (where role = 'admin') as admins
     from accounts`,
  );
  return row ?? { total: 0, disabled: 0, admins: 0 };
}

function toAccount(row: Row): StoredAccount {
  const { id, username, email, role } = row;
  return {
    id,
    username,
    email,
    emailVerified: row.email_verified,
    displayName: row.display_name,
    role,
    disabledAt: row.disabled_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}
