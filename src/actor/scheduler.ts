/**
 * Whose turn it is. Actors with messages stand in one queue; each handles a few and goes
 * to the end, so a busy actor holds up nobody. Turns run in a microtask; after a budget
 * the rest waits for the event loop to come round, so sockets and timers are served too.
 */

/** Something with turns to run. */
export interface Runnable {
  /** Handles up to `budget` messages; gives how many, and whether more wait. */
  run(budget: number): { readonly handled: number; readonly more: boolean };
}

const TURN = 32;
const ROUND = 2_048;

/** One queue of turns; one a process is enough. */
export class Scheduler {
  readonly #afterTurn: () => void;
  #ready: Runnable[] = [];
  #running = false;

  /** `afterTurn` is called whenever a turn is over. */
  constructor(afterTurn: () => void = () => {}) {
    this.#afterTurn = afterTurn;
  }

  /** Gives `runnable` a turn; the caller sees to it that it stands in the queue once. */
  schedule(runnable: Runnable): void {
    this.#ready.push(runnable);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => this.#round());
  }

  #round(): void {
    let budget = ROUND;
    for (let i = 0; i < this.#ready.length; i++) {
      if (budget <= 0) {
        this.#ready = this.#ready.slice(i);
        setImmediate(() => this.#round());
        return;
      }
      const runnable = this.#ready[i];
      if (runnable === undefined) continue;
      const { handled, more } = runnable.run(Math.min(TURN, budget));
      this.#afterTurn();
      budget -= Math.max(1, handled);
      if (more) this.#ready.push(runnable);
    }
    this.#ready = [];
    this.#running = false;
  }
}
