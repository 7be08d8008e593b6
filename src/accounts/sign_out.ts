import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import { lockAccount } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import type { Principal } from "./principal.ts";
import { readRefreshToken } from "./refresh_token.ts";
import { endSession, lockSession } from "./sessions_store.ts";

/** What {@link signOut} is asked: who is signed in, or a refresh token, or both. */
export interface SignOutInput {
  readonly caller: Principal | null;
  readonly refreshToken: string | null;
}

/** What {@link signOut} did. */
export interface SignOutResult {
  readonly accountId: AccountId;
  /** Sessions that ended now: close their sockets. */
  readonly ended: readonly SessionId[];
}

/**
 * Ends the caller's session, and that of the refresh token where one is given.
 *
 * - A refresh token alone is enough, also one that was rotated: who holds it may only do harm to it.
 * - With a caller, the refresh token must be of the same account.
 *
 * Throws `unauthorized` where neither says whose session is meant. Ending an ended session is no error.
 */
export async function signOut(deps: AccountDeps, input: SignOutInput): Promise<SignOutResult> {
  const { caller } = input;
  const token = input.refreshToken === null ? null : readRefreshToken(deps.refreshKeys, input.refreshToken);
  if (input.refreshToken !== null && token === null) throw new DomainError("unauthorized");
  const now = deps.clock.now();
  const result = await deps.db.transaction(async (tx) => {
    // Two sign-outs that name each other's sessions would lock them crosswise.
    if (caller !== null) await lockAccount(tx, caller.accountId);
    const named = token === null ? undefined : await lockSession(tx, token.sessionId);
    const accountId = caller?.accountId ?? named?.accountId;
    if (accountId === undefined || (named !== undefined && named.accountId !== accountId)) {
      throw new DomainError("unauthorized");
    }
    const ids = new Set([caller?.sessionId, named?.id].filter((id) => id !== undefined));
    const ended: SessionId[] = [];
    for (const id of ids) {
      if (await endSession(tx, id, now)) ended.push(id);
    }
    return { accountId, ended };
  });
  deps.liveness.drop(result.ended);
  return result;
}
