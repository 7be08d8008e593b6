/** The load generator as its starter sees it: orders go in, answers come back, one at a time. */
import { join } from "node:path";
import type { FanOutPlan, FanOutResult } from "./fan_out.ts";
import type { PresencePlan, PresenceResult } from "./presence.ts";
import type { SeatPlan } from "./seat.ts";
import type { TrafficPlan, TrafficResult } from "./traffic.ts";

/** What the load is told to do. */
export type LoadOrder =
  | {
      readonly do: "connect";
      /** The nodes; seats go to them in turn, so that with two of them senders sit at one and receivers at the other. */
      readonly urls: readonly string[];
      readonly plans: readonly SeatPlan[];
      /** Characters of content in a message. */
      readonly size: number;
      /** Whether the server speaks the protocol; then each socket waits for `caught_up`. */
      readonly speaks: boolean;
    }
  | { readonly do: "run"; readonly plan: TrafficPlan }
  /** Has no answer of its own. */
  | { readonly do: "stop" }
  | { readonly do: "fan_out"; readonly senders: number; readonly plan: FanOutPlan }
  | { readonly do: "presence"; readonly plan: PresencePlan }
  | { readonly do: "catch_up"; readonly url: string; readonly plans: readonly SeatPlan[] }
  | { readonly do: "close" };

/** What the load answers. `faults`: what should not have happened, at most 20 texts. */
export interface LoadAnswer {
  readonly error?: string;
  readonly ms?: number;
  readonly entries?: number;
  readonly firsts?: readonly number[];
  readonly traffic?: TrafficResult;
  readonly fanOut?: FanOutResult;
  readonly presence?: PresenceResult;
  readonly faults: readonly string[];
}

const LONGEST_MS = 400_000;

/** See the head of this file. Disposing ends the process. */
export class LoadProcess implements Disposable {
  readonly #process: Bun.Subprocess;
  #answer = Promise.withResolvers<LoadAnswer>();

  constructor() {
    this.#process = Bun.spawn([process.execPath, join(import.meta.dir, "load.ts")], {
      stdio: ["ignore", "inherit", "inherit"],
      ipc: (answer: LoadAnswer) => this.#answer.resolve(answer),
      onExit: () => this.#answer.reject(new Error("The load generator ended")),
    });
    this.#answer.promise.catch(() => {}); // told to whoever waits
  }

  /** Its process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Gives an order and waits for the answer; throws where it could not be done. */
  async order(order: LoadOrder): Promise<LoadAnswer> {
    this.#answer = Promise.withResolvers<LoadAnswer>();
    const late = setTimeout(() => this.#answer.reject(new Error(`The load does not answer: ${order.do}`)), LONGEST_MS);
    this.#process.send(order);
    try {
      const answer = await this.#answer.promise;
      if (answer.error !== undefined) throw new Error(`${answer.error}; faults: ${answer.faults.join(" | ")}`);
      return answer;
    } finally {
      clearTimeout(late);
    }
  }

  /** Runs traffic; throws where anything went wrong on the wire. */
  async run(plan: TrafficPlan): Promise<TrafficResult> {
    const { traffic, faults } = await this.order({ do: "run", plan });
    if (traffic === undefined || faults.length > 0) throw new Error(`The traffic went wrong: ${faults.join(" | ")}`);
    return traffic;
  }

  /** Ends the traffic under way before its time; {@link run} gives what came of it. */
  stop(): void {
    this.#process.send({ do: "stop" } satisfies LoadOrder);
  }

  /** Lets the first seats send to everybody in turn; throws as {@link run} does. */
  async fanOut(senders: number, plan: FanOutPlan): Promise<FanOutResult> {
    const { fanOut, faults } = await this.order({ do: "fan_out", senders, plan });
    if (fanOut === undefined || faults.length > 0) throw new Error(`The fan-out went wrong: ${faults.join(" | ")}`);
    return fanOut;
  }

  /** Lets people be seen in other ways; throws as {@link run} does. */
  async presence(plan: PresencePlan): Promise<PresenceResult> {
    const { presence, faults } = await this.order({ do: "presence", plan });
    if (presence === undefined || faults.length > 0) throw new Error(`Presence went wrong: ${faults.join(" | ")}`);
    return presence;
  }

  [Symbol.dispose](): void {
    this.#process.kill();
  }
}
