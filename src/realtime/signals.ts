/** What one account tells others and is kept nowhere, as that it types or has read: how much of it, and what was told. */
import { forgetOldest } from "../platform/forget_oldest.ts";
import { type ConversationId, LIMITS } from "../protocol/mod.ts";

/** Conversations whose read marks are remembered. */
const MOST_READS = 1_000;

/** See the head of this file. */
export class Signals {
  readonly #now: () => number;
  /** The highest seqs that others were told this person has read; what is dropped costs them a repeat. */
  readonly #reads = new Map<ConversationId, number>();
  /** Members who may still be told; below zero it is a debt. */
  #left: number = LIMITS.signalBurst;
  #countedAt: number;

  /** `now`: milliseconds of a clock that nobody sets. */
  constructor(now: () => number) {
    this.#now = now;
    this.#countedAt = now();
  }

  /** Milliseconds until this account may signal again; 0: now [LIM-3]. */
  wait(): number {
    const now = this.#now();
    const earned = ((now - this.#countedAt) / 1_000) * LIMITS.signalsPerSecond;
    this.#left = Math.min(LIMITS.signalBurst, this.#left + earned);
    this.#countedAt = now;
    return this.#left > 0 ? 0 : Math.ceil(((1 - this.#left) / LIMITS.signalsPerSecond) * 1_000);
  }

  /** Counts a signal by those it reaches: one frame becomes a thousand in a large group. */
  count(others: number): void {
    this.#left -= others;
  }

  /**
   * Notes a read mark and gives the one before it, 0 for none; `null` where it is not beyond that, for marks never
   * go back [READ-1].
   */
  noteRead(conversationId: ConversationId, seq: number): number | null {
    const before = this.#reads.get(conversationId) ?? 0;
    if (seq <= before) return null;
    this.#remember(conversationId, seq);
    return before;
  }

  /** The others could not be told of a read mark: the same again tells them. */
  untold(conversationId: ConversationId, seq: number, before: number): void {
    if (this.#reads.get(conversationId) === seq) this.#remember(conversationId, before);
  }

  #remember(conversationId: ConversationId, seq: number): void {
    this.#reads.delete(conversationId); // to the end: the most recent
    this.#reads.set(conversationId, seq);
    forgetOldest(this.#reads, MOST_READS);
  }
}
