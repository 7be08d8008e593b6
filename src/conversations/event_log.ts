/**
 * The event log: what appends to conversations' logs, for the whole node.
 *
 * - An answer `stored` or `known` comes after the commit, with the event's place [P1].
 * - The events of one conversation are stored in the order of the calls to `append` [P2]. When one
 *   is answered `busy` or `unavailable`, so is every one behind it in that conversation, so a
 *   sender that repeats them in order keeps its order. An event that is appended after such an
 *   answer was given is not held back: who must keep order does that from `onRefused`, which is
 *   called before anything else runs.
 * - An event is stored once, however often and wherever it is appended [P3].
 * - Bounded: events and bytes in a queue (`overloaded`), time (`busy`, `unavailable`).
 *
 * A conversation's id picks its lane (lane.ts), so one node writes each log over one connection.
 */
import type { Database } from "../platform/postgres.ts";
import type { ConversationId } from "../protocol/mod.ts";
import type { AppendRequest } from "./event_log_store.ts";
import { type AppendOutcome, Lane, type LaneOptions } from "./lane.ts";

export type { Appended, AppendRequest, EventKind } from "./event_log_store.ts";
export { DIGEST_BYTES, EVENT_KINDS } from "./event_log_store.ts";
export type { AppendOutcome, LogLimits, LogObserver } from "./lane.ts";

/** See the head of this file. Disposing refuses what is new, answers what is queued, and closes. */
export interface EventLog extends AsyncDisposable {
  /** Appends one event. Never rejects; answers within the limit `deadlineMs`. */
  append(request: AppendRequest): Promise<AppendOutcome>;
  /** Events that wait for an answer. */
  readonly depth: number;
}

/** What {@link openEventLog} may be told. */
export interface EventLogOptions extends LaneOptions {
  /** Connections that write: 2 to 4. */
  readonly lanes: number;
}

/** Opens the log; connections are made at the first event. */
export function openEventLog(db: Database, options: EventLogOptions): EventLog {
  const lanes = Array.from(
    { length: Math.max(1, options.lanes) },
    (_, index) => new Lane(db, `lane ${index}`, options),
  );
  return {
    append: (request) =>
      lanes[laneOf(request.conversationId, lanes.length)]?.append(request) ?? Promise.resolve({ status: "failed" }),
    get depth() {
      return lanes.reduce((sum, lane) => sum + lane.depth, 0);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(lanes.map((lane) => lane[Symbol.asyncDispose]()));
    },
  };
}

/** The last 32 bits of a UUID are random. */
function laneOf(id: ConversationId, lanes: number): number {
  return Number.parseInt(id.slice(-8), 16) % lanes;
}
