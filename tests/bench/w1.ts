/**
 * W1: idle authenticated sockets: memory and processor time of each, against raw Bun with as many.
 * The server's heartbeat is at its standard, so its pings and their answers are in the figure.
 *
 * As many sockets again come first and are not counted: with them the code is compiled and the caches
 * are filled, once and not for each socket. What further sockets cost is read twice: as it stands, and
 * after a collection, because some of what connecting left behind is garbage that nobody needed the
 * room of yet.
 */
import { join } from "node:path";
import { type Bench, note, startServer, watch } from "./bench.ts";
import { SECRET, startRawServer } from "./bench_server.ts";
import { LoadProcess } from "./load_process.ts";
import { cpuSeconds, residentBytes } from "./machine.ts";
import { createPairs, seatsOf } from "./people.ts";
import type { SeatPlan } from "./seat.ts";

/** A whole heartbeat, so that every socket was pinged once. */
const WATCH_MS = 30_000;
/** What was needed only to connect should have gone. */
const SETTLE_MS = 3_000;
/** A collection, and the time in which its pages go back to the system. */
const COLLECT_MS = 1_500;
const COLLECTOR = ["--preload", join(import.meta.dir, "collect.ts")];

/** Bytes of one socket. */
interface SocketBytes {
  readonly standing: number;
  readonly collected: number;
}

/** Runs W1. */
export async function w1(bench: Bench): Promise<void> {
  const { sockets } = bench.options;
  await using server = await startServer(bench, { bunOptions: COLLECTOR });
  const seats = seatsOf(await createPairs(bench.db, SECRET, sockets));
  using first = new LoadProcess();
  using load = new LoadProcess();
  const { each, ms } = await bytesOf(server.pid, seats, (plans, i) =>
    (i === 0 ? first : load).order({ do: "connect", urls: [server.socketUrl], plans, size: 0, speaks: true }),
  );
  note(bench, "w1", "connected, authenticated and caught up", (sockets / ms) * 1_000, "conn/s", `${sockets} sockets`);
  const cpuBefore = cpuOf(bench, server.pid, load.pid);
  await pause(WATCH_MS);
  const used = cpuOf(bench, server.pid, load.pid) - cpuBefore;
  const perSocket = (used / (WATCH_MS / 1_000) / seats.length) * 1e6;
  note(bench, "w1", "processor time of an idle socket", perSocket, "µs/s", "a heartbeat of 30 s is in it");
  const raw = await rawBytes(seats);
  note(bench, "w1", "bytes of an idle socket", each.standing, "B", "growth of resident memory as it stands");
  note(bench, "w1", "bytes of a raw idle socket", raw.standing, "B");
  note(bench, "w1", "bytes of an idle socket, collected", each.collected, "B", "garbage collected before each reading");
  note(bench, "w1", "bytes of a raw idle socket, collected", raw.collected, "B");
  note(bench, "w1", "bytes beyond raw Bun, collected", each.collected - raw.collected, "B");
}

/** Connects one half of the seats, and then the other; gives what each of those costs, and how long they took. */
async function bytesOf(
  pid: number,
  seats: readonly SeatPlan[],
  connect: (plans: readonly SeatPlan[], half: 0 | 1) => Promise<{ readonly ms?: number }>,
): Promise<{ readonly each: SocketBytes; readonly ms: number }> {
  const half = seats.length / 2;
  await connect(seats.slice(0, half), 0);
  await pause(SETTLE_MS);
  const before = await collected(pid);
  const { ms = 0 } = await connect(seats.slice(half), 1);
  await pause(SETTLE_MS);
  const standing = residentBytes(pid) - before;
  return { each: { standing: standing / half, collected: ((await collected(pid)) - before) / half }, ms };
}

async function rawBytes(seats: readonly SeatPlan[]): Promise<SocketBytes> {
  using server = await startRawServer(COLLECTOR);
  using first = new LoadProcess();
  using load = new LoadProcess();
  const { each } = await bytesOf(server.pid, seats, (plans, i) =>
    (i === 0 ? first : load).order({ do: "connect", urls: [`${server.url}/relay`], plans, size: 0, speaks: false }),
  );
  return each;
}

/** Resident memory once garbage is collected; twice, because the first collection only finishes some of it. */
async function collected(pid: number): Promise<number> {
  for (let i = 0; i < 2; i++) {
    process.kill(pid, "SIGUSR2");
    await pause(COLLECT_MS);
  }
  return residentBytes(pid);
}

function cpuOf(bench: Bench, serverPid: number, loadPid: number): number {
  const [watched] = watch(bench, serverPid, loadPid);
  return watched === undefined ? 0 : cpuSeconds(watched);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
