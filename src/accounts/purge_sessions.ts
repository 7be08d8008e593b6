import type { AccountDeps } from "./deps.ts";
import { deleteOldSessions } from "./sessions_store.ts";
import { deleteOldTickets } from "./tickets_store.ts";

/** Days for which an ended session is kept, so that its end can be looked into. */
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;
const BATCH = 1_000;

/**
 * Removes sessions and tickets that are of no more use, in one bounded batch; gives how many. Call
 * it again while it gives more than 0. Any node may, at any time.
 */
export async function purgeSessions(deps: Pick<AccountDeps, "db" | "clock">): Promise<number> {
  const now = deps.clock.now();
  const sessions = await deleteOldSessions(deps.db, now - KEEP_MS, BATCH);
  return sessions + (await deleteOldTickets(deps.db, now, BATCH));
}
