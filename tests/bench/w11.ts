/**
 * W11: a million expired messages are purged while W2 runs at a steady pace: their bodies are removed,
 * and then their partition is dropped. In turn with W2 alone, and with the same rows deleted one by one.
 */
import { ensurePartitions, purgeBodies, purgeExpired } from "../../src/conversations/partitions.ts";
import type { Connection } from "../../src/platform/postgres.ts";
import { type Bench, connectLoad, note, startServer, watch } from "./bench.ts";
import type { LoadProcess } from "./load_process.ts";
import type { Watched } from "./machine.ts";
import { HERE, prepare } from "./w2.ts";

const ROWS = 1_000_000;
const AT_ONCE = 1_000;
const DAY_MS = 86_400_000;
/** Days that the partition lies back; it expired after seven of them. */
const BACK_DAYS = 12;
/** Messages a second: a fraction of what the server can do, so that a wait is the purge's. */
const PACE = 2_000;
const WARM_MS = 2_000;
const LONG_MS = 10 * 60_000;

/** Runs W11. */
export async function w11(bench: Bench): Promise<void> {
  const pairs = await prepare(bench, HERE);
  await using server = await startServer(bench);
  using load = await connectLoad(server, pairs);
  const watched = watch(bench, server.pid, load.pid);
  await using keeper = await bench.db.connect("w11", { queryTimeoutMs: LONG_MS });
  const during = (what: string, work: (until: number) => Promise<string>) =>
    measure({ bench, load, watched, what, work });

  const conversation = pairs[0]?.conversationId ?? "";
  await during("W2 alone", async () => "");
  for (const removed of ["purge", "row deletes"] as const) {
    await fill(keeper, conversation);
    const before = await sizeOf(bench);
    if (removed === "purge") {
      await during("bodies being removed", (until) => removeBodies(keeper, until));
      await during("the partition being dropped", async () => {
        const { partitions } = await purgeExpired(keeper, Date.now());
        return `${partitions.length} dropped`;
      });
    } else {
      await during("rows being deleted", (until) => deleteRows(keeper, until));
      await keeper.query(`delete from ${PARTITION}`);
      await keeper.query(`vacuum ${PARTITION}`);
    }
    const after = await sizeOf(bench);
    note(
      bench,
      "w11",
      `${removed}: space returned`,
      (before - after) / 1_048_576,
      "MiB",
      `of ${(before / 1_048_576).toFixed(0)}`,
    );
    if (removed === "row deletes") await purgeExpired(keeper, Date.now());
    await during("W2 alone", async () => "");
  }
}

const DAY = new Date(Date.now() - BACK_DAYS * DAY_MS).toISOString().slice(0, 10);
const PARTITION = `events_d${DAY.replaceAll("-", "")}`;

/** A million messages of a day whose seven days are over. */
async function fill(keeper: Connection, conversation: string): Promise<void> {
  await ensurePartitions(keeper, Date.now() - BACK_DAYS * DAY_MS);
  await keeper.query(
    `insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
     select false, $1::date, $2::uuid, 1000000000 + i, gen_random_uuid(), $2::uuid, 1, $1::date, $1::date + interval '7 days',
            true, i, decode('00112233445566778899aabbccddeeff', 'hex'), convert_to(repeat('Z', 300), 'UTF8')
     from generate_series(1, $3::int) i`,
    [DAY, conversation, ROWS],
  );
  await keeper.query("checkpoint");
}

async function removeBodies(keeper: Connection, until: number): Promise<string> {
  let rows = 0;
  const begun = performance.now();
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), until - begun);
  rows += await purgeBodies(keeper, Date.now(), ending.signal);
  clearTimeout(timer);
  const rate = `${Math.round(rows / ((performance.now() - begun) / 1_000))} a second`;
  await purgeBodies(keeper, Date.now());
  return rate;
}

async function deleteRows(keeper: Connection, until: number): Promise<string> {
  let rows = 0;
  const begun = performance.now();
  while (performance.now() < until && rows < ROWS) {
    await keeper.query(
      `delete from ${PARTITION} where ctid = any (array(select ctid from ${PARTITION} limit ${AT_ONCE}))`,
    );
    rows += AT_ONCE;
  }
  return `${Math.round(rows / ((performance.now() - begun) / 1_000))} a second`;
}

interface Phase {
  readonly bench: Bench;
  readonly load: LoadProcess;
  readonly watched: readonly Watched[];
  readonly what: string;
  readonly work: (until: number) => Promise<string>;
}

async function measure({ bench, load, watched, what, work }: Phase): Promise<void> {
  const ms = bench.options.seconds * 1_000;
  const running = load.run({ kind: "message", pace: { loop: "open", perSecond: PACE }, warmMs: WARM_MS, ms, watched });
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  const [result, told] = await Promise.all([running, work(performance.now() + ms)]);
  const { delivery, cpu } = result;
  const lost = result.unanswered + result.undelivered;
  const text = `p50 ${delivery.p50.toFixed(1)} ms; Postgres ${(cpu["postgres"] ?? 0).toFixed(2)} cores; ${lost} lost${told === "" ? "" : `; ${told}`}`;
  note(bench, "w11", `${what}: sent to delivered, p99`, delivery.p99, "ms", text);
}

async function sizeOf(bench: Bench): Promise<number> {
  const [row] = await bench.db.query<{ size: string }>("select pg_database_size(current_database())::text as size");
  return Number(row?.size ?? 0);
}
