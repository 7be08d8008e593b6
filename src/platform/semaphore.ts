/** A bounded number of tasks at once, with a bounded queue in front. */
import { OverloadedError } from "./overloaded.ts";

/** What {@link createSemaphore} is told. */
export interface SemaphoreOptions {
  /** Tasks at once. */
  readonly concurrency: number;
  /** Tasks that may wait; one more is refused. */
  readonly queue: number;
  /** Milliseconds a task may wait for its turn. */
  readonly waitMs: number;
}

/** Runs tasks in the order they came; see {@link createSemaphore}. */
export interface Semaphore {
  /**
   * Runs `task` in its turn.
   *
   * @throws {OverloadedError} when the queue is full or the turn did not come in time; the task did not run
   */
  run<T>(task: () => Promise<T>): Promise<T>;
  /** Tasks that run now. */
  readonly running: number;
  /** Tasks that wait. */
  readonly waiting: number;
}

/** Makes a semaphore with nothing in it. */
export function createSemaphore(options: SemaphoreOptions): Semaphore {
  const queue: (() => void)[] = [];
  let running = 0;

  function enter(): Promise<void> | undefined {
    if (running < options.concurrency) {
      running += 1;
      return undefined;
    }
    if (queue.length >= options.queue) throw new OverloadedError("Try again later: too many wait");
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        queue.splice(queue.indexOf(turn), 1);
        reject(new OverloadedError("Try again later: the turn did not come in time"));
      }, options.waitMs);
      const turn = () => {
        clearTimeout(timer);
        resolve();
      };
      queue.push(turn);
    });
  }

  function leave(): void {
    // The place goes straight to the next in line, so nobody who comes between can take it.
    const next = queue.shift();
    if (next === undefined) running -= 1;
    else next();
  }

  return {
    get running() {
      return running;
    },
    get waiting() {
      return queue.length;
    },
    async run(task) {
      await enter();
      try {
        return await task();
      } finally {
        leave();
      }
    },
  };
}
