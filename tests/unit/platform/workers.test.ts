import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startWorkers, WorkersError } from "../../../src/platform/workers.ts";
import { waitUntil } from "../../support/wait.ts";

/** A worker that notes its number, and does what its environment says. */
const PROGRAM = `
import { appendFileSync } from "node:fs";
if (process.env.HOW === "unable") process.exit(3);
appendFileSync(process.env.NOTES, process.pid + "\\n");
process.on("SIGTERM", () => { if (process.env.HOW !== "deaf") process.exit(0); });
process.send("ready");
setInterval(() => {}, 1_000);
`;

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
    endMs: 500,
    onDeath: (sentence) => void deaths.push(sentence),
  });
  const pids = async () => (await readFile(notes, "utf8")).trim().split("\n").map(Number);
  return { workers, pids };
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
    expect(deaths).toHaveLength(3);
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
});
