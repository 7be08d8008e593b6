/**
 * Entries as an async iterable, read from the store: a slow reader costs storage and no memory.
 *
 * - Every entry is given once, in the order in which the store took it. One that the loop was busy
 *   with when the process ended is given again: the store notes a place only when the reader
 *   came back for more, or left the loop.
 * - Back-pressure: while more than `HIGH_WATER` entries wait for the reader nothing is
 *   acknowledged, so the server stops sending [ACK-4].
 */
import type { ClientEntry, ClientStore } from "./store.ts";

const PAGE = 64;
const HIGH_WATER = 1_000;

/** Hands a store's entries to the one who reads. */
export class EntryReader {
  readonly #store: ClientStore;
  readonly #onRelief: () => void;
  #handled: number;
  #waiting = 0;
  #active = false;
  #end: { readonly error?: Error } | undefined;
  #wake: () => void = () => {};

  /** `handled`: the place to go on after. `onRelief` is called when the reader has caught up. */
  constructor(store: ClientStore, handled: number, onRelief: () => void) {
    this.#store = store;
    this.#handled = handled;
    this.#onRelief = onRelief;
  }

  /** Whether so many entries wait that no more should come. */
  get isBehind(): boolean {
    return this.#active && this.#waiting > HIGH_WATER;
  }

  /** Entries were stored. */
  added(count: number): void {
    this.#waiting += count;
    this.#wake();
  }

  /** Ends the iteration once everything stored was given: quietly, or with an error. */
  end(error?: Error): void {
    this.#end ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /** The entries, now and to come. One loop at a time. */
  async *entries(): AsyncGenerator<ClientEntry, void, undefined> {
    if (this.#active) throw new Error("End the other loop first: entries are handed to one reader");
    this.#active = true;
    let place = this.#handled;
    try {
      for (;;) {
        const woken = new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        const page = await this.#store.entries(place, PAGE);
        for (const item of page) {
          place = item.place;
          yield item.entry;
        }
        await this.#note(place, page.length);
        if (page.length > 0) continue;
        if (this.#end?.error !== undefined) throw this.#end.error;
        if (this.#end !== undefined) return;
        await woken;
      }
    } finally {
      this.#active = false;
      await this.#note(place, 0);
    }
  }

  async #note(place: number, count: number): Promise<void> {
    const wasBehind = this.isBehind;
    // An empty page: whatever was counted twice or left out by the store, nothing waits now.
    this.#waiting = count === 0 && this.#active ? 0 : Math.max(0, this.#waiting - count);
    if (place > this.#handled) {
      this.#handled = place;
      await this.#store.commit({ handled: place });
    }
    if (wasBehind && !this.isBehind) this.#onRelief();
  }
}
