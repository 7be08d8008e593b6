import type { SessionEnd, SessionId } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { listSessionEnds } from "./session_lists_store.ts";

/** Those of some sessions that are over, and why, as the database says now: what closes their sockets. */
export async function sessionEnds(
  deps: Pick<AccountDeps, "db">,
  ids: readonly SessionId[],
): Promise<ReadonlyMap<SessionId, SessionEnd>> {
  const ends = new Map((await listSessionEnds(deps.db, ids)).map(({ id, end }) => [id, end]));
  return new Map(
    ids.flatMap((id): [SessionId, SessionEnd][] => {
      const end = ends.get(id);
      if (end === undefined) return [[id, "session_ended"]]; // it ended so long ago that its row is gone
      return end === null ? [] : [[id, end]];
    }),
  );
}
