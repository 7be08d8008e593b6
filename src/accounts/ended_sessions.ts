import type { AccountDeps } from "./deps.ts";
import { type EndedSession, listEndedSessions } from "./session_lists_store.ts";

/** Far more than end in a second on any server of this kind; an older one is found by the minute's check. */
const MOST = 5_000;

/**
 * Sessions that ended at `since` (ms) or later by the clocks of those who ended them, the newest first. What
 * this node still believed of them is forgotten.
 */
export async function endedSessions(
  deps: Pick<AccountDeps, "db" | "liveness">,
  since: number,
): Promise<EndedSession[]> {
  const ended = await listEndedSessions(deps.db, since, MOST);
  deps.liveness.drop(ended.map(({ id }) => id));
  return ended;
}
