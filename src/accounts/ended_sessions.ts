import type { AccountDeps } from "./deps.ts";
import { type EndedSession, listEndedSessions } from "./sessions_store.ts";

/** Far more than end in a second on any server of this kind; an older one is found by the minute's check. */
const MOST = 5_000;

/** Sessions that ended at `since` (ms) or later by the clocks of the nodes that ended them, the newest first. */
export function endedSessions(deps: Pick<AccountDeps, "db">, since: number): Promise<EndedSession[]> {
  return listEndedSessions(deps.db, since, MOST);
}
