/**
 * When each socket compares its heads with the log. Every minute it does so whatever the bus says:
 * that makes delivery certain. When the bus doubts, all do so at once; while it is not healthy,
 * every second: that makes it fast.
 *
 * - Comparing is work for the database and for this process, so it goes in slices: the next one
 *   begins when the reads of the last are over and as much time again has passed. So at most half
 *   of the time is spent on it, and with very many sockets a round takes longer than a second.
 * - A socket that waits for its turn is not queued twice.
 */

/** What a {@link HeadWatch} is made of. */
export interface HeadWatchOptions<Socket> {
  /** The sockets that can compare now. */
  readonly sockets: () => Iterable<Socket>;
  /** Makes a socket compare its heads and ask whether its session lives. */
  readonly compare: (socket: Socket) => void;
  /** Reads of heads that are under way. */
  readonly reads: () => number;
  /** Whether hints may be getting lost; see `Bus.healthy`. */
  readonly healthy: () => boolean;
  /** Milliseconds between two comparisons of a socket while all is well. */
  readonly everyMs: number;
  /** Milliseconds, by the clock of the server. */
  readonly now: () => number;
  readonly random: () => number;
}

const SLICE = 100;
const STEP_MS = 10;
/** A slice whose reads take longer is waited for no more; the database has deadlines of its own. */
const SLICE_MS = 1_000;

/** See the head of this file. */
export class HeadWatch<Socket extends object> implements Disposable {
  readonly #options: HeadWatchOptions<Socket>;
  readonly #comparedAt = new WeakMap<Socket, number>();
  readonly #due = new Set<Socket>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  constructor(options: HeadWatchOptions<Socket>) {
    this.#options = options;
  }

  /** A socket that has just come, and reads its heads anyway. */
  opened(socket: Socket): void {
    // Spread, so that a thousand sockets that came together do not compare together.
    this.#comparedAt.set(socket, this.#options.now() + this.#options.random() * this.#options.everyMs);
  }

  /** A socket is gone. */
  closed(socket: Socket): void {
    this.#due.delete(socket);
  }

  /** Hints may have been lost: every socket compares as soon as it can. */
  doubt(): void {
    for (const socket of this.#options.sockets()) this.#due.add(socket);
    this.#go();
  }

  /** Looks at the time; called every second. */
  check(): void {
    if (!this.#options.healthy()) return this.doubt();
    const before = this.#options.now() - this.#options.everyMs;
    for (const socket of this.#options.sockets()) {
      if ((this.#comparedAt.get(socket) ?? 0) <= before) this.#due.add(socket);
    }
    this.#go();
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    this.#due.clear();
    clearTimeout(this.#timer);
  }

  #go(): void {
    if (this.#timer === undefined && this.#due.size > 0) this.#after(0, () => this.#slice());
  }

  #slice(): void {
    const { compare, now } = this.#options;
    let left = SLICE;
    for (const socket of this.#due) {
      if (left-- === 0) break;
      this.#due.delete(socket);
      this.#comparedAt.set(socket, now());
      compare(socket);
    }
    this.#awaitReads(performance.now());
  }

  /** Waits until the slice is over, and then as long again. */
  #awaitReads(startedAt: number): void {
    this.#after(STEP_MS, () => {
      const took = performance.now() - startedAt;
      if (this.#options.reads() > 0 && took < SLICE_MS) return this.#awaitReads(startedAt);
      this.#after(took, () => {
        this.#timer = undefined;
        this.#go();
      });
    });
  }

  #after(ms: number, work: () => void): void {
    if (!this.#ended) this.#timer = setTimeout(work, ms);
  }
}
