/** The statements on `public_keys`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";
import type { KeyAlgorithm, ParsedPublicKey } from "./public_key.ts";

/** A row of `public_keys`. */
export interface StoredKey {
  readonly version: number;
  readonly algorithm: KeyAlgorithm;
  readonly der: Uint8Array;
  readonly fingerprint: Uint8Array;
  readonly createdAt: Date;
}

interface Row {
  version: number;
  algorithm: KeyAlgorithm;
  der: Buffer;
  fingerprint: Buffer;
  created_at: Date;
}

/** Makes others who change this account's keys wait until the transaction ends. */
export async function lockKeys(tx: Sql, accountId: AccountId): Promise<void> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended('public_keys ' || $1, 0))`, [accountId], "keys_lock");
}

/** The key that holds now. Read by the primary key, from its end. */
export async function findCurrentKey(sql: Sql, accountId: AccountId): Promise<StoredKey | undefined> {
  const [row] = await sql.query<Row>(
    `select version, algorithm, der, fingerprint, created_at
     from public_keys where account = $1 order by version desc limit 1`,
    [accountId],
    "keys_find_current",
  );
  return row === undefined ? undefined : toKey(row);
}

/** Whether the account ever had this key. */
export async function wasKeyUsed(sql: Sql, accountId: AccountId, fingerprint: Uint8Array): Promise<boolean> {
  const rows = await sql.query(
    "select 1 from public_keys where account = $1 and fingerprint = $2",
    [accountId, Buffer.from(fingerprint)],
    "keys_was_used",
  );
  return rows.length > 0;
}

/** Stores a key as the account's newest. */
export async function insertKey(
  sql: Sql,
  key: ParsedPublicKey & { readonly accountId: AccountId; readonly version: number; readonly now: number },
): Promise<StoredKey> {
  const createdAt = new Date(key.now);
  await sql.query(
    `insert into public_keys (account, version, algorithm, der, fingerprint, created_at)
     values ($1, $2, $3, $4, $5, $6)`,
    [key.accountId, key.version, key.algorithm, Buffer.from(key.der), Buffer.from(key.fingerprint), createdAt],
    "keys_insert",
  );
  const { version, algorithm, der, fingerprint } = key;
  return { version, algorithm, der, fingerprint, createdAt };
}

function toKey(row: Row): StoredKey {
  const { version, algorithm, der, fingerprint } = row;
  return { version, algorithm, der, fingerprint, createdAt: row.created_at };
}
