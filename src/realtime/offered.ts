/**
 * Which events one feed was offered and could not send at once: of each conversation one run of seqs without
 * a gap. Their texts are kept for the whole node (`kept_events.ts`); here are two numbers, whatever was offered.
 *
 * An event that continues no run begins a new one, and what was before it is read from the log.
 */
import type { ConversationId } from "../protocol/mod.ts";
import type { KeptEvents, OfferedEvent } from "./kept_events.ts";

/** Seqs that were offered, without a gap. */
export interface Run {
  from: number;
  to: number;
}

/** Conversations in which runs are noted; in further ones the log is read. */
const MOST_RUNS = 1_000;
const NONE: ReadonlyMap<ConversationId, Run> = new Map();

/** See the head of this file. */
export class Offered {
  readonly #kept: KeptEvents;
  /** `null` while there is none: an idle socket holds no map. */
  #runs: Map<ConversationId, Run> | null = null;

  constructor(kept: KeptEvents) {
    this.#kept = kept;
  }

  /** The runs, by conversation. */
  get runs(): ReadonlyMap<ConversationId, Run> {
    return this.#runs ?? NONE;
  }

  /** The run of a conversation. */
  run(conversationId: ConversationId): Run | undefined {
    return this.#runs?.get(conversationId);
  }

  /** Notes an offer; false where it cannot be kept, so that only the log can give it. */
  add(event: OfferedEvent): boolean {
    const { conversationId, seq } = event;
    const run = this.#runs?.get(conversationId);
    if (run !== undefined && seq >= run.from && seq <= run.to) return true;
    if (run === undefined && this.runs.size >= MOST_RUNS) return false;
    if (!this.#kept.keep(event)) return false;
    if (run === undefined) {
      this.#runs ??= new Map();
      this.#runs.set(conversationId, { from: seq, to: seq });
    } else if (seq === run.to + 1) run.to = seq;
    else if (seq === run.from - 1) run.from = seq;
    else if (seq > run.to) [run.from, run.to] = [seq, seq];
    return true; // one far below the run lies in the gap that is read anyway
  }

  /** The event of a seq, if it was offered and is still kept. */
  next(conversationId: ConversationId, seq: number): OfferedEvent | undefined {
    const run = this.#runs?.get(conversationId);
    if (run === undefined || seq < run.from || seq > run.to) return undefined;
    return this.#kept.find(conversationId, seq);
  }

  /** Forgets the run of a conversation. */
  drop(conversationId: ConversationId): void {
    if (this.#runs?.delete(conversationId) === true && this.#runs.size === 0) this.#runs = null;
  }

  /** Forgets all. */
  clear(): void {
    this.#runs = null;
  }
}
