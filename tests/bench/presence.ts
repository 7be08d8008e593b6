/**
 * People whose devices say in turn that they are away and that they are back, so many times a second; and a
 * few, the witnesses, who say it once, long after anything was told of them: how long that takes to be shown.
 */
import { cpuSeconds, type Watched } from "./machine.ts";
import type { Seat } from "./seat.ts";
import { type Percentiles, pause, percentiles } from "./traffic.ts";

/** What {@link PresenceTraffic.run} is told. Times are milliseconds. */
export interface PresencePlan {
  /** Changes a second, by all but the witnesses. */
  readonly perSecond: number;
  /** How many of the last seats are witnesses, and how many others are to see each of them. */
  readonly witnesses: number;
  readonly contacts: number;
  /** After this the figures begin, and last for `ms`. */
  readonly warmMs: number;
  readonly ms: number;
  /** From here on, after the beginning, witnesses change, evenly within `witnessesMs`. */
  readonly witnessesAfterMs: number;
  readonly witnessesMs: number;
  readonly watched: readonly Watched[];
}

/** What came of it. */
export interface PresenceResult {
  readonly seconds: number;
  /** Changes that devices told the server in that time. */
  readonly changes: number;
  /** Frames that came from the server in that time, and people they told of, each as often as they were told of. */
  readonly frames: number;
  readonly told: number;
  /** From the change of a witness to each of its contacts, in ms; and those that were never shown. */
  readonly shown: Percentiles;
  readonly unseen: number;
  /** Processor time by name, in cores. */
  readonly cpu: Readonly<Record<string, number>>;
}

const TICK_MS = 1;
const DRAIN_MS = 10_000;
/** Frames of one telling come within this; two tellings of somebody are much further apart. */
const ONE_TELLING_MS = 2_000;

/** See the head of this file. */
export class PresenceTraffic {
  readonly #seats: readonly Seat[];
  readonly #witnesses = new Map<string, { changedAt: number; left: number }>();
  readonly #shown: number[] = [];
  /** When each person was told of last. */
  readonly #toldAt = new Map<string, number>();
  #frames = 0;
  #told = 0;
  #changes = 0;
  #sending = false;

  constructor(seats: readonly Seat[]) {
    this.#seats = seats;
  }

  /** A frame that tells of somebody came to a seat. */
  presence(of: string): void {
    const now = performance.now();
    this.#frames++;
    if (now - (this.#toldAt.get(of) ?? -ONE_TELLING_MS) >= ONE_TELLING_MS) {
      this.#toldAt.set(of, now);
      this.#told++;
    }
    const witness = this.#witnesses.get(of);
    if (witness === undefined || witness.left === 0) return;
    witness.left--;
    this.#shown.push(now - witness.changedAt);
  }

  /** Runs one phase; `accountOf` says who sits at a place. */
  async run(plan: PresencePlan, accountOf: (place: number) => string): Promise<PresenceResult> {
    const begun = performance.now();
    this.#sending = true;
    const changing = this.#change(plan);
    const witnessing = this.#witness(plan, accountOf);
    await pause(plan.warmMs);
    const before = plan.watched.map(cpuSeconds);
    const from = { at: performance.now(), frames: this.#frames, told: this.#told, changes: this.#changes };
    await pause(plan.ms);
    const seconds = (performance.now() - from.at) / 1_000;
    const counted = {
      ...{ seconds, changes: this.#changes - from.changes },
      ...{ frames: this.#frames - from.frames, told: this.#told - from.told },
    };
    const cpu = plan.watched.map((one, i) => [one.name, (cpuSeconds(one) - (before[i] ?? 0)) / seconds]);
    await pause(Math.max(0, begun + plan.witnessesAfterMs + plan.witnessesMs - performance.now()));
    await witnessing;
    const left = () => [...this.#witnesses.values()].reduce((sum, witness) => sum + witness.left, 0);
    for (const until = performance.now() + DRAIN_MS; left() > 0 && performance.now() < until; ) await pause(20);
    this.#sending = false;
    await changing;
    return { ...counted, shown: percentiles(this.#shown), unseen: left(), cpu: Object.fromEntries(cpu) };
  }

  /** Everybody in turn; each is the other way round than before. */
  async #change({ perSecond, witnesses }: PresencePlan): Promise<void> {
    const people = this.#seats.slice(0, this.#seats.length - witnesses);
    const begun = performance.now();
    while (this.#sending) {
      for (const due = ((performance.now() - begun) * perSecond) / 1_000; this.#changes < due; this.#changes++) {
        const round = Math.floor(this.#changes / people.length);
        people[this.#changes % people.length]?.sendStatus(round % 2 === 0);
      }
      await pause(TICK_MS);
    }
  }

  async #witness(plan: PresencePlan, accountOf: (place: number) => string): Promise<void> {
    await pause(plan.witnessesAfterMs);
    const first = this.#seats.length - plan.witnesses;
    for (let i = 0; i < plan.witnesses; i++) {
      this.#witnesses.set(accountOf(first + i), { changedAt: performance.now(), left: plan.contacts });
      this.#seats[first + i]?.sendStatus(true);
      await pause(plan.witnessesMs / plan.witnesses);
    }
  }
}
