import type { Sql } from "../platform/postgres.ts";
import { DomainError, type SessionId } from "../protocol/mod.ts";
import { lockAccount } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import type { Principal } from "./principal.ts";
import { endSession, endSessionsOf, ownsSession } from "./sessions_store.ts";

/**
 * Ends one of the caller's sessions, which may be the one that asks; gives what ended: close its sockets.
 *
 * Throws `not_found` for a session that has ended, is somebody else's or never was: they look the same.
 */
export async function endOwnSession(
  deps: AccountDeps,
  input: { readonly caller: Principal; readonly sessionId: SessionId },
): Promise<readonly SessionId[]> {
  const { caller, sessionId } = input;
  const ended = await deps.db.transaction(async (tx) => {
    await lockLiveCaller(tx, caller);
    if (!(await ownsSession(tx, caller.accountId, sessionId))) throw new DomainError("not_found");
    return (await endSession(tx, sessionId, deps.clock.now())) ? [sessionId] : [];
  });
  deps.liveness.drop(ended);
  return ended;
}

/** Ends every session of the caller but the one that asks; gives those that ended: close their sockets. */
export async function endOtherSessions(
  deps: AccountDeps,
  input: { readonly caller: Principal },
): Promise<readonly SessionId[]> {
  const { accountId, sessionId } = input.caller;
  const ended = await deps.db.transaction(async (tx) => {
    await lockLiveCaller(tx, input.caller);
    return endSessionsOf(tx, { accountId, except: sessionId, now: deps.clock.now() });
  });
  deps.liveness.drop(ended);
  return ended;
}

/** Of two sessions that end each other at once one wins: the other has ended, whatever this node still believed. */
async function lockLiveCaller(tx: Sql, { accountId, sessionId }: Principal): Promise<void> {
  await lockAccount(tx, accountId);
  if (!(await ownsSession(tx, accountId, sessionId))) throw new DomainError("unauthorized");
}
