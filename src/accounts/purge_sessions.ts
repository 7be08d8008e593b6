import type { AccountDeps } from "./deps.ts";
import { deletePaidGuesses } from "./guesses_store.ts";
import { deleteOldLinks } from "./mail_links_store.ts";
import { deleteOldSessions } from "./sessions_store.ts";
import { deleteOldTickets } from "./tickets_store.ts";

/** Days for which an ended session is kept, so that its end can be looked into. */
const KEEP_MS = 7 * 24 * 60 * 60 * 1_000;
const BATCH = 1_000;
const MOST_BATCHES = 100;

/**
 * Removes sessions, tickets, mailed links and counted guesses that are of no more use, in short statements and a bounded number of
 * them; gives how many rows went. Any node may, at any time.
 */
export async function purgeSessions(deps: Pick<AccountDeps, "db" | "clock">): Promise<number> {
  const now = deps.clock.now();
  let removed = 0;
  for (let i = 0; i < MOST_BATCHES; i++) {
    const sessions = await deleteOldSessions(deps.db, now - KEEP_MS, BATCH);
    const tickets = await deleteOldTickets(deps.db, now, BATCH);
    const links = await deleteOldLinks(deps.db, now, BATCH);
    const guesses = await deletePaidGuesses(deps.db, now, BATCH);
    removed += sessions + tickets + links + guesses;
    if (Math.max(sessions, tickets, links, guesses) < BATCH) break;
  }
  return removed;
}
