/**
 * W4: devices come back to what they missed, 100, 1,000 and 10,000 messages: one device, and 200 at once. From the
 * first byte of the connection to `caught_up`. The server's memory shall not grow with what was missed. Two
 * million messages take a while, so 200 devices miss no more than `--missed`.
 */
import { appendEvents } from "../../src/conversations/event_log_store.ts";
import { type Bench, note, startServer } from "./bench.ts";
import { type BenchServer, SECRET } from "./bench_server.ts";
import { requestOf } from "./limits.ts";
import { LoadProcess } from "./load_process.ts";
import { cpuSeconds, residentBytes } from "./machine.ts";
import { createGroup, createPairs, createPeople, type Pair } from "./people.ts";
import { median } from "./report.ts";
import { percentiles } from "./traffic.ts";

const ROWS_A_STATEMENT = 200;
const SIZES = [100, 1_000, 10_000];
const DEVICES = 200;
const SAMPLE_MS = 50;
const MIB = 1_048_576;
/** Times that one device comes back; the middle one counts. */
const TIMES = 5;

/** Runs W4. */
export async function w4(bench: Bench): Promise<void> {
  await using server = await startServer(bench);
  await one(bench, server, 100); // the first ones meet cold code
  for (const missed of SIZES) {
    const { rate, firstMs, ms } = await one(bench, server, missed);
    note(
      bench,
      "w4",
      `one device, ${missed} missed`,
      rate,
      "msg/s",
      `${ms.toFixed(0)} ms, first message after ${firstMs.toFixed(1)} ms`,
    );
  }
  for (const missed of SIZES) if (missed <= bench.options.missed) await many(bench, server, missed);
}

/** Members of one group who come back at once; each reads the log for itself. */
async function many(bench: Bench, server: BenchServer, missed: number): Promise<void> {
  const [sender, ...members] = await createPeople(bench.db, SECRET, DEVICES + 1);
  if (sender === undefined) throw new Error("Make people before their group");
  const conversationId = await createGroup(bench.db, [sender, ...members]);
  const pairs = members.map((member): Pair => ({ people: [sender, member], conversationId }));
  await fill(bench, pairs.slice(0, 1), missed);
  const before = residentBytes(server.pid);
  let most = before;
  const sampler = setInterval(() => {
    most = Math.max(most, residentBytes(server.pid));
  }, SAMPLE_MS);
  const cpu = { name: "server", pid: server.pid, children: false };
  const cpuBefore = cpuSeconds(cpu);
  const { ms, rate, firsts } = await comeBack(server, pairs);
  clearInterval(sampler);
  const used = cpuSeconds(cpu) - cpuBefore;
  const first = percentiles(firsts);
  const text = `${ms.toFixed(0)} ms, first message p50 ${first.p50.toFixed(0)} ms, p99 ${first.p99.toFixed(0)} ms`;
  note(bench, "w4", `${DEVICES} devices, ${missed} missed each`, rate, "msg/s", text);
  note(bench, "w4", "  processor time of server", (used / (DEVICES * missed)) * 1e6, "µs/msg");
  note(bench, "w4", "  most memory meanwhile", most / MIB, "MiB", `${(before / MIB).toFixed(0)} before`);
}

/** Each time another device, because one that was here has acknowledged. */
async function one(bench: Bench, server: BenchServer, missed: number) {
  const rates: number[] = [];
  const firsts: number[] = [];
  const times: number[] = [];
  const pairs = await createPairs(bench.db, SECRET, TIMES);
  await fill(bench, pairs, missed);
  for (const pair of pairs) {
    const back = await comeBack(server, [pair]);
    rates.push(back.rate);
    firsts.push(back.firsts[0] ?? 0);
    times.push(back.ms);
  }
  return { rate: median(rates), firstMs: median(firsts), ms: median(times) };
}

async function comeBack(server: BenchServer, pairs: readonly Pair[]) {
  using load = new LoadProcess();
  const plans = pairs.map(({ people, conversationId }) => ({ token: people[1].token, conversationId }));
  const {
    ms = 0,
    entries = 0,
    firsts = [],
    faults,
  } = await load.order({ do: "catch_up", url: server.socketUrl, plans });
  if (faults.length > 0) throw new Error(`Coming back went wrong: ${faults.join(" | ")}`);
  return { ms, rate: (entries / ms) * 1_000, firsts };
}

async function fill(bench: Bench, pairs: readonly Pair[], missed: number): Promise<void> {
  for (const pair of pairs) {
    for (let left = missed; left > 0; left -= ROWS_A_STATEMENT) {
      const requests = Array.from({ length: Math.min(left, ROWS_A_STATEMENT) }, () => requestOf(pair));
      const answers = await appendEvents(bench.db, requests, true);
      if (answers.some(({ status }) => status !== "stored")) throw new Error("Store what is missed");
    }
  }
}
