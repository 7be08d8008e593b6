/**
 * W1: idle authenticated sockets: memory and processor time of each, against raw Bun with as many.
 * The server's heartbeat is at its standard, so its pings and their answers are in the figure.
 */
import { type Bench, note, startServer, watch } from "./bench.ts";
import { SECRET, startRawServer } from "./bench_server.ts";
import { LoadProcess } from "./load_process.ts";
import { cpuSeconds, residentBytes } from "./machine.ts";
import { createPairs, seatsOf } from "./people.ts";
import type { SeatPlan } from "./seat.ts";

const SOCKETS = 2_000;
/** A whole heartbeat, so that every socket was pinged once. */
const WATCH_MS = 30_000;
/** What was needed only to connect should have gone. */
const SETTLE_MS = 3_000;

/** Runs W1. */
export async function w1(bench: Bench): Promise<void> {
  await using server = await startServer(bench);
  const seats = seatsOf(await createPairs(bench.db, SECRET, SOCKETS / 2));
  using load = new LoadProcess();
  const before = residentBytes(server.pid);
  const { ms = 0 } = await load.order({ do: "connect", url: server.socketUrl, plans: seats, size: 0, speaks: true });
  note(bench, "w1", "connected, authenticated and caught up", (SOCKETS / ms) * 1_000, "conn/s", `${SOCKETS} sockets`);
  await pause(SETTLE_MS);
  const each = (residentBytes(server.pid) - before) / SOCKETS;
  note(
    bench,
    "w1",
    "bytes of an idle socket",
    each,
    "B",
    "growth of resident memory, with all caches that connecting filled",
  );
  const [watched] = watch(bench, server.pid, load.pid);
  const cpuBefore = watched === undefined ? 0 : cpuSeconds(watched);
  await pause(WATCH_MS);
  const used = watched === undefined ? 0 : cpuSeconds(watched) - cpuBefore;
  note(
    bench,
    "w1",
    "processor time of an idle socket",
    (used / (WATCH_MS / 1_000) / SOCKETS) * 1e6,
    "µs/s",
    "a heartbeat of 30 s is in it",
  );
  const raw = await rawBytes(seats);
  note(bench, "w1", "bytes of a raw idle socket", raw, "B");
  note(bench, "w1", "bytes beyond raw Bun", each - raw, "B");
}

async function rawBytes(seats: readonly SeatPlan[]): Promise<number> {
  using server = await startRawServer();
  using load = new LoadProcess();
  const before = residentBytes(server.pid);
  await load.order({ do: "connect", url: `${server.url}/relay`, plans: seats, size: 0, speaks: false });
  await pause(SETTLE_MS);
  return (residentBytes(server.pid) - before) / seats.length;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
