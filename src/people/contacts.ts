/** Whom somebody may be told of: those they share a dm or a small group with, where neither blocks the other. */
import { listContactsOf, listPairsSharing } from "../conversations/mod.ts";
import type { Sql } from "../platform/postgres.ts";
import type { AccountId } from "../protocol/mod.ts";
import { listBlockedPairs } from "./blocks_store.ts";

/** The contacts of an account. */
export interface ContactOf {
  readonly account: AccountId;
  readonly contacts: readonly AccountId[];
}

/** The contacts of each of some accounts, at most `most` of each. */
export async function listContacts(
  deps: { readonly db: Sql },
  accounts: readonly AccountId[],
  most: number,
): Promise<readonly ContactOf[]> {
  const [contacts, blocked] = await Promise.all([
    listContactsOf(deps.db, accounts, most),
    listBlockedPairs(deps.db, accounts),
  ]);
  return accounts.map((account) => {
    const hidden = blocked.get(account);
    const all = contacts.get(account) ?? [];
    return { account, contacts: hidden === undefined ? all : all.filter((other) => !hidden.has(other)) };
  });
}

/** Those of some pairs of accounts who are contacts. */
export async function pairsInContact(
  deps: { readonly db: Sql },
  pairs: readonly (readonly [AccountId, AccountId])[],
): Promise<readonly (readonly [AccountId, AccountId])[]> {
  const [sharing, blocked] = await Promise.all([
    listPairsSharing(deps.db, pairs),
    listBlockedPairs(deps.db, [...new Set(pairs.map(([one]) => one))]),
  ]);
  return sharing.filter(([one, other]) => blocked.get(one)?.has(other) !== true);
}
