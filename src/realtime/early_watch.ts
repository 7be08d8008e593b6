/**
 * Gives what came early a moment: an event that is offered before the one below it, as when two people speak at
 * once or two nodes tell of it, as a rule is followed by that one at once. One timer for all sockets of the node.
 */

/** Milliseconds after which the log is read for what has not come; twice that at most. */
const WAIT_MS = 50;

/** See the head of this file. */
export class EarlyWatch<Socket> implements Disposable {
  readonly #tell: (socket: Socket) => void;
  #waiting: Socket[] = [];
  #next: Socket[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `tell` says to a socket that its time is over. */
  constructor(tell: (socket: Socket) => void) {
    this.#tell = tell;
  }

  /** Tells a socket in a moment. */
  add(socket: Socket): void {
    this.#next.push(socket);
    this.#timer ??= setTimeout(() => this.#tick(), WAIT_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }

  /** Those that came since the last tick wait for one more. */
  #tick(): void {
    const over = this.#waiting;
    this.#waiting = this.#next;
    this.#next = [];
    this.#timer = this.#waiting.length > 0 ? setTimeout(() => this.#tick(), WAIT_MS) : undefined;
    for (const socket of over) this.#tell(socket);
  }
}
