/**
 * The two ends of leaving for good. `closeAccount` is what the person waits for: afterwards nobody can
 * sign in or find them. `removeAccount` is the last step of what then goes on in the background.
 */
import { createHmac } from "node:crypto";
import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import { findAccount, lockAccount } from "./accounts_store.ts";
import {
  beginDeparture,
  deleteAccount,
  freeNames,
  hasRecentSession,
  listDepartures,
  retireName,
} from "./departures_store.ts";
import type { AccountDeps } from "./deps.ts";
import { deleteLinks } from "./mail_links_store.ts";
import { foldName } from "./names.ts";
import { requirePassword } from "./require_password.ts";
import { endSessionsOf } from "./sessions_store.ts";

/** Days until a name of somebody who left may be taken. */
export const RETIRED_DAYS = 30;

const DAY_MS = 24 * 60 * 60 * 1_000;

/** Who leaves. */
export interface CloseAccountInput {
  readonly accountId: AccountId;
  readonly password: string;
  /** Where the request came from, for throttling. */
  readonly address: string;
}

/**
 * Closes an account for good: its sessions end, its names and its address are taken away, and it is
 * written down that the rest goes. Gives the sessions that ended.
 *
 * Throws `wrong_password`, `rate_limited`, `overloaded`, and `unauthorized` where the account is gone.
 */
export async function closeAccount(deps: AccountDeps, input: CloseAccountInput): Promise<readonly SessionId[]> {
  const { accountId } = input;
  const known = await requirePassword(deps, input);
  const now = deps.clock.now();
  const ended = await deps.db.transaction(async (tx) => {
    const locked = await lockAccount(tx, accountId);
    if (locked?.passwordVersion !== known.passwordVersion) throw new DomainError("wrong_password");
    const account = await findAccount(tx, accountId);
    if (account === undefined) throw new DomainError("unauthorized");
    const hash = retiredNameHash(deps, account.username);
    await retireName(tx, { hash, freeAt: now + RETIRED_DAYS * DAY_MS });
    await deleteLinks(tx, accountId, null);
    await beginDeparture(tx, { id: accountId, unusableHash: deps.dummyHash, now });
    return endSessionsOf(tx, { accountId, except: null, now });
  });
  deps.liveness.drop(ended);
  return ended;
}

/** Accounts that were closed and are not gone yet, at most `limit`. */
export function closedAccounts(deps: Pick<AccountDeps, "db">, limit: number): Promise<readonly AccountId[]> {
  return listDepartures(deps.db, limit);
}

/** What became of the last step. `waits`: sockets may still be open, or somebody made it a member again. */
export interface RemovedAccount {
  readonly status: "gone" | "waits";
  /** Sessions that were begun while the account was closing. */
  readonly ended: readonly SessionId[];
}

/**
 * Removes the account and all that belongs to it alone. Every node looks each second for sessions that
 * ended, so the rows that say so stay for `settleMs`.
 */
export async function removeAccount(
  deps: AccountDeps,
  input: { readonly accountId: AccountId; readonly settleMs: number },
): Promise<RemovedAccount> {
  const now = deps.clock.now();
  await freeNames(deps.db, now);
  const { accountId } = input;
  const ended = await endSessionsOf(deps.db, { accountId, except: null, now });
  deps.liveness.drop(ended);
  if (await hasRecentSession(deps.db, accountId, now - input.settleMs)) return { status: "waits", ended };
  return { status: (await deleteAccount(deps.db, accountId)) ? "gone" : "waits", ended };
}

/** A keyed hash of a name, so that the names of people who left cannot be read or guessed from the table. */
export function retiredNameHash(deps: Pick<AccountDeps, "retiredNameKey">, username: string): Uint8Array {
  return new Uint8Array(createHmac("sha256", deps.retiredNameKey).update(foldName(username)).digest());
}
