/**
 * W2: one to one. Each message of 256 characters is authenticated, decoded, limited, ordered, checked
 * for membership, stored once, committed, answered, delivered, and acknowledged by its receiver.
 *
 * The capacity is sought in a closed loop; latency is taken in an open loop at half of it. In the same
 * run raw Bun relays the same frames between the same number of sockets by the same load generator.
 */
import { createEmptyDatabase } from "../support/postgres.ts";
import { type Bench, connectLoad, note, startServer, watch } from "./bench.ts";
import { ROOT, SECRET } from "./bench_server.ts";
import { relayRate } from "./limits.ts";
import { createPairs, type Pair } from "./people.ts";
import { cpuText, median } from "./report.ts";
import { type StageTime, stageTimes } from "./stage_times.ts";
import { stageShares } from "./stages.ts";
import type { TrafficResult } from "./traffic.ts";

/** What one server gave. */
interface Measured {
  readonly capacity: TrafficResult;
  /** Events in a batch on average. */
  readonly batchEvents: number;
  readonly stages: readonly StageTime[];
}

const WARM_MS = 2_000;

/** Runs W2; with `against` two checkouts in turn. */
export async function w2(bench: Bench): Promise<void> {
  const { against, set } = bench.options;
  if (against !== null || Object.keys(set).length > 0) return compare(bench, { root: against ?? ROOT, env: set });
  const pairs = await prepare(bench, HERE);
  const perSecond = await alone(bench, pairs);
  const { profile } = bench.options;
  for (const [stage, share] of profile === null ? [] : stageShares(profile)) {
    note(bench, "w2", `stage: ${stage}`, share * 100, "% of busy");
  }
  const relay = await relayRate(bench, pairs.length);
  note(bench, "w2", "L1 raw relay, the same frames and load", relay.rate, "msg/s", cpuText(relay.cpu));
  note(bench, "w2", "share of the raw relay", perSecond / relay.rate, "");
}

/** One server on its own; gives its capacity in messages a second. */
async function alone(bench: Bench, pairs: readonly Pair[]): Promise<number> {
  await using server = await startServer(bench);
  using load = await connectLoad(server, pairs);
  const watched = watch(bench, server.pid, load.pid);
  const { capacity, batchEvents, stages } = await measure(bench, server, load, watched);
  const perSecond = capacity.answered / capacity.seconds;
  note(
    bench,
    "w2",
    `capacity, ${pairs.length} pairs, window ${bench.options.window}`,
    perSecond,
    "msg/s",
    cpuText(capacity.cpu),
  );
  note(bench, "w2", "delivered meanwhile", capacity.delivered / capacity.seconds, "msg/s");
  for (const [name, cores] of Object.entries(capacity.cpu)) {
    note(bench, "w2", `processor time of ${name}`, (cores / perSecond) * 1e6, "µs/msg");
  }
  note(bench, "w2", "events in a batch", batchEvents, "events");
  for (const { stage, ms, of } of stages) note(bench, "w2", `stage: ${stage}`, ms, "ms", of);
  const before = await server.metrics();
  const half = await load.run({
    kind: "message",
    pace: { loop: "open", perSecond: perSecond / 2 },
    ...{ warmMs: WARM_MS, ms: bench.options.seconds * 1_000, watched },
  });
  const done = half.answered / half.seconds;
  note(
    bench,
    "w2",
    "half load: sent to receipt, p50",
    half.answer.p50,
    "ms",
    `at ${Math.round(done)}/s, ${cpuText(half.cpu)}`,
  );
  note(bench, "w2", "half load: sent to receipt, p99", half.answer.p99, "ms", `most ${half.answer.most.toFixed(0)}`);
  note(bench, "w2", "half load: sent to delivered, p50", half.delivery.p50, "ms");
  note(
    bench,
    "w2",
    "half load: sent to delivered, p99",
    half.delivery.p99,
    "ms",
    `most ${half.delivery.most.toFixed(0)}`,
  );
  for (const { stage, ms, of } of stageTimes(before, await server.metrics())) {
    note(bench, "w2", `half load, stage: ${stage}`, ms, "ms", of);
  }
  note(bench, "w2", "never answered or delivered", lost(capacity) + lost(half), "msg");
  return perSecond;
}

/** Which server is measured. */
interface Side {
  readonly root: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The server of this checkout as it is. */
export const HERE: Side = { root: ROOT, env: {} };

/** Makes the schema, the partitions and the pairs. A checkpoint of what came before would be measured too. */
export async function prepare(bench: Bench, side: Side): Promise<Pair[]> {
  await using _server = await startServer(bench, side);
  const pairs = await createPairs(bench.db, SECRET, bench.options.pairs);
  await bench.db.query("checkpoint");
  return pairs;
}

async function measure(
  bench: Bench,
  server: Awaited<ReturnType<typeof startServer>>,
  load: Awaited<ReturnType<typeof connectLoad>>,
  watched: ReturnType<typeof watch>,
): Promise<Measured> {
  const pace = { loop: "closed", window: bench.options.window } as const;
  await load.run({ kind: "message", pace, warmMs: 0, ms: WARM_MS, watched: [] }); // each conversation is touched once
  const before = await server.metrics();
  const capacity = await load.run({
    kind: "message",
    pace,
    warmMs: WARM_MS / 2,
    ms: bench.options.seconds * 1_000,
    watched,
  });
  const after = await server.metrics();
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  return {
    capacity,
    batchEvents: grown("sotto_log_batch_events_sum") / grown("sotto_log_batch_events_count"),
    stages: stageTimes(before, after),
  };
}

async function compare(bench: Bench, other: Side): Promise<void> {
  // A database each, for their migrations may differ.
  await using database = await createEmptyDatabase();
  const there = { ...bench, db: database.db, databaseUrl: database.url };
  const sides = [
    { name: "A here", bench, side: HERE, pairs: await prepare(bench, HERE) },
    { name: "B there", bench: there, side: other, pairs: await prepare(there, other) },
  ] as const;
  const rounds: { rate: number; server: number; postgres: number }[] = [];
  for (let round = 0; round < bench.options.rounds; round++) {
    const [a, b] = [await figuresOf(sides[0]), await figuresOf(sides[1])];
    rounds.push({ rate: a.rate / b.rate, server: a.server / b.server, postgres: a.postgres / b.postgres });
  }
  const middle = (of: (round: (typeof rounds)[number]) => number) => median(rounds.map(of));
  note(
    bench,
    "w2",
    "rate A / B, median of the rounds",
    middle(({ rate }) => rate),
    "",
  );
  note(
    bench,
    "w2",
    "the server's time a message A / B, median",
    middle(({ server }) => server),
    "",
  );
  note(
    bench,
    "w2",
    "Postgres' time a message A / B, median",
    middle(({ postgres }) => postgres),
    "",
  );
}

async function figuresOf(one: { name: string; bench: Bench; side: Side; pairs: readonly Pair[] }) {
  const { name, bench, side, pairs } = one;
  await using server = await startServer(bench, side);
  using load = await connectLoad(server, pairs);
  const { capacity, batchEvents } = await measure(bench, server, load, watch(bench, server.pid, load.pid));
  const rate = capacity.answered / capacity.seconds;
  const costOf = (process: string) => ((capacity.cpu[process] ?? 0) / rate) * 1e6;
  const costs = Object.keys(capacity.cpu).map((process) => `${process} ${costOf(process).toFixed(1)}`);
  note(bench, "w2", name, rate, "msg/s", `µs/msg: ${costs.join(", ")}; ${batchEvents.toFixed(0)} a batch`);
  return { rate, server: costOf("server"), postgres: costOf("postgres") };
}

function lost({ unanswered, undelivered }: TrafficResult): number {
  return unanswered + undelivered;
}
