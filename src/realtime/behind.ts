/** The conversations in which a feed has something that it has not sent. */
import type { ConversationId } from "../protocol/mod.ts";

/** How a feed is behind in one conversation. */
export interface Behind {
  reading: boolean;
  /** The log is to be read: it has, or may have, what is neither sent nor kept. */
  dirty: boolean;
  /** Something was offered since the read under way began, which may not know of it. */
  late: boolean;
  /** Where the device itself said that it stands, by `resume` or by acknowledging. */
  readonly claimed: number | null;
}

/** See the head of this file. */
export class BehindIn implements Iterable<[ConversationId, Behind]> {
  #all = new Map<ConversationId, Behind>();

  /** In how many. */
  get size(): number {
    return this.#all.size;
  }

  /** How, or `undefined` where nothing is missing. */
  get(id: ConversationId): Behind | undefined {
    return this.#all.get(id);
  }

  /** The feed is behind from now on; `claimed` as in {@link Behind}. */
  add(id: ConversationId, claimed: number | null): Behind {
    const behind = { reading: false, dirty: false, late: false, claimed };
    this.#all.set(id, behind);
    return behind;
  }

  /** Nothing is missing any more. */
  delete(id: ConversationId): void {
    this.#all.delete(id);
    // A map keeps its room when it is empty; an idle socket need not.
    if (this.#all.size === 0) this.clear();
  }

  /** Forgets all. */
  clear(): void {
    this.#all = new Map();
  }

  [Symbol.iterator](): MapIterator<[ConversationId, Behind]> {
    return this.#all.entries();
  }
}
