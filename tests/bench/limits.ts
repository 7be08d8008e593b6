/**
 * What nothing of ours can be faster than, on this machine and in this run.
 *
 * - L1: raw Bun echoes and relays the frames of W2.
 * - L3: the log's own batch statement straight to Postgres, over as many connections as the log has lanes.
 * - L5: raw Bun accepts and upgrades connections; bytes that an idle one costs.
 */
import { createHash } from "node:crypto";
import { type AppendRequest, appendEvents } from "../../src/conversations/event_log_store.ts";
import { newMessageId } from "../../src/protocol/mod.ts";
import { type Bench, CONTENT_CHARS, note, startServer } from "./bench.ts";
import { SECRET, startRawServer } from "./bench_server.ts";
import { LoadProcess } from "./load_process.ts";
import { cpuSeconds, residentBytes } from "./machine.ts";
import { createPairs, type Pair } from "./people.ts";
import { cpuText } from "./report.ts";
import type { SeatPlan } from "./seat.ts";

const WARM_MS = 1_000;
const LANES = 2;
const IDLE_SOCKETS = 2_000;
/** A stored body. */
const BODY = Buffer.from(JSON.stringify({ message_type: "text", encrypted_content: "Z".repeat(CONTENT_CHARS) }));

/** Runs all limits. */
export async function limits(bench: Bench): Promise<void> {
  const echo = await rawRate(bench, bench.options.pairs, "echo");
  note(bench, "limits", "L1 raw echo", echo.rate, "msg/s", cpuText(echo.cpu));
  const relay = await relayRate(bench, bench.options.pairs);
  note(bench, "limits", "L1 raw relay", relay.rate, "msg/s", cpuText(relay.cpu));
  await appendRates(bench);
  await acceptRate(bench);
}

/** Messages a second that raw Bun relays between pairs of sockets. */
export function relayRate(bench: Bench, pairs: number): Promise<RawRate> {
  return rawRate(bench, pairs, "relay");
}

interface RawRate {
  readonly rate: number;
  readonly cpu: Readonly<Record<string, number>>;
}

async function rawRate(bench: Bench, pairs: number, kind: "echo" | "relay"): Promise<RawRate> {
  using server = await startRawServer();
  using load = new LoadProcess();
  await load.order({
    do: "connect",
    urls: [`${server.url}/${kind}`],
    plans: rawSeats(pairs),
    size: CONTENT_CHARS,
    speaks: false,
  });
  const result = await load.run({
    kind,
    pace: { loop: "closed", window: bench.options.window },
    warmMs: WARM_MS,
    ms: Math.min(4, bench.options.seconds) * 1_000,
    watched: [
      { name: "server", pid: server.pid, children: false },
      { name: "load", pid: load.pid, children: false },
    ],
  });
  return { rate: result.delivered / result.seconds, cpu: result.cpu };
}

function rawSeats(pairs: number): SeatPlan[] {
  return Array.from({ length: pairs * 2 }, (_, i) => ({
    token: String(Math.floor(i / 2)), // which pair it is of
    conversationId: "00000000-0000-7000-8000-000000000000",
  }));
}

async function appendRates(bench: Bench): Promise<void> {
  await using _server = await startServer(bench); // makes the partitions
  const pairs = await createPairs(bench.db, SECRET, bench.options.pairs);
  for (const rows of [1, 16, 64, 256]) {
    const { rate, cpu, ms } = await appendRate(bench, pairs, rows);
    note(
      bench,
      "limits",
      `L3 append_events, ${rows} a batch, ${LANES} connections`,
      rate,
      "rows/s",
      `${ms.toFixed(2)} ms a batch, ${cpuText(cpu)}`,
    );
  }
}

/** Rows a second, each batch of as many conversations; the lanes share no conversation, as in the log. */
async function appendRate(bench: Bench, pairs: readonly Pair[], rows: number) {
  const runMs = Math.min(3, bench.options.seconds) * 1_000;
  let [batches, counting] = [0, false];
  const until = performance.now() + WARM_MS + runMs;
  const lane = async (index: number) => {
    const settings = { plan_cache_mode: "force_generic_plan", jit: "off", lock_timeout: "200ms" };
    await using connection = await bench.db.connect(`bench ${index}`, { settings });
    const mine = pairs.filter((_, i) => i % LANES === index);
    for (let next = 0; performance.now() < until; next += rows) {
      const requests = Array.from({ length: Math.min(rows, mine.length) }, (_, i) =>
        requestOf(mine[(next + i) % mine.length]),
      );
      await appendEvents(connection, requests, true);
      if (counting) batches++;
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, (_, index) => lane(index)));
  await new Promise((resolve) => setTimeout(resolve, WARM_MS));
  const watched = [
    { name: "driver", pid: process.pid, children: false },
    ...(bench.postgres === null ? [] : [bench.postgres]),
  ];
  const before = watched.map(cpuSeconds);
  const begun = performance.now();
  counting = true;
  await lanes;
  const seconds = (performance.now() - begun) / 1_000;
  const cpu = Object.fromEntries(watched.map((one, i) => [one.name, (cpuSeconds(one) - (before[i] ?? 0)) / seconds]));
  return {
    rate: (batches * Math.min(rows, Math.ceil(pairs.length / LANES))) / seconds,
    ms: (seconds * 1_000 * LANES) / batches,
    cpu,
  };
}

/** An event of the size of a message of W2, ready for the log. */
export function requestOf(pair: Pair | undefined): AppendRequest {
  if (pair === undefined) throw new Error("Make pairs before events");
  const id = newMessageId();
  return {
    id,
    conversationId: pair.conversationId,
    senderId: pair.people[0].id,
    membersVersion: 1,
    kind: "message",
    body: BODY,
    digest: createHash("sha256").update(id).digest().subarray(0, 16),
    expireAfter: null,
    counts: true,
  };
}

async function acceptRate(bench: Bench): Promise<void> {
  using server = await startRawServer();
  using load = new LoadProcess();
  const before = residentBytes(server.pid);
  const { ms = 0 } = await load.order({
    ...{ do: "connect", urls: [`${server.url}/relay`], plans: rawSeats(IDLE_SOCKETS / 2), size: 0, speaks: false },
  });
  note(
    bench,
    "limits",
    "L5 raw accept and upgrade",
    (IDLE_SOCKETS / ms) * 1_000,
    "conn/s",
    `${IDLE_SOCKETS} connections`,
  );
  note(
    bench,
    "limits",
    "L5 bytes of a raw idle socket",
    (residentBytes(server.pid) - before) / IDLE_SOCKETS,
    "B",
    "growth of resident memory",
  );
}
