/**
 * Acknowledged and read cursors on their way to the database: gathered in memory and written
 * every 10 s, when a device disconnects, and at the end. A crash loses some of them and costs
 * repeats; it never loses an entry, for only what was acknowledged is written, and nothing
 * moves back.
 */
import type { Connection, Database } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import { type DeviceCursor, type ReadCursor, writeDeviceCursors, writeReadCursors } from "./cursors_store.ts";

/** What a {@link CursorWriter} may be told. */
export interface CursorWriterOptions {
  readonly flushMs?: number;
  readonly onFault: (what: string, error: unknown) => void;
}

const FLUSH_MS = 10_000;
/** Cursors that may wait before they are written ahead of time. */
const MOST_WAITING = 20_000;
const ROWS_A_STATEMENT = 1_000;

/** See the head of this file. */
export class CursorWriter implements AsyncDisposable {
  readonly #db: Database;
  readonly #onFault: (what: string, error: unknown) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  #devices = new Map<string, DeviceCursor>();
  #reads = new Map<string, ReadCursor>();
  #connection: Connection | undefined;
  #flushing: Promise<void> | undefined;
  /** The flush that begins when that one is over. */
  #next: Promise<void> | undefined;

  constructor(db: Database, options: CursorWriterOptions) {
    this.#db = db;
    this.#onFault = options.onFault;
    this.#timer = setInterval(() => void this.flush(), options.flushMs ?? FLUSH_MS);
  }

  /** Takes a device's acknowledgement. */
  acknowledge(cursor: DeviceCursor): void {
    keepHighest(this.#devices, `${cursor.deviceId} ${cursor.conversationId}`, cursor);
    this.#bound(this.#devices);
  }

  /** Takes a person's read mark. */
  read(cursor: ReadCursor): void {
    keepHighest(this.#reads, `${cursor.accountId} ${cursor.conversationId}`, cursor);
    this.#bound(this.#reads);
  }

  /** Writes what waits where an account's own read marks are among it. Never rejects. */
  async settle(accountId: AccountId): Promise<void> {
    if (this.#holdsReadsOf(accountId)) await this.flush();
    else await this.#flushing;
  }

  /** Writes all that waits. Never rejects: what could not be written waits for the next time. */
  async flush(): Promise<void> {
    // What came in while a flush was under way goes with the one after it, which is one for all who wait.
    this.#next ??= this.#flushNext();
    await this.#next;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    await this.#connection?.[Symbol.asyncDispose]();
  }

  async #flushNext(): Promise<void> {
    await this.#flushing;
    this.#next = undefined;
    if (this.#devices.size === 0 && this.#reads.size === 0) return;
    this.#flushing = this.#write().finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #write(): Promise<void> {
    const devices = [...this.#devices.values()];
    const reads = [...this.#reads.values()];
    this.#devices = new Map();
    this.#reads = new Map();
    try {
      const connection = await this.#connected();
      for (const part of parts(devices)) await writeDeviceCursors(connection, part);
      for (const part of parts(reads)) await writeReadCursors(connection, part);
    } catch (error) {
      this.#onFault("cursor flush", error);
      // Back to the others; a higher one that came meanwhile stands.
      for (const cursor of devices) keepHighest(this.#devices, `${cursor.deviceId} ${cursor.conversationId}`, cursor);
      for (const cursor of reads) keepHighest(this.#reads, `${cursor.accountId} ${cursor.conversationId}`, cursor);
      this.#trim();
    }
  }

  #holdsReadsOf(accountId: AccountId): boolean {
    for (const cursor of this.#reads.values()) if (cursor.accountId === accountId) return true;
    return false;
  }

  /** Writes ahead of time what is much; while a write is under way and as much again waits, forgets the oldest. */
  #bound(waiting: ReadonlyMap<string, unknown>): void {
    if (waiting.size <= MOST_WAITING) return;
    if (this.#flushing === undefined) void this.flush();
    else this.#trim();
  }

  /** Cursors may be forgotten (it costs repeats); memory may not grow while the database is away. */
  #trim(): void {
    for (const waiting of [this.#devices, this.#reads]) {
      for (const key of waiting.keys()) {
        if (waiting.size <= MOST_WAITING) break;
        waiting.delete(key);
      }
    }
  }

  async #connected(): Promise<Connection> {
    if (this.#connection !== undefined && !this.#connection.broken) return this.#connection;
    await this.#connection?.[Symbol.asyncDispose]();
    // A lost cursor costs a repeat, so these writes need not wait for the disk.
    this.#connection = await this.#db.connect("cursors", { settings: { synchronous_commit: "off" } });
    return this.#connection;
  }
}

function keepHighest<Cursor extends { readonly seq: number }>(
  into: Map<string, Cursor>,
  key: string,
  cursor: Cursor,
): void {
  const known = into.get(key);
  if (known === undefined || known.seq < cursor.seq) into.set(key, cursor);
}

function* parts<Cursor extends { readonly conversationId: ConversationId }>(
  cursors: readonly Cursor[],
): Generator<Cursor[]> {
  // In one order everywhere, so that two nodes cannot wait for each other.
  const sorted = [...cursors].sort((a, b) => (a.conversationId < b.conversationId ? -1 : 1));
  for (let i = 0; i < sorted.length; i += ROWS_A_STATEMENT) yield sorted.slice(i, i + ROWS_A_STATEMENT);
}
