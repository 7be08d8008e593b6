/**
 * The keeper of the retention: makes partitions ahead of time, removes bodies that expired, drops
 * partitions that are over (partitions.ts), and empties what was ended (delete_conversation.ts).
 *
 * - Every node starts one; at each turn one of them gets the advisory lock and works.
 * - Each turn uses a connection of its own, because a detach outlasts the pool's deadlines.
 * - The time is the database's, so a node whose clock is wrong removes nothing early.
 * - A turn that fails is told to `fault` and repeated at the next interval; a turn that is cut off
 *   is completed by the next one.
 *
 * Needs a role that owns the tables; give it a database of its own where the application's may not.
 */
import type { Database } from "../platform/postgres.ts";
import { emptyEndings } from "./delete_conversation.ts";
import { ensurePartitions, type Purged, purgeExpired } from "./partitions.ts";
import { becomeKeeper, databaseTime } from "./retention_store.ts";

/** What {@link startRetention} may be told. */
export interface RetentionOptions {
  /** Milliseconds between two turns, a minute unless said otherwise: how long a body may outlive its event. */
  readonly intervalMs?: number;
  /** Milliseconds since the epoch; the database's clock unless said otherwise. */
  readonly now?: () => number;
  /** Told what a turn removed. */
  readonly purged?: (purged: Purged) => void;
  /** Told why a turn failed. */
  readonly fault?: (error: unknown) => void;
}

/** See the head of this file. Disposing ends the turn under way between two steps. */
export interface Retention extends AsyncDisposable {
  /** Makes one turn now; gives what it removed, or `null` where another node is at it. */
  turn(): Promise<Purged | null>;
}

const INTERVAL_MS = 60_000;
/** The longest statement is a detach, which waits for the transactions that were there before it. */
const STATEMENT_MS = 5 * 60_000;
const SETTINGS = {
  // What a crash undoes the next turn does again, so that no step makes those who send wait for the disk. A drop
  // is flushed all the same, and all before it.
  synchronous_commit: "off",
  // A day that was never analyzed has its indexes all the same.
  enable_seqscan: "off",
};

/** Starts the keeper; its first turn is after one interval. Call {@link ensurePartitions} before serving. */
export function startRetention(db: Database, options: RetentionOptions = {}): Retention {
  const intervalMs = options.intervalMs ?? INTERVAL_MS;
  const ending = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  const turn = () => {
    // One turn of this node after the other.
    const next = last.then(() => makeTurn(db, options, ending.signal));
    last = next.catch(() => {});
    return next;
  };
  let timer = setTimeout(tick, intervalMs);
  function tick() {
    turn()
      .then((purged) => purged !== null && options.purged?.(purged))
      .catch((error) => options.fault?.(error))
      .finally(() => {
        if (!ending.signal.aborted) timer = setTimeout(tick, intervalMs);
      });
  }
  return {
    turn,
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      clearTimeout(timer);
      await last;
    },
  };
}

async function makeTurn(db: Database, options: RetentionOptions, signal: AbortSignal): Promise<Purged | null> {
  if (signal.aborted) return null;
  await using connection = await db.connect("retention", { settings: SETTINGS, queryTimeoutMs: STATEMENT_MS });
  if (!(await becomeKeeper(connection))) return null;
  const now = options.now?.() ?? (await databaseTime(connection));
  await ensurePartitions(connection, now);
  await emptyEndings(connection, signal);
  return await purgeExpired(connection, now, signal); // awaited: the connection closes when this returns
}
