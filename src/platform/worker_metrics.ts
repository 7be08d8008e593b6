/**
 * The measurements of several workers as if they were of one process, whichever of them is asked:
 *
 *   worker ─ group_metrics_wanted ─▶ parent ─ metrics_wanted ─▶ every worker
 *   worker ◀──── group_metrics ───── parent ◀──── metrics ───── every worker
 *
 * - A worker that does not answer in time counts with what it said last, so that a frozen one
 *   holds up nobody and no sum falls. `sotto_workers_silent` says how many do.
 * - What a worker that is gone had counted stays in the sums, as it was when it was last asked.
 * - One round at a time: who asks while one goes on gets its outcome.
 */
import { lastingValues, type Metrics, type MetricValues, sumMetrics } from "./metrics.ts";

/** What a parent tells a worker. */
export type ToWorker = { readonly type: "metrics_wanted" } | { readonly type: "group_metrics"; readonly text: string };

/** What a worker tells its parent. */
export type ToParent =
  | { readonly type: "metrics"; readonly values: MetricValues }
  | { readonly type: "group_metrics_wanted" };

/** A worker, as its parent's measurements know it. */
export interface Member {
  receive(message: ToParent): void;
  /** It is gone. */
  leave(): void;
}

/** How long the parent waits for a worker (ms). */
const ANSWER_MS = 1_000;
/** How long a worker waits for the parent, which waits for others (ms). */
const GROUP_MS = 3_000;

/** The parent's side; see the head of this file. */
export class GroupMetrics {
  /** What the parent measures of itself. */
  readonly #own: Metrics;
  readonly #members = new Set<Asked>();
  /** What those left who are gone. */
  #left: MetricValues[] = [];
  #round: Promise<string> | null = null;
  #silent = 0;

  constructor(own: Metrics) {
    this.#own = own;
    own.measured("sotto_workers_silent", "Workers that did not answer in time; their last figures count", () => {
      return this.#silent;
    });
  }

  /** A worker was started; `tell` sends it a message, and may throw where it is gone already. */
  join(tell: (message: ToWorker) => void): Member {
    const asked = new Asked(tell);
    this.#members.add(asked);
    return {
      receive: (message) => {
        if (message.type === "metrics") return asked.answered(message.values);
        void this.text().then((text) => asked.tell({ type: "group_metrics", text }));
      },
      leave: () => {
        this.#members.delete(asked);
        if (asked.last !== null) this.#left.push(lastingValues(asked.last));
        asked.answered(null);
      },
    };
  }

  /** The sums of all workers and of the parent, in Prometheus' text format. */
  text(): Promise<string> {
    this.#round ??= this.#collect().finally(() => {
      this.#round = null;
    });
    return this.#round;
  }

  async #collect(): Promise<string> {
    const asked = [...this.#members];
    const answers = await Promise.all(asked.map((member) => member.ask()));
    this.#silent = answers.filter((answered) => !answered).length;
    const lasts = [...this.#members].flatMap(({ last }) => (last === null ? [] : [last]));
    const left = this.#left.splice(0);
    if (left.length > 0) this.#left.unshift(await sumMetrics(left).values()); // one, however many are gone
    return sumMetrics([await this.#own.values(), ...this.#left, ...lasts]).text();
  }
}

/** A worker that is asked what it measured. */
class Asked {
  readonly tell: (message: ToWorker) => void;
  /** What it said last. */
  last: MetricValues | null = null;
  /** The question that waits for its answer; there is one at most, however long a worker is frozen. */
  #question: PromiseWithResolvers<boolean> | null = null;

  constructor(tell: (message: ToWorker) => void) {
    this.tell = (message) => {
      try {
        tell(message);
      } catch {
        // It is gone, and its end follows.
      }
    };
  }

  /** Resolves to whether it answered in time. */
  async ask(): Promise<boolean> {
    if (this.#question === null) {
      this.#question = Promise.withResolvers<boolean>();
      this.tell({ type: "metrics_wanted" });
    }
    return within(ANSWER_MS, this.#question.promise, false);
  }

  /** `null`: it is gone. */
  answered(values: MetricValues | null): void {
    if (values !== null) this.last = values;
    this.#question?.resolve(values !== null);
    this.#question = null;
  }
}

/** The worker's side: metrics whose text is that of the whole group. Answers the parent from now on. */
export function groupMetrics(own: Metrics): Metrics {
  let waiting: PromiseWithResolvers<string | null> | null = null;
  process.on("message", (message: ToWorker) => {
    if (message.type === "metrics_wanted") void own.values().then((values) => tellParent({ type: "metrics", values }));
    else {
      waiting?.resolve(message.text);
      waiting = null;
    }
  });
  return {
    ...own,
    text: async () => {
      if (waiting === null) {
        waiting = Promise.withResolvers();
        tellParent({ type: "group_metrics_wanted" });
      }
      const text = await within(GROUP_MS, waiting.promise, null);
      if (text === null) throw new Error("The parent of the workers does not answer");
      return text;
    },
  };
}

function tellParent(message: ToParent): void {
  process.send?.(message);
}

async function within<T>(ms: number, work: Promise<T>, late: T): Promise<T> {
  const timeout = Promise.withResolvers<T>();
  const timer = setTimeout(() => timeout.resolve(late), ms);
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
