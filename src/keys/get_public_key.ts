import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";
import { findCurrentKey, type StoredKey } from "./keys_store.ts";
import { toPem } from "./public_key.ts";

/** A public key as it leaves the server. */
export interface PublicKeyAnswer {
  readonly user_id: AccountId;
  /** SubjectPublicKeyInfo as PEM. */
  readonly public_key: string;
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  readonly algorithm: string;
  /** How many keys the account has had, this one included. */
  readonly version: number;
  /** ISO 8601, UTC. */
  readonly created_at: string;
}

/** The current key of an account, or `null` where it has none or there is no such account. */
export async function getPublicKey(deps: { readonly db: Sql }, accountId: AccountId): Promise<PublicKeyAnswer | null> {
  const key = await findCurrentKey(deps.db, accountId);
  return key === undefined ? null : toAnswer(accountId, key);
}

/** Writes a stored key as clients see it. */
export function toAnswer(accountId: AccountId, key: StoredKey): PublicKeyAnswer {
  return {
    user_id: accountId,
    public_key: toPem(key.der),
    fingerprint: Buffer.from(key.fingerprint).toString("hex"),
    algorithm: key.algorithm,
    version: key.version,
    created_at: key.createdAt.toISOString(),
  };
}
