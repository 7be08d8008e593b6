import type { AccountId } from "../protocol/mod.ts";
import { listExisting } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";

/** Those of the ids that are accounts, in one statement. */
export async function accountExists(
  deps: Pick<AccountDeps, "db">,
  ids: readonly AccountId[],
): Promise<ReadonlySet<AccountId>> {
  return new Set(ids.length === 0 ? [] : await listExisting(deps.db, ids));
}
