/**
 * Acknowledged and read cursors on their way to the database: gathered in memory and written
 * every 10 s, when a device disconnects, and at the end. A crash loses some of them and costs
 * repeats; it never loses an entry, for only what was acknowledged is written, and nothing
 * moves back.
 *
 * Who reads a page or a list has those of its conversations written before: one write is under way and one
 * waits, which takes all that was asked for meanwhile. For the pages of one conversation that is done once a
 * second, so a page is at most that much older than what this node knows, however often it is read.
 */
import type { Connection, Database } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import { type DeviceCursor, type ReadCursor, writeDeviceCursors, writeReadCursors } from "./cursors_store.ts";
import { WaitingCursors } from "./waiting_cursors.ts";

/** What a {@link CursorWriter} may be told. */
export interface CursorWriterOptions {
  readonly flushMs?: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly now?: () => number;
  readonly onFault: (what: string, error: unknown) => void;
}

const FLUSH_MS = 10_000;
/** Cursors that may wait before they are written ahead of time. */
const MOST_WAITING = 20_000;
const ROWS_A_STATEMENT = 1_000;
/** Milliseconds in which the cursors of one conversation are written once for its pages. */
const PAGE_MS = 1_000;

/** See the head of this file. */
export class CursorWriter implements AsyncDisposable {
  readonly #db: Database;
  readonly #onFault: (what: string, error: unknown) => void;
  readonly #now: () => number;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #devices = new WaitingCursors<DeviceCursor>(({ deviceId }) => deviceId);
  readonly #reads = new WaitingCursors<ReadCursor>(({ accountId }) => accountId);
  #connection: Connection | undefined;
  #flushing: Promise<void> | undefined;
  /** The flush that begins when that one is over, and what it is to write. */
  #next: Promise<void> | undefined;
  #asked: Set<ConversationId> | "all" = new Set();
  /** The conversations that were written for a page since then. */
  #paged = new Set<ConversationId>();
  #pagedSince = 0;

  constructor(db: Database, options: CursorWriterOptions) {
    this.#db = db;
    this.#onFault = options.onFault;
    this.#now = options.now ?? (() => performance.now());
    this.#timer = setInterval(() => void this.flush(), options.flushMs ?? FLUSH_MS);
  }

  /** Takes a device's acknowledgement. */
  acknowledge(cursor: DeviceCursor): void {
    this.#devices.add(cursor);
    this.#bound(this.#devices);
  }

  /** Takes a person's read mark. */
  read(cursor: ReadCursor): void {
    this.#reads.add(cursor);
    this.#bound(this.#reads);
  }

  /** Writes an account's own read marks where they wait, with all of their conversations. Never rejects. */
  async settle(accountId: AccountId): Promise<void> {
    const ids = this.#reads.conversationsWith((read) => read.accountId === accountId);
    if (ids.length > 0) await this.#flush(ids);
    else await this.#flushing;
  }

  /** Writes what waits of a conversation, unless that was done less than a second ago. Never rejects. */
  async settlePage(id: ConversationId): Promise<void> {
    if ((this.#devices.has(id) || this.#reads.has(id)) && this.#mayPage(id)) await this.#flush([id]);
    else await this.#flushing;
  }

  /** Writes all that waits. Never rejects: what could not be written waits for the next time. */
  flush(): Promise<void> {
    return this.#flush("all");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
    await this.#connection?.[Symbol.asyncDispose]();
  }

  /** Counts a write for a page, where there may be one. */
  #mayPage(id: ConversationId): boolean {
    if (this.#now() - this.#pagedSince >= PAGE_MS) {
      this.#paged = new Set();
      this.#pagedSince = this.#now();
    }
    if (this.#paged.has(id)) return false;
    this.#paged.add(id);
    return true;
  }

  async #flush(what: readonly ConversationId[] | "all"): Promise<void> {
    if (what === "all") this.#asked = "all";
    else if (this.#asked !== "all") for (const id of what) this.#asked.add(id);
    // What came in while a flush was under way goes with the one after it, which is one for all who wait.
    this.#next ??= this.#flushNext();
    await this.#next;
  }

  async #flushNext(): Promise<void> {
    await this.#flushing;
    this.#next = undefined;
    const [devices, reads] = [this.#devices.take(this.#asked), this.#reads.take(this.#asked)];
    this.#asked = new Set();
    if (devices.length === 0 && reads.length === 0) return;
    this.#flushing = this.#write(devices, reads).finally(() => {
      this.#flushing = undefined;
    });
    await this.#flushing;
  }

  async #write(devices: readonly DeviceCursor[], reads: readonly ReadCursor[]): Promise<void> {
    try {
      const connection = await this.#connected();
      for (const part of parts(devices)) await writeDeviceCursors(connection, part);
      for (const part of parts(reads)) await writeReadCursors(connection, part);
    } catch (error) {
      this.#onFault("cursor flush", error);
      // Back to the others; a higher one that came meanwhile stands.
      for (const cursor of devices) this.#devices.add(cursor);
      for (const cursor of reads) this.#reads.add(cursor);
      this.#trim();
    }
  }

  /** Writes ahead of time what is much; while a write is under way and as much again waits, forgets the oldest. */
  #bound(waiting: { readonly size: number }): void {
    if (waiting.size <= MOST_WAITING) return;
    if (this.#flushing === undefined) void this.flush();
    else this.#trim();
  }

  /** Cursors may be forgotten (it costs repeats); memory may not grow while the database is away. */
  #trim(): void {
    for (const waiting of [this.#devices, this.#reads]) waiting.trim(MOST_WAITING);
  }

  async #connected(): Promise<Connection> {
    if (this.#connection !== undefined && !this.#connection.broken) return this.#connection;
    await this.#connection?.[Symbol.asyncDispose]();
    // A lost cursor costs a repeat, so these writes need not wait for the disk.
    this.#connection = await this.#db.connect("cursors", { settings: { synchronous_commit: "off" } });
    return this.#connection;
  }
}

function* parts<Cursor>(cursors: readonly Cursor[]): Generator<readonly Cursor[]> {
  for (let i = 0; i < cursors.length; i += ROWS_A_STATEMENT) yield cursors.slice(i, i + ROWS_A_STATEMENT);
}
