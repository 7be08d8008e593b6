/** The statements on `private_keys`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";

/** A sealed private key. */
export interface StoredPrivateKey {
  /** 1, 2, 3 … */
  readonly version: number;
  readonly blob: string;
  readonly updatedAt: Date;
}

/** The account's key, or `undefined`. */
export async function findPrivateKey(sql: Sql, account: AccountId): Promise<StoredPrivateKey | undefined> {
  const [row] = await sql.query<{ version: number; blob: string; updated_at: Date }>(
    "select version, blob, updated_at from private_keys where account = $1",
    [account],
    "private_keys_find",
  );
  return row === undefined ? undefined : { version: row.version, blob: row.blob, updatedAt: row.updated_at };
}

/** What {@link writePrivateKey} writes. */
export interface PrivateKeyChange {
  readonly account: AccountId;
  readonly blob: string;
  /** The version that it replaces; 0: there is none yet. */
  readonly replaces: number;
  readonly now: number;
}

/**
 * Stores a key in the place of the version that was read, and gives the new version; `null` where
 * another is there. Of several that replace the same version one does.
 */
export async function writePrivateKey(sql: Sql, change: PrivateKeyChange): Promise<number | null> {
  const values = [change.account, change.blob, new Date(change.now)];
  const [row] =
    change.replaces === 0
      ? await sql.query<{ version: number }>(
          `insert into private_keys (account, version, blob, updated_at) values ($1, 1, $2, $3)
           on conflict do nothing returning version`,
          values,
          "private_keys_insert",
        )
      : await sql.query<{ version: number }>(
          `update private_keys set version = version + 1, blob = $2, updated_at = $3
           where account = $1 and version = $4 returning version`,
          [...values, change.replaces],
          "private_keys_replace",
        );
  return row?.version ?? null;
}
