/**
 * One run: a cluster, people who use it all the time, and faults one after the other. After each
 * healing it measures how long it takes until every device has everything; in the end it closes all
 * sockets, looks whether the nodes hold on to anything, and has the history judged.
 */
import { check, type Times, type Violation } from "../support/history/checker.ts";
import { type AnyOperation, type Fault, History } from "../support/history/history.ts";
import { readLogs } from "../support/history/read_logs.ts";
import { Chance } from "../support/random.ts";
import { catchUp } from "./caught_up.ts";
import { Cluster } from "./cluster.ts";
import { DEEDS } from "./deeds.ts";
import type { FaultKind, Plan, Scene } from "./faults.ts";
import { concludeAll, type Resting, readAtRest, restingOf, whatIsLeft } from "./resting.ts";
import { Traffic } from "./traffic.ts";

/** What a run is told. */
export interface ChaosOptions {
  readonly faults: readonly FaultKind[];
  /** Seconds that each fault is made again and again; 0: once. */
  readonly seconds: number;
  /** Operations that there must have been in the end. */
  readonly operations: number;
  readonly seed: number;
  readonly brief: boolean;
  /** Milliseconds after a healing until all must have caught up. */
  readonly caughtUpMs: number;
  /** What the checker allows in place of its standard, for a machine that may be busy. */
  readonly times?: Partial<Times>;
  /** Milliseconds between two deeds of a device. */
  readonly paceMs: number;
  /** Ends the run early; what it started is taken apart. */
  readonly signal?: AbortSignal;
  readonly onPhase?: (phase: Phase) => void;
  readonly onRow?: (row: FaultRow) => void;
}

/** What a run is doing. */
export interface Phase {
  readonly says: string;
  readonly operations: number;
}

/** What came of one fault. */
export interface FaultRow {
  readonly name: string;
  times: number;
  /** Operations that began between its making and everybody having caught up. */
  operations: number;
  answered: number;
  refused: number;
  unknown: number;
  /** Of the slowest time, ms. */
  caughtUpMs: number;
  /** Entries that came to a device which had them. */
  repeats: number;
  /** What should not have been, in words. */
  readonly problems: string[];
}

/** What came of a run. */
export interface ChaosResult {
  readonly verdict: "holds" | "violated" | "unknown";
  readonly rows: readonly FaultRow[];
  /** What should not have been, in words, by the checker and by the run itself. */
  readonly problems: readonly string[];
  /** Why the verdict is `unknown`. */
  readonly reasons: readonly string[];
  /** What the checker found, with what shows it. */
  readonly evidence: readonly Violation[];
  readonly operations: number;
  readonly answered: number;
  readonly deliveries: number;
  readonly connections: number;
  readonly seconds: number;
}

/** Operations that must be answered before the next fault is made: it is to hit something. */
const FLOWING = 20;
const FLOWING_MS = 30_000;
/** Beyond the promise: to say how late it was. */
const PATIENCE_MS = 30_000;
/** Longer than the deadline of any operation. */
const SETTLED_MS = 15_000;
const STOP_MS = 25_000;

/** Runs; see the head of this file. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const run = new Run(options);
  return await run.all();
}

class Run {
  readonly #options: ChaosOptions;
  readonly #history = new History();
  readonly #chance: Chance;
  readonly #startedAt = performance.now();
  readonly #rows: FaultRow[] = [];

  constructor(options: ChaosOptions) {
    this.#options = options;
    this.#chance = new Chance(options.seed);
    this.#history.planned.push(...options.faults.map(({ name }) => name));
  }

  async all(): Promise<ChaosResult> {
    const { brief, paceMs, faults } = this.#options;
    this.#says("starting three nodes");
    await using cluster = await Cluster.start(this.#chance.fork());
    const resting = new Map<string, Resting>();
    for (const node of cluster.nodes) resting.set(node.name, await restingOf(node.server));
    this.#says("signing people up");
    await using traffic = await Traffic.start({
      ...{ history: this.#history, chance: this.#chance.fork(), nodes: cluster.serving, paceMs, deeds: DEEDS },
    });
    const scene: Scene = { cluster, traffic, chance: this.#chance.fork(), brief };
    for (const kind of faults) {
      if (this.#aborted) break;
      const row = await this.#tryOut(kind, scene);
      this.#options.onRow?.(row);
    }
    return await this.#end(scene, resting);
  }

  get #aborted(): boolean {
    return this.#options.signal?.aborted === true;
  }

  #says(says: string): void {
    this.#options.onPhase?.({ says, operations: this.#history.operations.length });
  }

  /** Makes one fault, and again until its time is over and its share of the operations is done. */
  async #tryOut(kind: FaultKind, scene: Scene): Promise<FaultRow> {
    const { seconds, operations, faults } = this.#options;
    const row: FaultRow = {
      ...{ name: kind.name, times: 0, operations: 0, answered: 0, refused: 0, unknown: 0, caughtUpMs: 0, repeats: 0 },
      problems: [],
    };
    this.#rows.push(row);
    const until = performance.now() + seconds * 1_000;
    const share = (operations * this.#rows.length) / faults.length;
    const enough = () => performance.now() >= until && this.#history.operations.length >= share;
    do await this.#once(kind, scene, row);
    while (!enough() && !this.#aborted && kind.forGood !== true && row.problems.length === 0);
    while (!enough() && !this.#aborted && row.problems.length === 0) {
      this.#says(`${kind.name}: going on`);
      await this.#wait(500);
    }
    return row;
  }

  async #once(kind: FaultKind, scene: Scene, row: FaultRow): Promise<void> {
    const { traffic, cluster } = scene;
    await this.#flowing(row);
    const first = this.#history.operations.length;
    const repeats = repeatsOf(traffic);
    const plan = kind.plan(scene);
    const fault = this.#history.fault(kind.name, plan.hit);
    row.times++;
    try {
      this.#says(`${kind.name}: making it`);
      await plan.make();
      await this.#hold(kind, plan);
      this.#says(`${kind.name}: healing`);
      await plan.heal();
    } catch (error) {
      row.problems.push(error instanceof Error ? error.message : String(error));
      await plan.heal(); // so that the others can be tried
    }
    this.#history.healed(fault);
    await this.#measure(kind, fault, scene, row);
    await plan.after?.();
    row.problems.push(...cluster.unexpectedEnds());
    row.repeats += repeatsOf(traffic) - repeats;
    await this.#count(row, this.#history.operations.slice(first));
  }

  /** Counts what came of operations; those that are open are waited for, as each has a deadline. */
  async #count(row: FaultRow, operations: readonly AnyOperation[]): Promise<void> {
    const open = () => operations.filter(({ outcome }) => outcome.type === "open").length;
    const deadline = performance.now() + SETTLED_MS;
    while (open() > 0 && performance.now() < deadline && !this.#aborted) await this.#wait(50);
    row.operations += operations.length;
    for (const { outcome } of operations) {
      if (outcome.type === "ok") row.answered++;
      else if (outcome.type === "refused") row.refused++;
      else row.unknown++;
    }
    if (open() > 0 && !this.#aborted) row.problems.push(`${open()} operations were never settled`);
  }

  /** Waits until people are answered. */
  async #flowing(row: FaultRow): Promise<void> {
    const { operations } = this.#history;
    const first = operations.length;
    const deadline = performance.now() + FLOWING_MS;
    for (;;) {
      const answered = operations.slice(first).filter(({ outcome }) => outcome.type === "ok").length;
      if (answered >= FLOWING || this.#aborted) return;
      if (performance.now() > deadline) {
        row.problems.push(`Sends are not answered any more: ${answered} in ${FLOWING_MS / 1_000} s`);
        return;
      }
      await this.#wait(50);
    }
  }

  async #hold(kind: FaultKind, { holdMs, again }: Plan): Promise<void> {
    const until = performance.now() + holdMs;
    let next = performance.now() + (again?.everyMs ?? Number.POSITIVE_INFINITY);
    for (let left = holdMs; left > 0 && !this.#aborted; left = until - performance.now()) {
      this.#says(`${kind.name}: ${Math.ceil(left / 1_000)} s to go`);
      await this.#wait(Math.min(left, 250, Math.max(0, next - performance.now())));
      if (again === undefined || performance.now() < next) continue;
      next += again.everyMs;
      await again.deed();
    }
  }

  async #measure(kind: FaultKind, { to }: Fault, { traffic, cluster }: Scene, row: FaultRow): Promise<void> {
    this.#says(`${kind.name}: catching up`);
    const took = await catchUp(traffic, cluster.database.db, PATIENCE_MS);
    if (typeof took === "string") {
      row.caughtUpMs = PATIENCE_MS;
      row.problems.push(`Not caught up ${PATIENCE_MS / 1_000} s after healing at ${Math.round(to ?? 0)} ms: ${took}`);
      return;
    }
    row.caughtUpMs = Math.max(row.caughtUpMs, took);
    if (took > this.#options.caughtUpMs) row.problems.push(`Caught up only ${Math.round(took)} ms after healing`);
  }

  /** Lets everything be answered, closes every socket, and has the history judged. */
  async #end({ cluster, traffic }: Scene, resting: ReadonlyMap<string, Resting>): Promise<ChaosResult> {
    const problems = this.#rows.flatMap((row) => row.problems.map((text) => `${row.name}: ${text}`));
    this.#says("letting everything be answered");
    if (!(await traffic.stop(STOP_MS))) problems.push("Sends were not answered although nothing is broken any more");
    const took = await catchUp(traffic, cluster.database.db, PATIENCE_MS);
    if (typeof took === "string") problems.push(`At the end: ${took}`);
    const said = await concludeAll(traffic).catch((error) => {
      problems.push(`At the end: ${error}`);
      return null;
    });
    await traffic[Symbol.asyncDispose]();
    this.#says("looking at what the nodes hold");
    problems.push(...cluster.unexpectedEnds());
    for (const { name, server } of cluster.nodes) {
      const before = resting.get(name);
      if (before !== undefined) problems.push(...(await whatIsLeft(server, before)).map((text) => `${name}: ${text}`));
    }
    if (said !== null) {
      this.#says("asking every node how far everything got");
      const sql = cluster.database.db;
      problems.push(...(await readAtRest({ history: this.#history, traffic, nodes: cluster.serving(), sql }, said)));
    }
    this.#says("checking the history");
    this.#history.finish(await readLogs(cluster.database.db));
    const judged = check(this.#history, this.#options.times);
    problems.push(...judged.violations.map(({ rule, text }) => `${rule}: ${text}`));
    return {
      verdict: problems.length > 0 ? "violated" : this.#aborted ? "unknown" : judged.verdict,
      rows: this.#rows,
      problems,
      evidence: judged.violations,
      reasons: this.#aborted ? ["it was interrupted", ...judged.reasons] : judged.reasons,
      operations: this.#history.operations.length,
      answered: this.#history.operations.filter(({ outcome }) => outcome.type === "ok").length,
      deliveries: this.#history.connections.reduce(
        (sum, { events }) => sum + events.filter(({ type }) => type === "delivered").length,
        0,
      ),
      connections: this.#history.connections.length,
      seconds: (performance.now() - this.#startedAt) / 1_000,
    };
  }

  async #wait(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms)); // a pace: what counts is looked at each time
  }
}

function repeatsOf({ devices }: Traffic): number {
  return devices.reduce((sum, { repeats }) => sum + repeats, 0);
}
