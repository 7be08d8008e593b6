/** CLUSTER_WORKERS: several processes on one port. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { STARTING_MS } from "../spec/support.ts";
import { Person, request } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { describeWithRedis, freePort, TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";
import { waitUntil } from "../support/wait.ts";

/** Enough that both processes have some, but for one time in sixteen thousand. */
const PEOPLE = 3;
const SOCKETS_EACH = 5;

/** The children of a process that live. */
async function childrenOf(pid: number): Promise<number[]> {
  const list = Bun.spawn(["ps", "-eo", "pid=,ppid="], { stdio: ["ignore", "pipe", "inherit"] });
  const pairs = (await new Response(list.stdout).text()).trim().split("\n");
  return pairs.flatMap((line) => {
    const [child = 0, parent] = line.trim().split(/\s+/).map(Number);
    return parent === pid && child !== list.pid && isAlive(child) ? [child] : [];
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describeWithRedis("CLUSTER_WORKERS", () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let parent: ServerProcess;
  beforeAll(async () => {
    [redis, database] = await Promise.all([TestRedis.start(), createTestDatabase()]);
    parent = await ServerProcess.start({
      DATABASE_URL: database.url,
      REDIS_URL: redis.url,
      CLUSTER_WORKERS: "2",
      PORT: String(await freePort()),
    });
  }, STARTING_MS);
  afterAll(async () => {
    await parent[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  const signUp = () => Person.signUp(parent.url, `person_${crypto.randomUUID().slice(0, 13)}`);
  const workersOf = async () => (await redis.command("KEYS", "sotto:0:lease:*")) as string[];

  test("two processes serve one port, survive the death of one, and end together", async () => {
    const ann = await signUp();
    const workers = await childrenOf(parent.pid);
    expect(workers).toHaveLength(2);
    expect(await workersOf()).toHaveLength(2);
    const others = await Promise.all(Array.from({ length: PEOPLE - 1 }, signUp));
    const id = await ann.group(others);
    const devices = [ann, ...others].flatMap((person) => Array.from({ length: SOCKETS_EACH }, () => person));
    const peers: Peer[] = await Promise.all(devices.map((person) => person.live()));
    const [first] = peers as [Peer, ...Peer[]];
    const receipt = await first.say(id, "to every socket");
    for (const peer of peers.slice(1)) await peer.match((frame) => frame.type === "message" && frame.id === receipt.id);

    process.kill(workers[0] ?? 0, "SIGKILL");
    await waitUntil("another worker serves", async () => {
      const now = await childrenOf(parent.pid);
      return now.length === 2 && !now.includes(workers[0] ?? 0);
    });
    await waitUntil("the sockets of the dead one are closed", () => peers.some((peer) => peer.closed !== null));
    // The other one's sockets never noticed.
    const left = peers.filter((peer) => peer.closed === null);
    expect(left.length).toBeGreaterThan(0);
    const [survivor] = left as [Peer, ...Peer[]];
    const after = await survivor.say(id, "still here");
    for (const peer of left.slice(1)) await peer.match((frame) => frame.type === "message" && frame.id === after.id);
    for (const peer of peers) peer[Symbol.dispose]();

    const last = [...(await childrenOf(parent.pid)), parent.pid];
    await parent.signal("SIGTERM");
    expect(last.filter(isAlive)).toEqual([]);
    await expect(request(parent.url, "GET", "/health")).rejects.toThrow();
  });
});
