/**
 * W3: one durable message to everybody of a group of 100, 1,000 and 10,000, all connected. In the same
 * run raw Bun publishes the same frames to as many sockets (L2), with the same load generator.
 */
import { type Bench, CONTENT_CHARS, note, startServer, watch } from "./bench.ts";
import { SECRET, startRawServer } from "./bench_server.ts";
import type { FanOutResult } from "./fan_out.ts";
import { LoadProcess } from "./load_process.ts";
import type { Watched } from "./machine.ts";
import { createGroup, createPeople } from "./people.ts";
import { cpuText } from "./report.ts";
import type { SeatPlan } from "./seat.ts";

const SIZES = [100, 1_000, 10_000];
const WARM_MS = 2_000;
/** Messages under way; enough that nobody waits for the log. */
const WINDOW = 16;
/** As many as take turns: one alone may send a hundred frames a second. */
const SENDERS = 50;

/** Runs W3. */
export async function w3(bench: Bench): Promise<void> {
  for (const size of bench.options.people ?? SIZES) {
    const raw = await published(bench, size);
    note(bench, "w3", `L2 raw publish to ${size}`, raw.delivered / raw.seconds, "deliveries/s", cpuText(raw.cpu));
    const { busy, calm } = await ours(bench, size);
    const rate = busy.delivered / busy.seconds;
    const text = `${(busy.sent / busy.seconds).toFixed(1)} msg/s, ${cpuText(busy.cpu)}; ${busy.undelivered} lost`;
    note(bench, "w3", `a message to ${size}`, rate, "deliveries/s", text);
    note(bench, "w3", "  processor time of server", ((busy.cpu["server"] ?? 0) / rate) * 1e6, "µs/delivery");
    note(bench, "w3", "  share of raw publish", rate / (raw.delivered / raw.seconds), "");
    note(
      bench,
      "w3",
      "  one at a time: from the send to the last, p50",
      calm.toAll.p50,
      "ms",
      `p99 ${calm.toAll.p99.toFixed(0)}`,
    );
  }
}

async function published(bench: Bench, size: number): Promise<FanOutResult> {
  using server = await startRawServer();
  const plans = Array.from({ length: size }, () => ({ token: "", conversationId: "" }));
  using load = await connect(`${server.url}/publish`, plans, false);
  const watched = [server, load].map(
    ({ pid }, i): Watched => ({ name: i === 0 ? "server" : "load", pid, children: false }),
  );
  return await load.fanOut(SENDERS, { window: WINDOW, warmMs: WARM_MS, ms: bench.options.seconds * 1_000, watched });
}

async function ours(bench: Bench, size: number): Promise<{ readonly busy: FanOutResult; readonly calm: FanOutResult }> {
  await using server = await startServer(bench); // makes the partitions
  const plans = await groupSeats(bench, size);
  using load = await connect(server.socketUrl, plans, true);
  const watched = watch(bench, server.pid, load.pid);
  const ms = bench.options.seconds * 1_000;
  const busy = await load.fanOut(SENDERS, { window: WINDOW, warmMs: WARM_MS, ms, watched });
  return { busy, calm: await load.fanOut(SENDERS, { window: 1, warmMs: WARM_MS / 2, ms, watched }) };
}

async function connect(url: string, plans: readonly SeatPlan[], speaks: boolean): Promise<LoadProcess> {
  const load = new LoadProcess();
  await load.order({ do: "connect", urls: [url], plans, size: CONTENT_CHARS, speaks });
  return load;
}

/** A group of so many people. */
async function groupSeats(bench: Bench, size: number): Promise<SeatPlan[]> {
  const people = await createPeople(bench.db, SECRET, size);
  const conversationId = await createGroup(bench.db, people);
  return people.map(({ token }) => ({ token, conversationId }));
}
