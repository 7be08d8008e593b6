/**
 * What is known of one conversation's log, in its order. Pages and live entries overlap: an entry is known by
 * its seq, and the later word about it stands.
 */
import type { ClientEvent } from "../client/mod.ts";
import type { AccountId, MessageId } from "../protocol/mod.ts";

/** How far an own message has come, as far as it is known. */
export type Mark = "sent" | "delivered" | "read";

/** An entry as it is shown. */
export type Item = {
  readonly seq: number;
  readonly id: MessageId;
  readonly senderId: AccountId;
  /** Milliseconds since the epoch. */
  readonly at: number;
} & (
  | MessageItem
  | { readonly kind: "membership"; readonly change: string; readonly who: readonly AccountId[] }
  | { readonly kind: "new_key"; readonly who: AccountId; readonly fingerprint: string }
  | { readonly kind: "gone"; readonly reason: string }
);

/** A message: its text, or why there is none. `expiresAt`: milliseconds since the epoch. */
interface MessageItem {
  readonly kind: "message";
  readonly text: string | null;
  readonly fault: string | null;
  readonly mark: Mark;
  readonly expiresAt: number | null;
}

/** Entries that are kept of one conversation; the oldest go, and are paged in again. */
const MOST = 2_000;

/** See the head of this file. */
export class Timeline {
  #items: Item[] = [];
  /** Where the next older page begins; `undefined` before the first page, `null` at the log's beginning. */
  #older: number | null | undefined;

  /** The entries in rising order. */
  get items(): readonly Item[] {
    return this.#items;
  }

  /** Whether a page was read. */
  get isLoaded(): boolean {
    return this.#older !== undefined;
  }

  /** The `before_seq` of the next older page; `null` where there is none. */
  get older(): number | null {
    return this.#older ?? null;
  }

  /** The last seq; 0 where there is none. */
  get lastSeq(): number {
    return this.#items.at(-1)?.seq ?? 0;
  }

  /** Whether an entry has this id. */
  has(id: MessageId): boolean {
    return this.#items.findLast((item) => item.id === id) !== undefined;
  }

  /** Adds entries of a page. `previous`: where older ones begin, by the page's own word. */
  addPage(events: readonly ClientEvent[], previous: number | null): void {
    for (const event of events) this.add(event);
    this.#older = previous;
  }

  /** Adds an entry. False for one that shows nothing. */
  add(event: ClientEvent): boolean {
    const item = itemOf(event);
    if (item === undefined) return false;
    const at = this.#items.findLastIndex(({ seq }) => seq <= item.seq);
    if (this.#items[at]?.seq === item.seq) this.#items[at] = item;
    else this.#items.splice(at + 1, 0, item);
    if (this.#items.length > MOST) this.#trim();
    return true;
  }

  /** The server has removed everything before this seq, or all. */
  forget(before: number): void {
    this.#items = this.#items.filter(({ seq }) => seq >= before);
    this.#older = null;
  }

  #trim(): void {
    this.#items = this.#items.slice(-MOST / 2);
    this.#older = this.#items[0]?.seq ?? null;
  }
}

function itemOf(event: ClientEvent): Item | undefined {
  if (event.type === "truncated" || event.type === "conversation_left") return undefined;
  const { seq, id, sender_id: senderId, created_at: createdAt } = event;
  const base = { seq, id, senderId, at: Date.parse(createdAt) };
  switch (event.type) {
    case "message":
      return {
        ...base,
        kind: "message",
        text: event.text,
        fault: event.fault,
        mark: markOf(event),
        expiresAt: event.expires_at === undefined ? null : Date.parse(event.expires_at),
      };
    case "membership":
      return { ...base, kind: "membership", change: event.change, who: event.user_ids };
    case "notice":
      return { ...base, kind: "new_key", who: event.user_id, fingerprint: event.fingerprint };
    case "tombstone":
      return { ...base, kind: "gone", reason: event.reason };
    default:
      event satisfies never;
      return undefined; // a newer server has kinds that this client does not know
  }
}

/** Pages say how far an own message has come, where the server tells. */
function markOf(event: object): Mark {
  const status = "status" in event ? event.status : undefined;
  return status === "delivered" || status === "read" ? status : "sent";
}
