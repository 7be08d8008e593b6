import type { Sql } from "../platform/postgres.ts";
import { type AccountId, DomainError } from "../protocol/mod.ts";
import type { KeysDeps } from "./deps.ts";
import { type PublicKeyAnswer, toAnswer } from "./get_public_key.ts";
import { findCurrentKey, insertKey, lockKeys, wasKeyUsed } from "./keys_store.ts";
import { type ParsedPublicKey, parsePublicKey } from "./public_key.ts";

/** What {@link setPublicKey} is asked. */
export interface SetPublicKeyInput {
  readonly accountId: AccountId;
  readonly pem: string;
}

/** What {@link setPublicKey} did. `changed`: peers should be told. */
export interface SetPublicKeyResult {
  readonly changed: boolean;
  readonly key: PublicKeyAnswer;
}

/**
 * Makes a key the account's current one.
 *
 * - The current key again changes nothing and is no error.
 * - An earlier key is refused as `key_reused`: what was replaced may be in other hands.
 * - Changes of one account wait for each other, so versions have no gaps.
 *
 * Throws also `bad_public_key` and `private_key_refused`.
 */
export async function setPublicKey(deps: KeysDeps, input: SetPublicKeyInput): Promise<SetPublicKeyResult> {
  const parsed = parsePublicKey(input.pem);
  const { accountId } = input;
  return deps.db.transaction(async (tx) => {
    await lockKeys(tx, accountId);
    // A statement of its own: its snapshot is newer than the lock.
    const current = await findCurrentKey(tx, accountId);
    if (current !== undefined && Buffer.from(current.fingerprint).equals(parsed.fingerprint)) {
      return { changed: false, key: toAnswer(accountId, current) };
    }
    if (await wasKeyUsed(tx, accountId, parsed.fingerprint)) throw new DomainError("key_reused");
    const version = (current?.version ?? 0) + 1;
    const stored = await insertKey(tx, { ...parsed, accountId, version, now: deps.clock.now() });
    return { changed: true, key: toAnswer(accountId, stored) };
  });
}

/** Stores the first key of an account that is being made in the same transaction. */
export async function insertFirstKey(
  tx: Sql,
  input: { readonly accountId: AccountId; readonly key: ParsedPublicKey; readonly now: number },
): Promise<void> {
  await insertKey(tx, { ...input.key, accountId: input.accountId, version: 1, now: input.now });
}
