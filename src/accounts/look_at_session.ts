import type { SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { dayOf, findSeen, noteSeen } from "./sessions_store.ts";

/**
 * Whether a session lives, by the database. The first look of a day also notes the day, which is all
 * that is kept of when somebody was here: one write a session and day, however many nodes look.
 */
export async function lookAtSession(deps: Pick<AccountDeps, "db" | "clock">, id: SessionId): Promise<boolean> {
  const session = await findSeen(deps.db, id);
  if (session === undefined) return false;
  const today = dayOf(deps.clock.now());
  if (session.seenOn === null || session.seenOn < today) await noteSeen(deps.db, id, today);
  return true;
}
