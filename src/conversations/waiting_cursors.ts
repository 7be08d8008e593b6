/** Cursors that wait to be written, by conversation; of each device or person in a conversation the highest. */
import type { ConversationId } from "../protocol/mod.ts";

/** What is kept of a cursor: it never goes back. */
interface Cursor {
  readonly conversationId: ConversationId;
  readonly seq: number;
}

/** See the head of this file. `keyOf` tells whose cursor it is within its conversation. */
export class WaitingCursors<Of extends Cursor> {
  readonly #keyOf: (cursor: Of) => string;
  readonly #conversations = new Map<ConversationId, Map<string, Of>>();
  #size = 0;

  constructor(keyOf: (cursor: Of) => string) {
    this.#keyOf = keyOf;
  }

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Takes a cursor, unless a higher one waits. */
  add(cursor: Of): void {
    let waiting = this.#conversations.get(cursor.conversationId);
    if (waiting === undefined) {
      waiting = new Map();
      this.#conversations.set(cursor.conversationId, waiting);
    }
    const key = this.#keyOf(cursor);
    const known = waiting.get(key);
    if (known === undefined) this.#size++;
    if (known === undefined || known.seq < cursor.seq) waiting.set(key, cursor);
  }

  /** Whether one of a conversation waits. */
  has(conversationId: ConversationId): boolean {
    return this.#conversations.has(conversationId);
  }

  /** In which conversations one waits that is `like` this. */
  conversationsWith(like: (cursor: Of) => boolean): ConversationId[] {
    const found: ConversationId[] = [];
    for (const [id, waiting] of this.#conversations) if ([...waiting.values()].some(like)) found.push(id);
    return found;
  }

  /** Hands over those of some conversations, or all, in the order of conversations: the same for every node. */
  take(of: ReadonlySet<ConversationId> | "all"): Of[] {
    const ids = of === "all" ? [...this.#conversations.keys()] : [...of].filter((id) => this.#conversations.has(id));
    const taken = ids.sort().flatMap((id) => [...(this.#conversations.get(id)?.values() ?? [])]);
    for (const id of ids) this.#conversations.delete(id);
    this.#size -= taken.length;
    return taken;
  }

  /** Forgets what is beyond `most`, of the conversations first that have waited longest. */
  trim(most: number): void {
    for (const [id, waiting] of this.#conversations) {
      for (const key of waiting.keys()) {
        if (this.#size <= most) return;
        waiting.delete(key);
        this.#size--;
      }
      this.#conversations.delete(id);
    }
  }
}
