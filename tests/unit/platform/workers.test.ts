import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMetrics } from "../../../src/platform/metrics.ts";
import { startWorkers, WorkersError } from "../../../src/platform/workers.ts";
import { waitUntil } from "../../support/wait.ts";

const SOURCE = join(import.meta.dir, "../../../src/platform");
/**
 * A worker that notes its number, does what its environment says, and on a signal tells what the
 * whole group measured. `NOTES` holds a line for each that was started.
 */
const PROGRAM = `
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createMetrics } from "${SOURCE}/metrics.ts";
import { groupMetrics } from "${SOURCE}/worker_metrics.ts";
import { tellReady } from "${SOURCE}/workers.ts";
const { HOW, NOTES } = process.env;
if (HOW === "unable") process.exit(3);
appendFileSync(NOTES, process.pid + "\\n");
if (HOW === "only the first two" && readFileSync(NOTES, "utf8").split("\\n").length > 3) process.exit(7);
process.on("SIGTERM", () => { if (HOW !== "deaf") process.exit(0); });
const own = createMetrics();
own.counter("sotto_things_total", "Things").increase(5);
own.counter("sotto_kinds_total", "Kinds", ["kind"]).increase({ kind: "of " + process.pid });
own.histogram("sotto_times", "Times", [], [1, 10]).observe(3);
own.measured("sotto_held", "Held", () => 2);
own.measured("sotto_well", "Well", () => (existsSync(NOTES + ".ill" + process.pid) ? 0 : 1), "min");
const metrics = groupMetrics(own);
process.on("SIGUSR2", async () => {
  const told = NOTES + ".told" + process.pid;
  writeFileSync(told + ".part", await metrics.text().catch((error) => error.message));
  renameSync(told + ".part", told);
});
tellReady();
setInterval(() => {}, 1_000);
`;
/** Milliseconds; the waits between starts double from here. */
const FIRST_WAIT_MS = 1;

let folder: string;
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sotto-workers-"));
  await Bun.write(join(folder, "worker.ts"), PROGRAM);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function start(how: string, deaths: string[] = []) {
  const notes = join(folder, `notes${++files}`);
  await Bun.write(notes, "");
  const workers = await startWorkers({
    program: join(folder, "worker.ts"),
    count: 2,
    environment: { HOW: how, NOTES: notes },
    metrics: createMetrics(),
    endMs: 500,
    onDeath: (sentence) => void deaths.push(sentence),
    firstWaitMs: FIRST_WAIT_MS,
  });
  const pids = async () => (await readFile(notes, "utf8")).trim().split("\n").map(Number);
  /** What the group measured, as a worker tells it: samples by their names and labels. */
  const measured = async (pid: number): Promise<ReadonlyMap<string, number>> => {
    const told = `${notes}.told${pid}`;
    await rm(told, { force: true });
    process.kill(pid, "SIGUSR2");
    await waitUntil("the worker tells", () => Bun.file(told).exists());
    const text = await readFile(told, "utf8");
    if (!text.includes("# HELP")) throw new Error(text);
    const samples = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
    return new Map(
      samples.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
    );
  };
  return { workers, pids, measured, notes };
}

describe("startWorkers()", () => {
  test("resolves once all are ready, and leaves none when they are stopped", async () => {
    const { workers, pids } = await start("well");
    const started = await pids();
    expect(started).toHaveLength(2);
    expect(started.every(isAlive)).toBe(true);
    await workers.stop();
    expect(started.filter(isAlive)).toEqual([]);
  });

  test("starts one again that died, each time", async () => {
    const deaths: string[] = [];
    const { workers, pids } = await start("well", deaths);
    for (let death = 1; death <= 3; death++) {
      process.kill((await pids()).at(-1) ?? 0, "SIGKILL");
      await waitUntil("another one came", async () => (await pids()).length === 2 + death);
    }
    expect(deaths).toEqual(Array(3).fill("A worker ended with SIGKILL and is started again"));
    await workers.stop();
    expect((await pids()).filter(isAlive)).toEqual([]);
  });

  test("rejects where one ends before it is ready, and starts it no more", async () => {
    const deaths: string[] = [];
    await expect(start("unable", deaths)).rejects.toThrow(WorkersError);
    expect(deaths).toEqual([]);
  });

  test("kills one that does not end when it is asked", async () => {
    const { workers, pids } = await start("deaf");
    await workers.stop();
    expect((await pids()).filter(isAlive)).toEqual([]);
  });

  test("kills one that is frozen", async () => {
    const { workers, pids } = await start("well");
    const [first = 0] = await pids();
    process.kill(first, "SIGSTOP");
    await workers.stop();
    expect((await pids()).filter(isAlive)).toEqual([]);
  });

  test("goes on starting one that keeps dying while another serves, and gives up once none does", async () => {
    const deaths: string[] = [];
    const { workers, pids } = await start("only the first two", deaths);
    const [first = 0, second = 0] = await pids();
    process.kill(first, "SIGKILL");
    // Many more than end a group of which none serves.
    await waitUntil("it was tried again and again", () => deaths.length > 12);
    expect(isAlive(second)).toBe(true);
    process.kill(second, "SIGKILL");
    const error = await workers.gaveUp;
    expect(error).toBeInstanceOf(WorkersError);
    expect(error.message).toMatch(/^Mend what the workers said above, .* the last time with code 7$/);
    await workers.stop();
    expect((await pids()).filter(isAlive)).toEqual([]);
  });
});

describe("groupMetrics()", () => {
  test("gives the sums of all workers, whichever is asked", async () => {
    const { workers, pids, measured } = await start("well");
    for (const pid of await pids()) {
      const all = await measured(pid);
      expect(all.get("sotto_things_total")).toBe(10);
      for (const each of await pids()) expect(all.get(`sotto_kinds_total{kind="of ${each}"}`)).toBe(1);
      expect(all.get('sotto_times_bucket{le="1"}')).toBe(0);
      expect(all.get('sotto_times_bucket{le="10"}')).toBe(2);
      expect(all.get("sotto_times_count")).toBe(2);
      expect(all.get("sotto_times_sum")).toBe(6);
      expect(all.get("sotto_held")).toBe(4);
      expect(all.get("sotto_workers")).toBe(2);
      expect(all.get("sotto_workers_silent")).toBe(0);
      expect(all.has("process_start_time_seconds")).toBe(false);
    }
    await workers.stop();
  });

  test("a gauge of which only the worst counts is not summed", async () => {
    const { workers, pids, measured, notes } = await start("well");
    const [first = 0, second = 0] = await pids();
    expect((await measured(first)).get("sotto_well")).toBe(1);
    await Bun.write(`${notes}.ill${second}`, "");
    expect((await measured(first)).get("sotto_well")).toBe(0);
    await workers.stop();
  });

  test("counts a frozen worker with what it said last, and one that is gone with what it had counted", async () => {
    const { workers, pids, measured } = await start("well");
    const [first = 0, second = 0] = await pids();
    await measured(first);
    process.kill(second, "SIGSTOP");
    const frozen = await measured(first);
    expect([frozen.get("sotto_things_total"), frozen.get("sotto_held")]).toEqual([10, 4]);
    expect(frozen.get("sotto_workers_silent")).toBe(1);

    process.kill(second, "SIGKILL");
    await waitUntil("another one came", async () => (await pids()).length === 3);
    await waitUntil("it serves", async () => (await measured(first)).get("sotto_workers") === 2);
    const after = await measured(first);
    expect([after.get("sotto_things_total"), after.get("sotto_times_count"), after.get("sotto_held")]).toEqual([
      15, 3, 4,
    ]);
    expect([after.get("sotto_worker_deaths_total"), after.get("sotto_workers_silent")]).toEqual([1, 0]);
    await workers.stop();
  });
});
