/** What the keeper of the retention needs of the database beside partitions_store.ts. */
import type { Sql } from "../platform/postgres.ts";

/**
 * Becomes the one keeper of the retention, for as long as the connection lives (a session's
 * advisory lock); false: another node is. `sql` must be a connection of its own.
 */
export async function becomeKeeper(sql: Sql): Promise<boolean> {
  const [row] = await sql.query<{ kept: boolean }>(
    "select pg_try_advisory_lock(hashtextextended('sotto.retention', 0)) as kept",
  );
  return row?.kept ?? false;
}

/** The database's clock, in milliseconds since the epoch. */
export async function databaseTime(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ now: number }>("select unix_ms(clock_timestamp()) as now");
  if (row === undefined) throw new Error("Ask the database for its time: no row came back");
  return row.now;
}
