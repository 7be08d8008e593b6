/**
 * Traffic between pairs of seats: the first of a pair sends, the second receives.
 *
 * - Closed loop: each sender keeps `window` sends under way; what comes through is the capacity.
 * - Open loop: sends have their moments, whatever the server does, and latency counts from the
 *   moment a send was meant to go. The clock of the load ticks every millisecond, which is in the figure.
 */
import { cpuSeconds, type Watched } from "./machine.ts";
import type { Seat } from "./seat.ts";

/**
 * What is sent, and when a send is over: `message` when it has its receipt, `typing` and `relay` when the
 * other seat has it, `echo` when it is back.
 */
export type Kind = "message" | "typing" | "relay" | "echo";

/** What {@link runTraffic} is told. */
export interface TrafficPlan {
  readonly kind: Kind;
  readonly pace:
    | { readonly loop: "closed"; readonly window: number }
    | { readonly loop: "open"; readonly perSecond: number };
  /** Milliseconds before the figures begin. */
  readonly warmMs: number;
  /** Unless it is stopped before. */
  readonly ms: number;
  readonly watched: readonly Watched[];
  /** Whether every delivery is to be told, so that what else happened meanwhile can be seen in it. */
  readonly timeline?: boolean;
}

/** One delivery. Milliseconds: when its send was meant to go, since the epoch, and how long it took. */
export type TimedDelivery = readonly [meantAt: number, tookMs: number];

/** What came of it. Times are milliseconds. */
export interface TrafficResult {
  readonly seconds: number;
  readonly sent: number;
  readonly answered: number;
  readonly delivered: number;
  /** Sends that had no receipt, or were not delivered, 5 s after the end. */
  readonly unanswered: number;
  readonly undelivered: number;
  readonly answer: Percentiles;
  readonly delivery: Percentiles;
  /** Processor time by name, in cores. */
  readonly cpu: Readonly<Record<string, number>>;
  readonly timeline: readonly TimedDelivery[];
}

/** Of a set of times; 0 where there were none. */
export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly most: number;
}

const DRAIN_MS = 5_000;

/** Runs traffic over seats that are connected; seats 2i and 2i+1 are a pair. */
export class Traffic {
  readonly #seats: readonly Seat[];
  readonly #senders: readonly Seat[];
  readonly #place = new Map<Seat, number>();
  #plan: TrafficPlan | null = null;
  #sending = false;
  #stopped = Promise.withResolvers<void>();
  #counting = false;
  #sent = 0;
  #answered = 0;
  #delivered = 0;
  #answerTimes: number[] = [];
  #deliveryTimes: number[] = [];
  #timeline: TimedDelivery[] = [];

  constructor(seats: readonly Seat[]) {
    this.#seats = seats;
    this.#senders = seats.filter((_, index) => index % 2 === 0);
    seats.forEach((seat, index) => {
      this.#place.set(seat, index);
    });
  }

  /** A receipt came to a sender. */
  receipt(seat: Seat, _stands: boolean): void {
    const meant = seat.waiting[seat.answered++];
    if (meant === undefined) return;
    if (this.#counting) {
      this.#answered++;
      this.#answerTimes.push(performance.now() - meant);
    }
    if (this.#plan?.kind === "message") this.#goOn(seat);
  }

  /** Something came to a receiver. */
  delivery(seat: Seat): void {
    const place = this.#place.get(seat) ?? 0;
    const own = place % 2 === 0;
    // Its own event comes to a sender where the receipt did not stand for it.
    if (own !== (this.#plan?.kind === "echo")) return;
    const sender = this.#seats[own ? place : place - 1];
    const meant = sender?.waiting[sender.delivered++];
    if (sender === undefined || meant === undefined) return;
    if (this.#counting) {
      this.#delivered++;
      const took = performance.now() - meant;
      this.#deliveryTimes.push(took);
      if (this.#plan?.timeline === true) this.#timeline.push([performance.timeOrigin + meant, took]);
    }
    if (this.#plan?.kind !== "message") this.#goOn(sender);
  }

  /** Ends the phase that is under way. */
  stop(): void {
    this.#stopped.resolve();
  }

  /** Runs one phase. */
  async run(plan: TrafficPlan): Promise<TrafficResult> {
    this.#begin(plan);
    const paced = plan.pace.loop === "open" ? this.#pace(plan.pace.perSecond) : this.#fill(plan.pace.window);
    await pause(plan.warmMs);
    const cpuBefore = plan.watched.map(cpuSeconds);
    const begun = performance.now();
    this.#counting = true;
    await Promise.race([pause(plan.ms), this.#stopped.promise]);
    this.#counting = false;
    const seconds = (performance.now() - begun) / 1_000;
    const cpuAfter = plan.watched.map(cpuSeconds);
    this.#sending = false;
    await paced;
    await this.#drained(plan.kind);
    const left = (count: (seat: Seat) => number) =>
      this.#senders.reduce((sum, seat) => sum + seat.waiting.length - count(seat), 0);
    return {
      seconds,
      sent: this.#sent,
      answered: this.#answered,
      delivered: this.#delivered,
      unanswered: plan.kind === "message" ? left((seat) => seat.answered) : 0,
      undelivered: left((seat) => seat.delivered),
      answer: percentiles(this.#answerTimes),
      delivery: percentiles(this.#deliveryTimes),
      timeline: this.#timeline,
      cpu: Object.fromEntries(
        plan.watched.map(({ name }, i) => [name, ((cpuAfter[i] ?? 0) - (cpuBefore[i] ?? 0)) / seconds]),
      ),
    };
  }

  #begin(plan: TrafficPlan): void {
    this.#plan = plan;
    this.#sending = true;
    this.#stopped = Promise.withResolvers();
    [this.#sent, this.#answered, this.#delivered] = [0, 0, 0];
    [this.#answerTimes, this.#deliveryTimes, this.#timeline] = [[], [], []];
    for (const seat of this.#senders) {
      seat.waiting.length = 0;
      [seat.answered, seat.delivered] = [0, 0];
    }
  }

  #fill(window: number): Promise<void> {
    for (let i = 0; i < window; i++) for (const seat of this.#senders) this.#send(seat, performance.now());
    return Promise.resolve();
  }

  async #pace(perSecond: number): Promise<void> {
    const begun = performance.now();
    for (let next = 0; this.#sending; ) {
      for (const due = ((performance.now() - begun) * perSecond) / 1_000; next < due; next++) {
        const seat = this.#senders[next % this.#senders.length];
        if (seat !== undefined) this.#send(seat, begun + (next * 1_000) / perSecond);
      }
      await pause(1);
    }
  }

  #goOn(seat: Seat): void {
    if (this.#sending && this.#plan?.pace.loop === "closed") this.#send(seat, performance.now());
  }

  #send(seat: Seat, meant: number): void {
    if (this.#counting) this.#sent++;
    seat.waiting.push(meant);
    if (this.#plan?.kind === "typing") seat.sendTyping();
    else seat.sendMessage();
  }

  async #drained(kind: Kind): Promise<void> {
    const deadline = performance.now() + DRAIN_MS;
    const isOver = (seat: Seat) =>
      seat.delivered >= seat.waiting.length && (kind !== "message" || seat.answered >= seat.waiting.length);
    while (performance.now() < deadline && !this.#senders.every(isOver)) await pause(20);
  }
}

/** Percentiles of some times. */
export function percentiles(times: readonly number[]): Percentiles {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { p50: at(0.5), p99: at(0.99), most: sorted.at(-1) ?? 0 };
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
