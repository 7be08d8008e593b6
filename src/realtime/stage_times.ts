/**
 * How long messages take from stage to stage on this node, for operators and the benchmark:
 *
 *   socket ──receive──▶ log ──log──▶ outcome ──answer──▶ socket
 *
 * One message in 64 is followed, so that the path reads no clock for the others. What a batch takes
 * in the log is measured there, and what the bus takes in the bus.
 */

/**
 * - `receive`: from the socket's frame until the log has the event.
 * - `log`: until its outcome is known; a conversation that had to be looked up first is in it.
 * - `answer`: until its receipt is written to the socket.
 * - `look_up`, `publish`: asking where a turn's recipients are, and publishing what is for one node.
 */
export type Stage = "receive" | "log" | "answer" | "look_up" | "publish";

/** What {@link StageTimes} is told. */
export interface StageTimesOptions {
  /** Milliseconds of the clock that stamps frames. */
  readonly now: () => number;
  readonly observe: (stage: Stage, milliseconds: number) => void;
  /** One message of so many is followed; standard 64. */
  readonly every?: number;
}

/** A message that is followed. */
export interface Followed {
  readonly receivedAt: number;
  /** `null` until the log has it. */
  submittedAt: number | null;
}

const EVERY = 64;

/** See the head of this file. */
export class StageTimes {
  readonly #options: StageTimesOptions;
  readonly #every: number;
  #messages = 0;
  /** When outcomes came whose receipts leave when the turn is over. */
  #answered: number[] = [];

  constructor(options: StageTimesOptions) {
    this.#options = options;
    this.#every = options.every ?? EVERY;
  }

  /** A message came at `receivedAt`; `null` for those that are not followed. */
  follow(receivedAt: number): Followed | null {
    this.#messages = (this.#messages + 1) % this.#every;
    return this.#messages === 0 ? { receivedAt, submittedAt: null } : null;
  }

  /** The log has it. */
  submitted(followed: Followed): void {
    followed.submittedAt = this.#options.now();
    this.#options.observe("receive", followed.submittedAt - followed.receivedAt);
  }

  /** It is stored; gives the moment. `null` where the log had it before anybody looked. */
  stored({ submittedAt }: Followed): number | null {
    if (submittedAt === null) return null;
    const now = this.#options.now();
    this.#options.observe("log", now - submittedAt);
    return now;
  }

  /** Its receipt will be written when this turn is over. */
  answered(storedAt: number): void {
    this.#answered.push(storedAt);
  }

  /** A turn is over, and what it said is written. */
  turnOver(): void {
    if (this.#answered.length === 0) return;
    const now = this.#options.now();
    for (const storedAt of this.#answered) this.#options.observe("answer", now - storedAt);
    this.#answered = [];
  }
}
