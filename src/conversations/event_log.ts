/**
 * The event log: what appends to conversations' logs, for the whole node.
 *
 * - An answer `stored` or `known` comes after the commit, with the event's place [P1].
 * - The events of one conversation are stored in the order of the calls to `append` [P2]. When one
 *   is answered `busy` or `unavailable`, so is every one behind it in that conversation, so a
 *   sender that repeats them in order keeps its order. An event that is submitted after such an
 *   answer was given is not held back: who must keep order does that when it is `settled`, which
 *   happens before anything else runs. The reactions of a promise would come too late for that.
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
  /**
   * Appends one event. `settled` is called once, in the step in which the answer is known, within the
   * limit `deadlineMs`, perhaps before `submit` returns; it must neither throw nor submit.
   */
  submit(request: AppendRequest, settled: (outcome: AppendOutcome) => void): void;
  /** The same for callers to whom order does not matter. Never rejects. */
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
  const submit: EventLog["submit"] = (request, settled) =>
    lanes[laneOf(request.conversationId, lanes.length)]?.submit(request, settled);
  return {
    submit,
    append: (request) => new Promise((resolve) => submit(request, resolve)),
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
