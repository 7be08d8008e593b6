/** A clock that a test moves by hand: the {@link Timing} port without the machine's time. */
import type { Timing } from "../../src/client/mod.ts";

interface Timer {
  readonly at: number;
  readonly work: () => void;
}

/** Time stands still until `advance`; chance is what the test says. */
export class ManualTiming implements Timing {
  readonly #timers = new Set<Timer>();
  #now: number;
  readonly #random: () => number;

  constructor(options: { readonly now?: number; readonly random?: () => number } = {}) {
    this.#now = options.now ?? Date.parse("2026-01-01T00:00:00Z");
    this.#random = options.random ?? (() => 0.5);
  }

  now(): number {
    return this.#now;
  }

  random(): number {
    return this.#random();
  }

  after(ms: number, work: () => void): () => void {
    const timer = { at: this.#now + ms, work };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.size;
  }

  /** Moves time on, running what falls due, in its order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers.delete(due);
      this.#now = Math.max(this.#now, due.at);
      due.work();
    }
    this.#now = until;
  }
}

/** Lets promises that are ready go on, for as many turns as a chain of them may need. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
