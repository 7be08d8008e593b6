/**
 * A lane: one connection, one queue, at most one batch in flight.
 *
 * How an event goes:
 *
 *     submit -> queue -> batch in flight -> settled
 *                 ^            |  fault: the connection is replaced, the batch goes back to the front
 *                 |            |  lock timeout: back to the front, and the next batch skips locked heads
 *                 +------------+  busy: back to the front, its conversation is parked
 *                                 unexpected error: back to the front, and the next batch is half as large
 *
 * - A batch takes from the front of the queue, so per conversation it is always a prefix of what
 *   waits, and what goes back goes to the front: order within a conversation is kept without
 *   further care. One batch in flight, because two could commit in either order.
 * - Running a batch again is safe at any time: the function recognises what is stored.
 * - Parked conversations are left out of ordinary batches and tried every `probeMs` with a batch
 *   that skips locked heads, so one stuck head costs the others one lock timeout, once.
 * - An event that is still unsettled at its deadline is answered, also while in flight; what the
 *   batch says later is ignored. Its effect is unknown then, and the same id again tells.
 */
import { type Connection, type Database, DatabaseFault } from "../platform/postgres.ts";
import { isLockTimeout, isTransactionLoss } from "../platform/sql_states.ts";
import type { ConversationId, MessageId } from "../protocol/mod.ts";
import { type Appended, type AppendRequest, appendEvents, DIGEST_BYTES, type Refused } from "./event_log_store.ts";

/**
 * What became of an event.
 *
 * - `overloaded`, `failed`: not stored; repeating what `failed` is unlikely to help.
 * - `busy`, `unavailable`: not stored as far as the lane knows. After a fault an earlier attempt may
 *   still commit; the same id again tells.
 */
export type AppendOutcome = Appended | Refused | { readonly status: "unavailable" | "overloaded" | "failed" };

/** The limits of a lane. */
export interface LogLimits {
  /** Events in one batch. */
  readonly batchEvents: number;
  /** Bytes of bodies in one batch; one event always fits. */
  readonly batchBytes: number;
  /** Events that may wait in a lane. Beyond: `overloaded`. */
  readonly queueEvents: number;
  /** Bytes of bodies that may wait in a lane. Beyond: `overloaded`. */
  readonly queueBytes: number;
  /** Milliseconds from `submit` to the answer `busy` or `unavailable`. */
  readonly deadlineMs: number;
  /** Milliseconds to wait for locked heads before they are skipped. */
  readonly lockMs: number;
  /** Milliseconds until a batch is given up. */
  readonly statementMs: number;
  /** Milliseconds between two attempts at parked conversations. */
  readonly probeMs: number;
}

/** Told what a lane does; for logs and metrics. Must not throw. */
export interface LogObserver {
  /** A batch was answered; `waited`: milliseconds from the `submit` of its first event until it was sent. */
  readonly batch?: (events: number, milliseconds: number, waited: number) => void;
  /** An event was answered. */
  readonly settled?: (status: AppendOutcome["status"]) => void;
  /** A batch or a connection failed; what it held runs again. */
  readonly fault?: (error: unknown) => void;
  /** An event was stored after its caller was answered `unavailable`: its members have not been told. */
  readonly late?: (request: AppendRequest, stored: Appended) => void;
}

/** What a {@link Lane} may be told. */
export interface LaneOptions {
  readonly limits?: Partial<LogLimits>;
  readonly observer?: LogObserver;
  /** A monotonic clock in milliseconds. */
  readonly now?: () => number;
}

const LIMITS: LogLimits = {
  batchEvents: 256,
  batchBytes: 1024 * 1024,
  queueEvents: 8_192,
  queueBytes: 32 * 1024 * 1024,
  // With the sweep's step and the socket an answer is out within 5 s.
  deadlineMs: 4_500,
  lockMs: 200,
  statementMs: 2_000,
  probeMs: 20,
};

/** Milliseconds between two looks for events past their deadline. */
const SWEEP_MS = 100;
const BACKOFF_MS = { first: 25, most: 500 };
/** Milliseconds that closing a connection may take. */
const CLOSE_MS = 1_000;

interface Entry {
  readonly request: AppendRequest;
  readonly deadline: number;
  readonly answer: (outcome: AppendOutcome) => void;
  settled: boolean;
}

/** See the head of this file. */
export class Lane implements AsyncDisposable {
  readonly #db: Database;
  readonly #name: string;
  readonly #limits: LogLimits;
  readonly #observer: LogObserver;
  readonly #now: () => number;

  #connection: Connection | undefined;
  #queue: Entry[] = [];
  #inFlight: readonly Entry[] = [];
  readonly #parked = new Set<ConversationId>();
  #bytes = 0;
  /** Events in the next batch at most; less than the limit while an error is being narrowed down. */
  #batchEvents: number;
  /** Events still to be tried in small batches. */
  #suspects = 0;
  /** Whether the next batch skips locked heads because the last one waited in vain. */
  #skipNext = false;
  #probeAt = 0;
  #backoffMs = BACKOFF_MS.first;
  /** Ends the rest that {@link Lane.#run} takes while everything is parked. */
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #sweep: ReturnType<typeof setTimeout> | undefined;
  #closing = false;

  constructor(db: Database, name: string, options: LaneOptions = {}) {
    this.#db = db;
    this.#name = name;
    this.#limits = { ...LIMITS, ...options.limits };
    this.#observer = options.observer ?? {};
    this.#now = options.now ?? (() => performance.now());
    this.#batchEvents = this.#limits.batchEvents;
  }

  /** Events that wait for an answer. */
  get depth(): number {
    return this.#queue.length + this.#inFlight.length;
  }

  /** Appends one event; see `EventLog.submit`. */
  submit(request: AppendRequest, answer: (outcome: AppendOutcome) => void): void {
    const refusal = this.#refusal(request);
    if (refusal !== undefined) {
      answer({ status: refusal });
      this.#observer.settled?.(refusal);
      return;
    }
    this.#bytes += request.body.length;
    this.#queue.push({ request, deadline: this.#now() + this.#limits.deadlineMs, answer, settled: false });
    this.#sweep ??= setTimeout(() => this.#sweepExpired(), SWEEP_MS);
    this.#running ??= this.#run();
    this.#wake?.();
  }

  /** Refuses what is new, waits for what is queued (at most its deadline), and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    while (this.#running !== undefined) await this.#running;
    clearTimeout(this.#sweep);
    this.#sweep = undefined;
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection === undefined) return;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, CLOSE_MS); // a frozen server never says goodbye
    await Promise.race([connection[Symbol.asyncDispose](), late.promise]);
    clearTimeout(timer);
  }

  #refusal(request: AppendRequest): "unavailable" | "overloaded" | "failed" | undefined {
    if (this.#closing) return "unavailable";
    if (request.digest.length !== DIGEST_BYTES) return "failed";
    const full = this.depth >= this.#limits.queueEvents || this.#bytes + request.body.length > this.#limits.queueBytes;
    return full ? "overloaded" : undefined;
  }

  /** Writes batches until nothing waits. Never rejects. */
  async #run(): Promise<void> {
    // What arrives in the same turn of the event loop joins the first batch.
    await new Promise<void>((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const skip = this.#skipNext || (this.#parked.size > 0 && this.#now() >= this.#probeAt);
      this.#skipNext = false;
      const batch = this.#take(skip);
      if (batch.length === 0)
        await this.#rest(); // everything that waits is parked
      else await this.#write(batch, skip);
      if (skip) this.#probeAt = this.#now() + this.#limits.probeMs;
    }
    this.#parked.clear();
    this.#running = undefined;
  }

  /** Waits for the next attempt at parked conversations, or for a further event. */
  #rest(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, Math.max(0, this.#probeAt - this.#now()));
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Takes a batch from the front of the queue; parked conversations only when their heads are skipped. */
  #take(skip: boolean): Entry[] {
    const batch: Entry[] = [];
    const passed: Entry[] = [];
    const ids = new Set<MessageId>();
    const blocked = new Set<ConversationId>(skip ? [] : this.#parked);
    let bytes = 0;
    let next = 0;
    for (const entry of this.#queue) {
      const { id, conversationId, body } = entry.request;
      if (batch.length >= this.#batchEvents) break;
      if (batch.length > 0 && bytes + body.length > this.#limits.batchBytes) break;
      next++;
      // An id goes once per batch; what is behind its twin in the same conversation waits with it.
      if (ids.has(id)) blocked.add(conversationId);
      if (blocked.has(conversationId)) {
        passed.push(entry);
        continue;
      }
      ids.add(id);
      bytes += body.length;
      batch.push(entry);
      // One event is enough to try a head; more would crowd out the other parked conversations.
      if (this.#parked.has(conversationId)) blocked.add(conversationId);
    }
    this.#queue = passed.concat(this.#queue.slice(next));
    return batch;
  }

  async #write(batch: readonly Entry[], skip: boolean): Promise<void> {
    this.#inFlight = batch;
    const begun = this.#now();
    try {
      const requests = batch.map((entry) => entry.request);
      const answers = await appendEvents(await this.#connected(), requests, !skip);
      this.#inFlight = [];
      const first = batch[0]?.deadline ?? begun + this.#limits.deadlineMs;
      this.#observer.batch?.(batch.length, this.#now() - begun, begun - (first - this.#limits.deadlineMs));
      this.#settleBatch(batch, answers);
      this.#backoffMs = BACKOFF_MS.first;
      this.#cleared(batch.length);
    } catch (error) {
      this.#inFlight = [];
      await this.#recover(batch, skip, error);
    }
  }

  async #connected(): Promise<Connection> {
    if (this.#connection !== undefined && !this.#connection.broken) return this.#connection;
    // Not awaited: a connection that is broken may take for ever to say goodbye. It does not reject.
    void this.#connection?.[Symbol.asyncDispose]();
    this.#connection = undefined;
    this.#connection = await this.#db.connect(this.#name, {
      queryTimeoutMs: this.#limits.statementMs,
      settings: {
        plan_cache_mode: "force_generic_plan",
        jit: "off",
        lock_timeout: `${this.#limits.lockMs}ms`,
        default_transaction_isolation: "read committed",
      },
    });
    return this.#connection;
  }

  /** Counts events that are no longer suspected; with the last of them batches are large again. */
  #cleared(events: number): void {
    this.#suspects = Math.max(0, this.#suspects - events);
    if (this.#suspects === 0) this.#batchEvents = this.#limits.batchEvents;
  }

  #settleBatch(batch: readonly Entry[], answers: readonly (Appended | Refused)[]): void {
    const busy: Entry[] = [];
    for (const entry of batch) this.#parked.delete(entry.request.conversationId);
    batch.forEach((entry, index) => {
      const answer = answers[index];
      if (answer === undefined) return;
      if (answer.status === "busy") busy.push(entry);
      else if (!entry.settled) this.#settle(entry, answer);
      else if (answer.status === "stored") this.#observer.late?.(entry.request, answer);
    });
    for (const entry of busy) if (!entry.settled) this.#parked.add(entry.request.conversationId);
    this.#putBack(busy);
  }

  /** Puts the batch back and prepares the next attempt at it, or settles the one event that is at fault. */
  async #recover(batch: readonly Entry[], skip: boolean, error: unknown): Promise<void> {
    const [first] = batch;
    const unexpected = !(error instanceof DatabaseFault || isLockTimeout(error) || isTransactionLoss(error));
    if (unexpected && batch.length === 1 && first !== undefined) {
      this.#observer.fault?.(error);
      this.#cleared(1);
      return this.#fail(first);
    }
    this.#putBack(batch);
    if (unexpected) {
      this.#batchEvents = Math.ceil(batch.length / 2);
      this.#suspects = Math.max(this.#suspects, batch.length);
      this.#observer.fault?.(error);
    } else if (isLockTimeout(error) && !skip) {
      this.#skipNext = true; // the same batch again, at once, without the heads that are locked
    } else {
      this.#observer.fault?.(error);
      await pause(this.#backoffMs * (0.5 + Math.random() / 2));
      this.#backoffMs = Math.min(this.#backoffMs * 2, BACKOFF_MS.most);
      this.#skipNext = skip;
    }
  }

  #putBack(entries: readonly Entry[]): void {
    const waiting = entries.filter((entry) => !entry.settled);
    if (waiting.length > 0) this.#queue = waiting.concat(this.#queue);
  }

  /** Answers `failed` to an event and to what its sender has behind it there, because it may repeat that one. */
  #fail(failed: Entry): void {
    const { conversationId, senderId } = failed.request;
    for (const entry of [failed, ...this.#queue]) {
      const { request } = entry;
      if (request.conversationId === conversationId && request.senderId === senderId)
        this.#settle(entry, { status: "failed" });
    }
    this.#queue = this.#queue.filter((entry) => !entry.settled);
  }

  /** Answers what is past its deadline, and everything behind it in the same conversation. */
  #sweepExpired(): void {
    const now = this.#now();
    const late = new Map<ConversationId, "busy" | "unavailable">();
    for (const entry of [...this.#inFlight, ...this.#queue]) {
      const id = entry.request.conversationId;
      if (entry.deadline <= now && !late.has(id)) late.set(id, this.#parked.has(id) ? "busy" : "unavailable");
      const status = late.get(id);
      if (status !== undefined) this.#settle(entry, { status });
    }
    if (late.size > 0) this.#queue = this.#queue.filter((entry) => !entry.settled);
    for (const id of late.keys()) this.#parked.delete(id);
    this.#sweep = this.depth > 0 ? setTimeout(() => this.#sweepExpired(), SWEEP_MS) : undefined;
  }

  #settle(entry: Entry, outcome: AppendOutcome): void {
    if (entry.settled) return;
    entry.settled = true;
    this.#bytes -= entry.request.body.length;
    entry.answer(outcome);
    this.#observer.settled?.(outcome.status);
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
