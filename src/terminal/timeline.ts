/**
 * What is known of one conversation's log, in its order. Pages and live entries overlap: an entry is known by
 * its seq, and the later word about it stands.
 */
import type { ClientEvent } from "../client/mod.ts";
import type { AccountId, ConversationChange, MessageId } from "../protocol/mod.ts";

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
  | { readonly kind: "change"; readonly change: ConversationChange }
  | { readonly kind: "gone"; readonly reason: string }
);

/** One person's reaction to a message. */
export interface ItemReaction {
  readonly who: AccountId;
  readonly emoji: string;
}

/** A message as it is now: its text, or why there is none. `expiresAt`: milliseconds since the epoch. */
interface MessageItem {
  readonly kind: "message";
  readonly text: string | null;
  readonly fault: string | null;
  readonly mark: Mark;
  readonly isEdited: boolean;
  readonly reactions: readonly ItemReaction[];
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

  /**
   * Adds entries of a page. `previous`: where older ones begin, by the page's own word. What is known already
   * may have changed since the page was made: of that only the mark is taken.
   */
  addPage(events: readonly ClientEvent[], previous: number | null): void {
    const known = new Map(this.#items.map((item) => [item.seq, item]));
    for (const event of events) {
      const before = "seq" in event ? known.get(event.seq) : undefined;
      if (before === undefined || event.type === "tombstone") this.add(event);
      else if (before.kind === "message" && event.type === "message") {
        this.#change(before.seq, (item) => (item.kind === "message" ? { ...item, mark: markOf(event) } : item));
      }
    }
    this.#older = previous;
  }

  /** Adds an entry, or changes the one that it is about. False for one that shows nothing of its own. */
  add(event: ClientEvent): boolean {
    if (isChange(event)) {
      this.#change(event.message_seq, (item) => changed(item, event));
      return false;
    }
    const item = itemOf(event);
    if (item === undefined) return false;
    const at = this.#items.findLastIndex(({ seq }) => seq <= item.seq);
    if (this.#items[at]?.seq === item.seq) this.#items[at] = item;
    else this.#items.splice(at + 1, 0, item);
    if (this.#items.length > MOST) this.#trim();
    return true;
  }

  /** The account has deleted a message for itself. */
  hide(seq: number): void {
    this.#change(seq, ({ id, senderId, at }) => ({ seq, id, senderId, at, kind: "gone", reason: "hidden" }));
  }

  /** The server has removed everything before this seq, or all. */
  forget(before: number): void {
    this.#items = this.#items.filter(({ seq }) => seq >= before);
    this.#older = null;
  }

  /** What is not here yet comes changed with its page. */
  #change(seq: number, to: (item: Item) => Item): void {
    const at = this.#items.findLastIndex((item) => item.seq === seq);
    const item = this.#items[at];
    if (item !== undefined) this.#items[at] = to(item);
  }

  #trim(): void {
    this.#items = this.#items.slice(-MOST / 2);
    this.#older = this.#items[0]?.seq ?? null;
  }
}

/** Entries that change another one. */
type Change = Extract<ClientEvent, { type: "edit" | "deletion" | "reaction" }>;

function isChange(event: ClientEvent): event is Change {
  return event.type === "edit" || event.type === "deletion" || event.type === "reaction";
}

function changed(item: Item, change: Change): Item {
  const { seq, id, senderId, at } = item;
  if (change.type === "deletion") return { seq, id, senderId, at, kind: "gone", reason: "deleted" };
  if (item.kind !== "message") return item;
  if (change.type === "reaction") {
    const others = item.reactions.filter(({ who, emoji }) => who !== change.sender_id || emoji !== change.emoji);
    const added = change.change === "added" ? [{ who: change.sender_id, emoji: change.emoji }] : [];
    return { ...item, reactions: [...others, ...added] };
  }
  // Only whoever wrote a message gives it another text.
  if (change.sender_id !== senderId) return item;
  return { ...item, text: change.text, fault: change.fault, isEdited: true };
}

function itemOf(event: Exclude<ClientEvent, Change>): Item | undefined {
  if (event.type === "truncated" || event.type === "conversation_left" || event.type === "key_exchange")
    return undefined;
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
        isEdited: event.edited_at !== undefined,
        reactions: (event.reactions ?? []).map(({ user_id: who, emoji }) => ({ who, emoji })),
        expiresAt: event.expires_at === undefined ? null : Date.parse(event.expires_at),
      };
    case "membership":
      return { ...base, kind: "membership", change: event.change, who: event.user_ids };
    case "notice":
      return { ...base, kind: "new_key", who: event.user_id, fingerprint: event.fingerprint };
    case "change":
      return { ...base, kind: "change", change: event };
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
