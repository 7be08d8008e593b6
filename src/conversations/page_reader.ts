/**
 * Catching up from the log, for all sockets of the node together: requests are gathered, so
 * a thousand devices that wait for the same database cost it a few statements.
 */
import { Batcher } from "../platform/batcher.ts";
import type { Sql } from "../platform/postgres.ts";
import type { Sealer } from "../platform/sealer.ts";
import { type ConversationId, LIMITS, type LogEntry } from "../protocol/mod.ts";
import type { CursorWriter } from "./cursors.ts";
import {
  type BehindRequest,
  type BehindRow,
  listBehind,
  type PageRequest,
  type PageRows,
  pinDevices,
  readPages,
} from "./events_store.ts";
import type { Heads } from "./heads.ts";
import { toLogEntry } from "./log_entry.ts";

/** A page of entries; see {@link PageRows} for the other fields. */
export type Page = Omit<PageRows, "rows"> & { readonly entries: readonly LogEntry[] };

/** Conversations in one list of what a device is behind in. */
export const BEHIND_LIMIT = 200;

/** Worst case 8 pages of 256 KiB, and one event more each, in memory at once. */
const PAGES_AT_ONCE = 8;

/** See the head of this file. */
export class PageReader {
  readonly #heads: Heads;
  readonly #sealer: Sealer;
  readonly #pages: Batcher<PageRequest, { readonly page: PageRows | null }>;
  readonly #behind: Batcher<BehindRequest, BehindRow[]>;

  constructor(sql: Sql, heads: Heads, sealer: Sealer, cursors: CursorWriter) {
    this.#heads = heads;
    this.#sealer = sealer;
    const pageLimits = { events: LIMITS.pageEvents, bytes: LIMITS.pageBytes };
    this.#pages = new Batcher(
      async (requests) => (await readPages(sql, requests, pageLimits)).map((page) => ({ page })),
      { most: PAGES_AT_ONCE, waiting: 100_000 },
    );
    this.#behind = new Batcher(
      async (requests) => {
        const starting = requests.filter((request) => request.beyond === null);
        // What was acknowledged here is known here: it does not come again, and a new device begins after it.
        if (starting.length > 0) await cursors.flush();
        if (starting.length > 0) await pinDevices(sql, starting);
        return listBehind(sql, requests, BEHIND_LIMIT);
      },
      { most: 100, waiting: 100_000 },
    );
  }

  /** Lists conversations that have something for a device, by id, up to {@link BEHIND_LIMIT}. */
  behind(request: BehindRequest): Promise<readonly BehindRow[]> {
    return this.#behind.ask(request);
  }

  /** Reads what comes after a cursor; `null` where the account never was a member. */
  async page(request: PageRequest): Promise<Page | null> {
    const { page } = await this.#pages.ask(request);
    if (page === null) return null;
    const { rows, ...place } = page;
    return { ...place, entries: await this.entries(request.conversationId, rows) };
  }

  /** Opens rows of one conversation. */
  async entries(conversationId: ConversationId, rows: PageRows["rows"]): Promise<LogEntry[]> {
    if (rows.length === 0) return [];
    const head = await this.#heads.get(conversationId);
    return rows.map((row) => toLogEntry(this.#sealer, { id: conversationId, dataKey: head?.dataKey ?? null }, row));
  }
}
