import type { SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { listLiveSessions } from "./sessions_store.ts";

/** Those of some sessions that live, as the database says now: what closes the sockets of the others. */
export async function liveSessions(deps: AccountDeps, ids: readonly SessionId[]): Promise<ReadonlySet<SessionId>> {
  return new Set(await listLiveSessions(deps.db, ids));
}
