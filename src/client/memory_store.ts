/** A {@link ClientStore} in memory: it forgets everything when the process ends. */
import type { AccountId, ConversationId, MessageId } from "../protocol/mod.ts";
import {
  type ClientEntry,
  type ClientStore,
  type OutgoingMessage,
  repetitionKeyOf,
  type StoreChange,
  type StoredEntry,
  type StoredState,
} from "./store.ts";

/** What {@link MemoryStore} may be told. */
export interface MemoryStoreOptions {
  /** Entries kept; beyond, the oldest ones go, also where the app has not read them. Default 10,000. */
  readonly keepEntries?: number;
}

/**
 * Keeps a device's state in memory.
 *
 * - Bounded: the newest `keepEntries` entries, and as many ids again to recognise repetitions.
 * - Sign in without `device_id` when using it: a new device gets what a forgetful one has lost.
 */
export class MemoryStore implements ClientStore {
  readonly #keep: number;
  readonly #cursors = new Map<ConversationId, number>();
  readonly #outgoing = new Map<MessageId, OutgoingMessage>();
  readonly #trusted = new Map<AccountId, string[]>();
  /** By what repetitions of stored entries are known; a Set keeps the order in which they came. */
  readonly #ids = new Set<string>();
  #entries: StoredEntry[] = [];
  #place = 0;
  #handled = 0;
  #hidden = 0;

  constructor(options: MemoryStoreOptions = {}) {
    this.#keep = options.keepEntries ?? 10_000;
  }

  load(): Promise<StoredState> {
    const outgoing = [...this.#outgoing.values()].sort((a, b) => a.order - b.order);
    return Promise.resolve({ cursors: new Map(this.#cursors), outgoing, handled: this.#handled, hidden: this.#hidden });
  }

  commit(change: StoreChange): Promise<void> {
    for (const entry of change.entries ?? []) this.#add(entry);
    for (const [conversationId, seq] of change.cursors ?? []) this.#cursors.set(conversationId, seq);
    for (const id of change.settled ?? []) this.#outgoing.delete(id);
    for (const message of change.outgoing ?? []) this.#outgoing.set(message.id, message);
    if (change.handled !== undefined) this.#handled = change.handled;
    if (change.hidden !== undefined) this.#hidden = change.hidden;
    if (change.trusted !== undefined) this.#trust(change.trusted.accountId, change.trusted.publicKey);
    return Promise.resolve();
  }

  entries(after: number, limit: number): Promise<readonly StoredEntry[]> {
    return Promise.resolve(this.#entries.slice(this.#firstAfter(after)).slice(0, limit));
  }

  trustedKeys(accountId: AccountId): Promise<readonly string[]> {
    return Promise.resolve([...(this.#trusted.get(accountId) ?? [])]);
  }

  #add(entry: ClientEntry): void {
    const key = repetitionKeyOf(entry);
    if (key !== null) {
      if (this.#ids.has(key)) return;
      this.#ids.add(key);
      for (const oldest of this.#ids) {
        if (this.#ids.size <= this.#keep) break;
        this.#ids.delete(oldest);
      }
    }
    this.#entries.push({ place: ++this.#place, entry });
    // Cut in large steps: moving 10,000 items for each new one would be felt.
    if (this.#entries.length > this.#keep * 1.25) this.#entries = this.#entries.slice(-this.#keep);
  }

  #trust(accountId: AccountId, publicKey: string): void {
    const others = (this.#trusted.get(accountId) ?? []).filter((known) => known !== publicKey);
    this.#trusted.set(accountId, [...others, publicKey]);
  }

  /** The index of the first entry with `place > after`; places rise by one without gaps here. */
  #firstAfter(after: number): number {
    const first = this.#entries[0]?.place ?? 0;
    return Math.max(0, after - first + 1);
  }
}
