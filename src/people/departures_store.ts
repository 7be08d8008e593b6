/** What the removal of closed accounts needs of the database beside the slices' own statements. */
import type { Sql } from "../platform/postgres.ts";

/**
 * Becomes the one who removes closed accounts, for as long as the connection lives (a session's advisory
 * lock); false: another node is. `sql` must be a connection of its own.
 */
export async function becomeRemover(sql: Sql): Promise<boolean> {
  const [row] = await sql.query<{ held: boolean }>(
    "select pg_try_advisory_lock(hashtextextended('sotto.departures', 0)) as held",
  );
  return row?.held ?? false;
}
