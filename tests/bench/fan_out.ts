/**
 * Everybody of one conversation is to have every message: the first seats send in turn, so that none
 * meets its own limit. A message is over when the last seat has it; `window` of them are under way.
 */
import { cpuSeconds, type Watched } from "./machine.ts";
import type { Seat } from "./seat.ts";
import { type Percentiles, pause, percentiles } from "./traffic.ts";

/** What {@link FanOut.run} is told. */
export interface FanOutPlan {
  readonly window: number;
  readonly warmMs: number;
  readonly ms: number;
  readonly watched: readonly Watched[];
}

/** What came of it. Times are milliseconds. */
export interface FanOutResult {
  readonly seconds: number;
  readonly sent: number;
  /** Messages at seats; a sender's receipt that stands for its message is one too. */
  readonly delivered: number;
  /** Deliveries that had not come 10 s after the end. */
  readonly undelivered: number;
  /** From the send to the last seat. */
  readonly toAll: Percentiles;
  /** Processor time by name, in cores. */
  readonly cpu: Readonly<Record<string, number>>;
}

const DRAIN_MS = 10_000;

/** See the head of this file. */
export class FanOut {
  readonly #senders: readonly Seat[];
  #window = 0;
  #sending = false;
  #counting = false;
  /** When each message was sent, and how many seats have had it. */
  readonly #sentAt: number[] = [];
  readonly #had: number[] = [];
  readonly #places: Map<Seat, number>;
  #over = 0;
  #total = 0;
  #delivered = 0;
  #toAll: number[] = [];

  constructor(seats: readonly Seat[], senders: number) {
    this.#senders = seats.slice(0, senders);
    this.#places = new Map(seats.map((seat) => [seat, 0]));
  }

  /** The sender is told that its message is stored. */
  receipt(seat: Seat, stands: boolean): void {
    if (stands) this.delivery(seat);
  }

  /** A seat has its next message; they come to each in one order. */
  delivery(seat: Seat): void {
    const place = this.#places.get(seat) ?? 0;
    this.#places.set(seat, place + 1);
    this.#total++;
    if (this.#counting) this.#delivered++;
    const had = (this.#had[place] ?? 0) + 1;
    this.#had[place] = had;
    if (had < this.#places.size) return;
    this.#over++;
    if (this.#counting) this.#toAll.push(performance.now() - (this.#sentAt[place] ?? 0));
    this.#fill();
  }

  /** Runs one phase. */
  async run(plan: FanOutPlan): Promise<FanOutResult> {
    this.#window = plan.window;
    this.#sending = true;
    [this.#delivered, this.#toAll] = [0, []];
    this.#fill();
    await pause(plan.warmMs);
    const before = plan.watched.map(cpuSeconds);
    const begun = performance.now();
    const sentBefore = this.#sentAt.length;
    this.#counting = true;
    await pause(plan.ms);
    this.#counting = false;
    const seconds = (performance.now() - begun) / 1_000;
    const sent = this.#sentAt.length - sentBefore;
    const cpu = plan.watched.map((one, i) => [one.name, (cpuSeconds(one) - (before[i] ?? 0)) / seconds]);
    this.#sending = false;
    const deadline = performance.now() + DRAIN_MS;
    while (this.#over < this.#sentAt.length && performance.now() < deadline) await pause(20);
    return {
      ...{ seconds, sent, delivered: this.#delivered, toAll: percentiles(this.#toAll) },
      undelivered: this.#sentAt.length * this.#places.size - this.#total,
      cpu: Object.fromEntries(cpu),
    };
  }

  #fill(): void {
    while (this.#sending && this.#sentAt.length - this.#over < this.#window) {
      this.#senders[this.#sentAt.length % this.#senders.length]?.sendMessage();
      this.#sentAt.push(performance.now());
    }
  }
}
