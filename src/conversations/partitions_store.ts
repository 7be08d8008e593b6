/**
 * Partitions of the events: what there is, and the statements that make and remove it (0014).
 * They need a role that owns the tables. Names come from the catalogue and are checked again
 * before they stand in a statement, because DDL takes no parameters.
 */
import type { Sql } from "../platform/postgres.ts";

/** A daily partition of the tree that expires. */
export interface DayPartition {
  /** Its table, `events_dYYYYMMDD`. */
  readonly name: string;
  /**
   * - `attached`: in the tree.
   * - `detaching`: a detach was interrupted and must be finalized before another can begin.
   * - `detached`: out of the tree, not yet dropped.
   */
  readonly state: "attached" | "detaching" | "detached";
}

/** Makes what is missing around `now` (milliseconds since the epoch) and gives how many were made. */
export async function createPartitions(sql: Sql, now: number): Promise<number> {
  const [row] = await sql.query<{ made: number }>("select ensure_partitions(to_timestamp($1::float8 / 1000)) as made", [
    now,
  ]);
  return row?.made ?? 0;
}

/** The daily partitions whose day lies before `before`, oldest first. `before`: a date, `YYYY-MM-DD`. */
export function listDayPartitions(sql: Sql, before: string): Promise<DayPartition[]> {
  return sql.query<DayPartition>(
    `select c.relname as name,
            case when i.inhrelid is null then 'detached' when i.inhdetachpending then 'detaching' else 'attached' end as state
     from pg_class c left join pg_inherits i on i.inhrelid = c.oid
     where c.relkind = 'r' and c.relnamespace = (select relnamespace from pg_class where oid = 'events'::regclass)
       and c.relname ~ '^events_d[0-9]{8}$' and substr(c.relname, 9) < to_char($1::date, 'YYYYMMDD')
     order by c.relname`,
    [before],
  );
}

/**
 * The partitions of both trees that hold bodies which may have to be removed one by one, oldest first: all
 * but those in `going`, and those whose detach was interrupted too.
 */
export async function listPartitionsWithBodies(sql: Sql, going: readonly string[]): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `select c.relname as name
     from pg_inherits i join pg_class c on c.oid = i.inhrelid
     where i.inhparent in ('events_expiring'::regclass, 'events_kept'::regclass) and c.relname <> all ($1::text[])
     order by c.relname`,
    [going],
  );
  return rows.map((row) => row.name);
}

/**
 * Removes the bodies of at most `limit` expired events of a partition and gives how many. By its partial index
 * on expires_at; rows that are locked are left for the next time.
 */
export async function expireBodies(sql: Sql, partition: string, now: number, limit: number): Promise<number> {
  const [row] = await sql.query<{ done: number }>(
    `with due as (
       select ctid from ${checked(partition)}
       where expires_at <= to_timestamp($1::float8 / 1000) and expires_at is not null and body is not null
       order by expires_at limit $2 for update skip locked),
     gone as (
       update ${checked(partition)} set body = null, reason = 2
       where ctid = any (array(select ctid from due)) returning 1)
     select count(*)::int as done from gone`,
    [now, limit],
  );
  return row?.done ?? 0;
}

/** Removes at most `limit` reactions to messages that expired, and gives how many. */
export async function expireReactions(sql: Sql, now: number, limit: number): Promise<number> {
  const [row] = await sql.query<{ done: number }>(
    "select expire_reactions(to_timestamp($1::float8 / 1000), $2) as done",
    [now, limit],
  );
  return row?.done ?? 0;
}

/** Whether everything in a partition has expired. */
export async function isPartitionOver(sql: Sql, partition: string, now: number): Promise<boolean> {
  const [row] = await sql.query<{ over: boolean }>(
    "select partition_is_over($1::regclass, to_timestamp($2::float8 / 1000)) as over",
    [partition, now],
  );
  return row?.over ?? false;
}

/** Raises `purged_seq` for at most `limit` conversations after `after`; gives the last of them, or `null` at the end. */
export async function raisePurged(sql: Sql, partition: string, after: string, limit: number): Promise<string | null> {
  const [row] = await sql.query<{ last: string | null }>("select raise_purged($1::regclass, $2::uuid, $3) as last", [
    partition,
    after,
    limit,
  ]);
  return row?.last ?? null;
}

/**
 * Takes a partition out of the tree while readers and writers go on. Runs outside of a
 * transaction and waits for the transactions that may use it; without lock_timeout, because an
 * interrupted detach stays pending until {@link finalizeDetach}.
 */
export async function detachPartition(sql: Sql, partition: string): Promise<void> {
  await sql.query(`alter table events_expiring detach partition ${checked(partition)} concurrently`);
}

/** Completes a detach that was interrupted. */
export async function finalizeDetach(sql: Sql, partition: string): Promise<void> {
  await sql.query(`alter table events_expiring detach partition ${checked(partition)} finalize`);
}

/** Drops a partition that is out of the tree. */
export async function dropPartition(sql: Sql, partition: string): Promise<void> {
  await sql.query(`drop table ${checked(partition)}`);
}

function checked(name: string): string {
  if (!/^events_(d[0-9]{8}|m[0-9]{6})$/.test(name)) throw new Error(`Name a partition: current value is ${name}`);
  return name;
}
