import type { AccountId } from "../protocol/mod.ts";
import { insertServerAccount } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";

/**
 * Makes an account that is the server's own and nobody's, unless it is there; also where several nodes
 * do so at once. It is disabled, and its password is one that nobody has: so nobody signs in as it or
 * finds it. `username` is in lower case and holds a space, as no name that people choose does.
 */
export async function ensureServerAccount(
  deps: AccountDeps,
  account: { readonly id: AccountId; readonly username: string },
): Promise<void> {
  await insertServerAccount(deps.db, { ...account, passwordHash: deps.dummyHash, now: deps.clock.now() });
}
