/**
 * What was offered lately to sockets that could not take it: events encoded once, kept once for the whole
 * node, so that a socket that goes on a moment later needs no read of the log.
 *
 * - Only that something was said is kept here, not for whom: which of it a socket was offered, its feed knows
 *   (see `offered.ts`). Nobody is given more than that.
 * - Bounded for the process, however many sockets stand still: two generations, of which the older is
 *   forgotten when the younger is full or five seconds old. What is forgotten is read from the log.
 * - What was taken back goes at once ({@link KeptEvents.forget}), and what ends soon is not taken at all:
 *   gone is gone.
 */
import type { ConversationId } from "../protocol/mod.ts";

/** A committed entry as it is offered to sockets, encoded. */
export interface OfferedEvent {
  readonly conversationId: ConversationId;
  readonly seq: number;
  /** When it was stored (ms). */
  readonly at: number;
  readonly text: string;
  /** It ends within a minute: to be sent now, or read from the log. */
  readonly brief?: true;
}

/** What is kept of one conversation. */
interface Talk {
  readonly events: Map<number, OfferedEvent>;
  /** Nothing below may be kept: it may not be as it was. */
  floor: number;
}

type Generation = Map<ConversationId, Talk>;

/** Characters of one generation: with two of them and two bytes each, 16 MiB at most. */
const MOST_CHARS = 4 * 1024 * 1024;
/** What an event costs beside its text. */
const EVENT_CHARS = 100;
const GENERATION_MS = 5_000;

/** See the head of this file. */
export class KeptEvents {
  readonly #now: () => number;
  #young: Generation = new Map();
  #old: Generation = new Map();
  #chars = 0;
  #turnedAt: number;
  /** What was kept last: many sockets ask for the same. */
  #last: OfferedEvent | null = null;

  /** `now`: milliseconds of a clock that nobody sets. */
  constructor(now: () => number) {
    this.#now = now;
    this.#turnedAt = now();
  }

  /** Keeps an event for whoever was offered it; false where it may not be kept. */
  keep(event: OfferedEvent): boolean {
    if (event === this.#last) return true;
    const { conversationId, seq, text } = event;
    if (event.brief === true || seq < this.#floorOf(conversationId)) return false;
    this.#last = event;
    if (this.find(conversationId, seq) !== undefined) return true;
    const chars = text.length + EVENT_CHARS;
    if (chars > MOST_CHARS) return false;
    if (this.#chars + chars > MOST_CHARS) this.#turn();
    this.#chars += chars;
    this.#talk(conversationId).events.set(seq, event);
    return true;
  }

  /** What was kept of a conversation under a seq. */
  find(conversationId: ConversationId, seq: number): OfferedEvent | undefined {
    return this.#young.get(conversationId)?.events.get(seq) ?? this.#old.get(conversationId)?.events.get(seq);
  }

  /** Something below `seq` was taken back, or who may see it has changed. */
  forget(conversationId: ConversationId, seq: number): void {
    const floor = Math.max(seq, this.#floorOf(conversationId));
    this.#old.delete(conversationId);
    const young = this.#talk(conversationId);
    young.floor = floor;
    for (const [kept, { text }] of young.events) {
      if (kept >= floor) continue;
      young.events.delete(kept);
      this.#chars -= text.length + EVENT_CHARS;
    }
    this.#last = null;
  }

  /** Forgets all: what was taken back may not have been told here. */
  forgetAll(): void {
    this.#turn();
    this.#turn();
  }

  /** Forgets what is too old; called about once a second. */
  check(): void {
    if (this.#now() - this.#turnedAt >= GENERATION_MS) this.#turn();
  }

  #turn(): void {
    this.#old = this.#young;
    this.#young = new Map();
    this.#chars = 0;
    this.#turnedAt = this.#now();
    this.#last = null;
  }

  #floorOf(conversationId: ConversationId): number {
    return Math.max(this.#young.get(conversationId)?.floor ?? 0, this.#old.get(conversationId)?.floor ?? 0);
  }

  #talk(conversationId: ConversationId): Talk {
    let talk = this.#young.get(conversationId);
    if (talk === undefined) {
      talk = { events: new Map(), floor: 0 };
      this.#young.set(conversationId, talk);
      this.#chars += EVENT_CHARS;
    }
    return talk;
  }
}
