import type { AccountId } from "../protocol/mod.ts";
import { listUsernames } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";

/** The user names of those of the ids that are accounts, in one statement. */
export async function usernamesOf(
  deps: Pick<AccountDeps, "db">,
  ids: readonly AccountId[],
): Promise<ReadonlyMap<AccountId, string>> {
  return ids.length === 0 ? new Map() : listUsernames(deps.db, ids);
}
