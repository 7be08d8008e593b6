/**
 * W9: W2 across two nodes: senders sit at one server, receivers at another, on one database, and every
 * message goes through a Redis of the benchmark's own. W2 on one node is measured in turn with it,
 * A-B-A-B, and latency at one rate on both: half of what two nodes can do.
 */
import { hasRedis, TestRedis } from "../support/redis.ts";
import { type Bench, connectLoad, note, startServer, watch } from "./bench.ts";
import type { BenchServer } from "./bench_server.ts";
import type { LoadProcess } from "./load_process.ts";
import type { Watched } from "./machine.ts";
import type { Pair } from "./people.ts";
import { cpuText, median } from "./report.ts";
import { stageTimes } from "./stage_times.ts";
import type { TrafficResult } from "./traffic.ts";
import { HERE, prepare } from "./w2.ts";

/** Nodes with their load, ready to be measured. */
interface Cluster extends AsyncDisposable {
  /** The senders' node first. */
  readonly servers: readonly BenchServer[];
  readonly load: LoadProcess;
  readonly watched: readonly Watched[];
}

const WARM_MS = 2_000;

/** Runs W9. */
export async function w9(bench: Bench): Promise<void> {
  if (!hasRedis) return console.error("w9 is skipped, for redis-server is not installed");
  await using redis = await TestRedis.start();
  const pairs = await prepare(bench, HERE);
  const rounds: { readonly ratio: number; readonly two: number }[] = [];
  for (let round = 0; round < bench.options.rounds; round++) {
    const one = await rate(bench, "W2 on one node", () => oneNode(bench, pairs));
    const two = await rate(bench, "two nodes", () => twoNodes(bench, pairs, redis));
    rounds.push({ ratio: two / one, two });
  }
  note(bench, "w9", "rate, two nodes / one, median of rounds", median(rounds.map(({ ratio }) => ratio)), "");
  const perSecond = median(rounds.map(({ two }) => two)) / 2;
  const one = await latency(bench, "one node", perSecond, () => oneNode(bench, pairs));
  const two = await latency(bench, "two nodes", perSecond, () => twoNodes(bench, pairs, redis));
  note(bench, "w9", "what the second node adds to a delivery, p50", two.delivery.p50 - one.delivery.p50, "ms");
}

async function oneNode(bench: Bench, pairs: readonly Pair[]): Promise<Cluster> {
  const server = await startServer(bench);
  const load = await connectLoad(server, pairs);
  return cluster([server], load, watch(bench, server.pid, load.pid));
}

async function twoNodes(bench: Bench, pairs: readonly Pair[], redis: TestRedis): Promise<Cluster> {
  const env = { REDIS_URL: redis.url };
  const [a, b] = [await startServer(bench, { env }), await startServer(bench, { env })];
  const load = await connectLoad([a, b], pairs);
  const [, ...others] = watch(bench, a.pid, load.pid);
  return cluster([a, b], load, [
    { name: "senders' node", pid: a.pid, children: false },
    { name: "receivers' node", pid: b.pid, children: false },
    { name: "redis", pid: redis.pid, children: false },
    ...others,
  ]);
}

function cluster(servers: readonly BenchServer[], load: LoadProcess, watched: readonly Watched[]): Cluster {
  return {
    servers,
    load,
    watched,
    [Symbol.asyncDispose]: async () => {
      load[Symbol.dispose]();
      await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
    },
  };
}

/** Messages a second in a closed loop: committed, answered and delivered. */
async function rate(bench: Bench, name: string, start: () => Promise<Cluster>): Promise<number> {
  await using nodes = await start();
  const pace = { loop: "closed", window: bench.options.window } as const;
  const { load, watched } = nodes;
  const result = await load.run({
    ...{ kind: "message", pace, warmMs: WARM_MS, ms: bench.options.seconds * 1_000, watched },
  });
  const perSecond = result.delivered / result.seconds;
  const costs = Object.entries(result.cpu).map(([of, cores]) => `${of} ${((cores / perSecond) * 1e6).toFixed(1)}`);
  note(bench, "w9", name, perSecond, "msg/s", `µs/msg: ${costs.join(", ")}; ${lost(result)} lost`);
  return perSecond;
}

async function latency(
  bench: Bench,
  name: string,
  perSecond: number,
  start: () => Promise<Cluster>,
): Promise<TrafficResult> {
  await using nodes = await start();
  const { load, watched, servers } = nodes;
  const closed = { loop: "closed", window: 1 } as const;
  await load.run({ kind: "message", pace: closed, warmMs: 0, ms: WARM_MS, watched: [] }); // code and caches are cold
  const before = await servers[0]?.metrics();
  const result = await load.run({
    ...{ kind: "message", pace: { loop: "open", perSecond }, warmMs: WARM_MS, ms: bench.options.seconds * 1_000 },
    watched,
  });
  const after = await servers[0]?.metrics();
  const { answer, delivery } = result;
  const conditions = `at ${Math.round(result.delivered / result.seconds)}/s, ${cpuText(result.cpu)}`;
  const shown = (what: string, { p50, p99 }: typeof answer, more: string) =>
    note(bench, "w9", `${name}, half load: ${what}, p50`, p50, "ms", `p99 ${p99.toFixed(1)}${more}`);
  shown("sent to receipt", answer, "");
  shown("sent to delivered", delivery, `, ${conditions}`);
  for (const { stage, ms, of } of before && after ? stageTimes(before, after) : []) {
    note(bench, "w9", `${name}, stage: ${stage}`, ms, "ms", of);
  }
  return result;
}

function lost({ unanswered, undelivered }: TrafficResult): number {
  return unanswered + undelivered;
}
