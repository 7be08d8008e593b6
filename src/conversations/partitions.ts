/**
 * Partitions ahead of time, and the removal of what has expired.
 *
 * - An expired event is gone for readers at its moment; its body goes at the next purge, and the
 *   row stays as a tombstone until its partition goes. What is in a partition that goes now loses no
 *   bodies before, each of which costs as much as a message does.
 * - Daily partitions go oldest first and only so. One in the middle might be over before an older
 *   one (an event may have a shorter life than its conversation's retention), and dropping it
 *   would leave a hole in a log; retention is at most 30 days, so what stays is bounded.
 * - A partition stays until no id in it would be accepted as new any more: an id may be 24 h ahead
 *   when it is stored and 24 h behind when it comes again.
 * - Before a partition leaves the tree, `purged_seq` of its conversations says so; a reader below
 *   it is told where the log begins.
 *
 * One node does this at a time: see retention.ts.
 */
import type { Sql } from "../platform/postgres.ts";
import {
  createPartitions,
  type DayPartition,
  detachPartition,
  dropPartition,
  expireBodies,
  expireReactions,
  finalizeDetach,
  isPartitionOver,
  listDayPartitions,
  listPartitionsWithBodies,
  raisePurged,
} from "./partitions_store.ts";

/** What a purge did. */
export interface Purged {
  /** Bodies removed. */
  readonly bodies: number;
  /** Partitions dropped, oldest first. */
  readonly partitions: readonly string[];
}

/** Whole days that a partition's own day must lie back: an id in it may be known for two. */
const SETTLED_DAYS = 2;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** Bodies removed, and heads locked, by one statement. */
const BODIES_AT_ONCE = 1_000;
const HEADS_AT_ONCE = 500;
/** Between two such statements. */
const LONGEST_REST_MS = 1_000;
const LOWEST_ID = "00000000-0000-0000-0000-000000000000";

/**
 * Makes the daily partitions from yesterday to three days ahead and the monthly ones around
 * them; gives how many were made. Safe to call at any time and from several nodes at once; an
 * append needs it to have been called within three days. `now`: milliseconds since the epoch.
 */
export function ensurePartitions(sql: Sql, now: number): Promise<number> {
  return createPartitions(sql, now);
}

/**
 * Removes the bodies of events that expired before `now` (milliseconds since the epoch), and drops
 * the partitions that are over. `sql` must not be in a transaction, must have no lock_timeout and
 * a long statement_timeout, and one caller at a time may run this.
 *
 * Works in bounded steps; `signal` ends it between two of them, and the next call goes on.
 */
export async function purgeExpired(sql: Sql, now: number, signal?: AbortSignal): Promise<Purged> {
  const days = await listDayPartitions(sql, new Date(now - SETTLED_DAYS * DAY_MS).toISOString().slice(0, 10));
  const over = await listOver(sql, days, now);
  // Bodies first, because a detach may wait for minutes; and where one was cut off, nobody knows when any day goes.
  const going = days.some(({ state }) => state === "detaching") ? [] : over;
  const bodies = await purgeBodies(sql, now, { signal, going });
  const partitions = await purgePartitions(sql, days, over, signal);
  return { bodies, partitions };
}

/** What {@link purgeBodies} may be told. */
export interface PurgeBodiesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Partitions that are left as they are, because they are dropped as a whole right after. */
  readonly going?: readonly string[];
}

/**
 * Removes the bodies of all events that expired before `now`, with their reactions, and gives how many bodies.
 * Where there are many it rests after each step as long as the step took: nobody waits for it, and what is sent
 * meanwhile needs the processor and the disk too.
 */
export async function purgeBodies(sql: Sql, now: number, options: PurgeBodiesOptions = {}): Promise<number> {
  const { signal, going = [] } = options;
  let bodies = 0;
  for (const partition of await listPartitionsWithBodies(sql, going)) {
    bodies += await inSteps(() => expireBodies(sql, partition, now, BODIES_AT_ONCE), signal);
  }
  await inSteps(() => expireReactions(sql, now, BODIES_AT_ONCE), signal);
  return bodies;
}

/** Repeats a step until it found less than it may take; gives the sum. */
async function inSteps(step: () => Promise<number>, signal: AbortSignal | undefined): Promise<number> {
  for (let sum = 0; ; ) {
    if (signal?.aborted === true) return sum;
    const begun = performance.now();
    const done = await step();
    sum += done;
    if (done < BODIES_AT_ONCE) return sum;
    await rest(Math.min(LONGEST_REST_MS, performance.now() - begun));
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The days that are over, oldest first, up to the first that is not. */
async function listOver(sql: Sql, days: readonly DayPartition[], now: number): Promise<string[]> {
  const over: string[] = [];
  for (const { name, state } of days) {
    if (state !== "attached") continue;
    if (!(await isPartitionOver(sql, name, now))) break;
    over.push(name);
  }
  return over;
}

async function purgePartitions(
  sql: Sql,
  days: readonly DayPartition[],
  over: readonly string[],
  signal?: AbortSignal,
): Promise<string[]> {
  const dropped: string[] = [];
  // What an earlier run left behind comes first: while one detach is pending no other can begin.
  for (const { name, state } of days) {
    if (state === "detaching") await finalizeDetach(sql, name);
    if (state !== "attached") dropped.push(await drop(sql, name));
  }
  for (const name of over) {
    if (signal?.aborted === true) break;
    await announce(sql, name);
    await detachPartition(sql, name);
    dropped.push(await drop(sql, name));
  }
  return dropped;
}

/** Raises `purged_seq` of every conversation in the partition, in steps that lock few heads. */
async function announce(sql: Sql, partition: string): Promise<void> {
  let after: string | null = LOWEST_ID;
  while (after !== null) after = await raisePurged(sql, partition, after, HEADS_AT_ONCE);
}

async function drop(sql: Sql, partition: string): Promise<string> {
  await dropPartition(sql, partition);
  return partition;
}
