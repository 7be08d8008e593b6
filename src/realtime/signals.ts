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

  /** Notes a read mark; false where it is not beyond what others were told, for marks never go back [READ-1]. */
  hasRead(conversationId: ConversationId, seq: number): boolean {
    if (seq <= (this.#reads.get(conversationId) ?? 0)) return false;
    this.#reads.delete(conversationId); // to the end: the most recent
    this.#reads.set(conversationId, seq);
    forgetOldest(this.#reads, MOST_READS);
    return true;
  }
}
