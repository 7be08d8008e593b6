/**
 * W11: what retention removes, while W2 goes on at a fixed rate in an open loop, in the very conversations that are
 * purged. In one run, with quiet between:
 *
 * - a day of messages goes, as the keeper of the retention removes it: by its partition;
 * - as many messages of another day are deleted row by row;
 * - bodies of a fifth as many expire, which the keeper removes row by row, for the numbers must stay.
 *
 * The keeper is this process: a node of its own, by the same code and the same lock, so that the server's own keeper
 * removes nothing at another time.
 */
import { purgeBodies, purgeExpired } from "../../src/conversations/partitions.ts";
import { becomeKeeper } from "../../src/conversations/retention_store.ts";
import type { Connection } from "../../src/platform/postgres.ts";
import { type PartitionBytes, partitionBytes, writeAgedDays } from "./aged_days.ts";
import { type Bench, CONTENT_CHARS, connectLoad, note, startServer, watch } from "./bench.ts";
import { cpuText } from "./report.ts";
import { type Percentiles, pause, percentiles, type TimedDelivery, type TrafficResult } from "./traffic.ts";
import { HERE, prepare } from "./w2.ts";

/** A stretch of the run; milliseconds since the epoch. */
interface Stretch {
  /** What was removed in it; `null`: nothing. */
  readonly work: string | null;
  readonly rows: number;
  readonly from: number;
  readonly to: number;
  /** How long the work itself took. */
  readonly tookMs: number;
}

const WARM_MS = 5_000;
const CALM_MS = 5_000;
/** A stretch is at least so long, however quick the work: a percentile needs messages, and work has an aftermath. */
const LEAST_MS = 3_000;
/** What goes row by row is given so long; what one row costs tells the rest. */
const LONGEST_WORK_MS = 20_000;
/** The traffic ends when the work does. */
const LONGEST_MS = 120_000;
const STATEMENT_MS = 5 * 60_000;
/** About a thousand rows, found without looking. */
const PAGES_A_DELETE = 55;
const DAY_MS = 86_400_000;
const MIB = 1_048_576;
const BODY = Buffer.from(JSON.stringify({ message_type: "text", encrypted_content: "Z".repeat(CONTENT_CHARS) }));

/** Runs W11. */
export async function w11(bench: Bench): Promise<void> {
  const { rows } = bench.options;
  const pairs = await prepare(bench, HERE);
  await using keeper = await bench.db.connect("bench keeper", { queryTimeoutMs: STATEMENT_MS });
  if (!(await becomeKeeper(keeper))) throw new Error("Wait until no other node keeps the retention");
  const days = [
    { daysAgo: 3, rows, lifeDays: 1 }, // over: everything in it expired, and no id of it can come again
    { daysAgo: 2, rows, lifeDays: 30 },
    { daysAgo: 1, rows: rows / 5, lifeDays: 3 },
  ];
  const [over = "", live = "", fading = ""] = await writeAgedDays(bench.db, pairs, days, BODY);
  await using server = await startServer(bench);
  using load = await connectLoad(server, pairs);
  const pace = { loop: "open", perSecond: bench.options.rate } as const;
  const watched = watch(bench, server.pid, load.pid);
  const plan = { kind: "message", pace, warmMs: WARM_MS, ms: LONGEST_MS, watched, timeline: true } as const;
  const running = load.order({ do: "run", plan });
  await pause(WARM_MS);
  const stretches = [await calm()];
  const remove = async (work: string, partition: string, removal: () => Promise<number>) => {
    const before = await partitionBytes(keeper, partition);
    const one = await stretch(work, removal);
    noteTaken(bench, one, before, await partitionBytes(keeper, partition));
    stretches.push(one, await calm());
  };
  await remove("a day by its partition", over, async () => {
    const { partitions } = await purgeExpired(keeper, Date.now());
    if (!partitions.includes(over)) throw new Error(`Drop ${over}: dropped were ${partitions.join(", ")}`);
    return rows;
  });
  await remove("rows deleted", live, () => deleteRows(keeper, live));
  await remove("bodies expired", fading, () =>
    purgeBodies(keeper, Date.now() + 4 * DAY_MS, { signal: AbortSignal.timeout(LONGEST_WORK_MS) }),
  );
  load.stop();
  const { traffic, faults } = await running;
  if (traffic === undefined) throw new Error("The load ran no traffic");
  // A message that is refused holds up those behind it until it comes again, and the load sends nothing again.
  if (faults.length > 0) return console.error(`w11: choose a lower --rate, for sends went wrong: ${faults[0]}`);
  noteStretches(bench, stretches, traffic);
  const text = `${traffic.undelivered} not delivered 5 s after the end; ${cpuText(traffic.cpu)}`;
  note(bench, "w11", "delivered all the while", traffic.delivered / traffic.seconds, "msg/s", text);
}

function calm(): Promise<Stretch> {
  return stretch(null, () => pause(CALM_MS).then(() => 0));
}

async function stretch(work: string | null, does: () => Promise<number>): Promise<Stretch> {
  const from = Date.now();
  const rows = await does();
  const tookMs = Date.now() - from;
  await pause(Math.max(0, LEAST_MS - tookMs));
  return { work, rows, from, to: Date.now(), tookMs };
}

/** As a server without partitions would do it, all of them or as many as there is time for; gives how many. */
async function deleteRows(sql: Connection, table: string): Promise<number> {
  const until = performance.now() + LONGEST_WORK_MS;
  const [size] = await sql.query<{ pages: number }>("select relpages as pages from pg_class where relname = $1", [
    table,
  ]);
  let deleted = 0;
  for (let page = 0; page < (size?.pages ?? 0) && performance.now() < until; page += PAGES_A_DELETE) {
    const [gone] = await sql.query<{ rows: number }>(
      `with gone as (delete from ${table} where ctid >= $1::tid and ctid < $2::tid returning 1)
       select count(*)::int as rows from gone`,
      [`(${page},0)`, `(${page + PAGES_A_DELETE},0)`],
    );
    deleted += gone?.rows ?? 0;
  }
  return deleted;
}

function noteTaken(bench: Bench, { work, rows, tookMs }: Stretch, before: PartitionBytes, after: PartitionBytes): void {
  note(bench, "w11", `${work}: taken`, tookMs, "ms", `${rows} rows, ${((tookMs / rows) * 1_000).toFixed(1)} µs each`);
  const text = ({ table, indexes }: PartitionBytes) => `${mib(table)} + ${mib(indexes)} MiB`;
  const returned = before.table + before.indexes - after.table - after.indexes;
  const shown = `table + indexes before ${text(before)}, after ${text(after)}`;
  note(bench, "w11", `${work}: space returned`, returned / MIB, "MiB", shown);
}

function mib(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}

/** Each stretch with work beside the quiet ones before and after it. */
function noteStretches(bench: Bench, stretches: readonly Stretch[], traffic: TrafficResult): void {
  const times = stretches.map((one) => timesOf(one, traffic.timeline));
  stretches.forEach(({ work }, i) => {
    const [before, during, after] = [times[i - 1], times[i], times[i + 1]];
    if (work === null || before === undefined || during === undefined || after === undefined) return;
    const quiet = (before.p99 + after.p99) / 2;
    const text = `before ${before.p99.toFixed(1)}, after ${after.p99.toFixed(1)}; p50 ${before.p50.toFixed(1)}, ${during.p50.toFixed(1)}, ${after.p50.toFixed(1)}`;
    note(
      bench,
      "w11",
      `${work}: delivered meanwhile, p99`,
      during.p99,
      "ms",
      `${text}; most ${during.most.toFixed(0)}`,
    );
    note(bench, "w11", `${work}: p99 to that before and after`, during.p99 / quiet, "", "1.1 is to be reached");
  });
}

function timesOf({ from, to }: Stretch, timeline: readonly TimedDelivery[]): Percentiles {
  return percentiles(timeline.filter(([meantAt]) => meantAt >= from && meantAt < to).map(([, tookMs]) => tookMs));
}
