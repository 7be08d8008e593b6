/** CLUSTER_WORKERS: several processes on one port. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { STARTING_MS } from "../spec/support.ts";
import { Person, request } from "../support/app.ts";
import { freePort } from "../support/free_port.ts";
import type { Peer } from "../support/peer.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
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

const DRAINING = 1012;
/** Connections of which one at least is taken by each worker, but for one time in thirty thousand. */
const SCRAPES = 16;
/** From the last signal to the last process; the server gives itself ten seconds, and a busy machine adds to them. */
const END_MS = 30_000;

describeWithRedis("CLUSTER_WORKERS", () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let folder: string;
  beforeAll(async () => {
    [redis, database] = await Promise.all([TestRedis.start(), createTestDatabase()]);
    folder = await mkdtemp(join(tmpdir(), "sotto-workers-"));
  }, STARTING_MS);
  afterAll(async () => {
    await database[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }, STARTING_MS);

  const variables = async () => ({
    DATABASE_URL: database.url,
    REDIS_URL: redis.url,
    CLUSTER_WORKERS: "2",
    PORT: String(await freePort()),
  });

  /** A parent whose two workers serve, and all of their numbers. */
  async function start() {
    const parent = await ServerProcess.start(await variables());
    const workers = await childrenOf(parent.pid);
    return {
      parent,
      workers,
      all: [parent.pid, ...workers],
      [Symbol.asyncDispose]: () => parent[Symbol.asyncDispose](),
    };
  }

  /** People with sockets at both workers, in one group. */
  async function crowd(url: string): Promise<{ id: ConversationId; peers: [Peer, ...Peer[]] }> {
    const people = await Promise.all(
      Array.from({ length: PEOPLE }, () => Person.signUp(url, `person_${crypto.randomUUID().slice(0, 13)}`)),
    );
    const [ann, ...others] = people as [Person, ...Person[]];
    const id = await ann.group(others);
    const devices = people.flatMap((person) => Array.from({ length: SOCKETS_EACH }, () => person));
    return { id, peers: (await Promise.all(devices.map((person) => person.live()))) as [Peer, ...Peer[]] };
  }

  /** `/metrics` as each of many connections was told, by names; those that a frozen worker took are never told. */
  async function scrape(url: string, connections = SCRAPES): Promise<((name: string) => number)[]> {
    const answers = await Promise.allSettled(
      Array.from({ length: connections }, async () => {
        const options = { headers: { connection: "close" }, signal: AbortSignal.timeout(4_000) };
        const text = await (await fetch(`${url}/metrics`, options)).text();
        return (name: string) => Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
      }),
    );
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  test("two processes serve one port, count as one, survive the death of one, and end together", async () => {
    await using cluster = await start();
    const { parent, workers } = cluster;
    expect(workers).toHaveLength(2);
    expect(await redis.command("KEYS", "sotto:0:lease:*")).toHaveLength(2);
    const { id, peers } = await crowd(parent.url);
    const receipt = await peers[0].say(id, "to every socket");
    for (const peer of peers.slice(1)) await peer.match((frame) => frame.type === "message" && frame.id === receipt.id);
    const before = await scrape(parent.url);
    expect(before).toHaveLength(SCRAPES);
    expect(before.map((sample) => [sample("sotto_sockets"), sample("sotto_workers")])).toEqual(
      Array(SCRAPES).fill([peers.length, 2]),
    );

    process.kill(workers[0] ?? 0, "SIGKILL");
    await waitUntil("it is gone", () => !isAlive(workers[0] ?? 0));
    // Who connects from now on is answered, also while another one starts.
    await waitUntil("another worker serves", async () => {
      expect((await fetch(`${parent.url}/ready`, { headers: { connection: "close" } })).status).toBe(200);
      const [sample] = await scrape(parent.url, 1);
      return sample?.("sotto_workers") === 2 && !(await childrenOf(parent.pid)).includes(workers[0] ?? 0);
    });
    // The other one's sockets never noticed.
    const open = () => peers.filter((peer) => peer.closed === null);
    await waitUntil("the sockets of the dead one are closed", async () => {
      const [sample] = await scrape(parent.url, 1);
      return sample?.("sotto_sockets") === open().length;
    });
    const left = open();
    expect(left.length).toBeGreaterThan(0);
    expect(left.length).toBeLessThan(peers.length);
    const names = ["sotto_sockets", "sotto_sockets_opened_total", "sotto_worker_deaths_total"];
    expect((await scrape(parent.url)).map((sample) => names.map(sample))).toEqual(
      Array(SCRAPES).fill([left.length, peers.length, 1]),
    );
    const [survivor] = left as [Peer, ...Peer[]];
    const after = await survivor.say(id, "still here");
    for (const peer of left.slice(1)) await peer.match((frame) => frame.type === "message" && frame.id === after.id);
    for (const peer of peers) peer[Symbol.dispose]();

    const last = [...(await childrenOf(parent.pid)), parent.pid];
    await parent.signal("SIGTERM");
    expect(last.filter(isAlive)).toEqual([]);
    await expect(request(parent.url, "GET", "/health")).rejects.toThrow();
  });

  test("a frozen worker holds up no measurement of the others, and its figures stand", async () => {
    await using cluster = await start();
    const { parent, workers } = cluster;
    const { peers } = await crowd(parent.url);
    expect((await scrape(parent.url, 1))[0]?.("sotto_sockets")).toBe(peers.length);
    process.kill(workers[0] ?? 0, "SIGSTOP");
    const told = await scrape(parent.url);
    expect(told.length).toBeGreaterThan(0);
    for (const sample of told) {
      expect([sample("sotto_sockets"), sample("sotto_workers_silent")]).toEqual([peers.length, 1]);
    }
    process.kill(workers[0] ?? 0, "SIGCONT");
    await waitUntil("it answers again", async () => (await scrape(parent.url, 1))[0]?.("sotto_workers_silent") === 0);
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test("two signals to the parent and one to each worker, as by a terminal, drain everything once", async () => {
    await using cluster = await start();
    const { parent, all } = cluster;
    const { peers } = await crowd(parent.url);
    const before = performance.now();
    for (const pid of all) process.kill(pid, "SIGINT");
    process.kill(parent.pid, "SIGTERM");
    for (const peer of peers) expect((await peer.ended()).code).toBe(DRAINING);
    await waitUntil("all are gone", () => all.every((pid) => !isAlive(pid)), END_MS);
    expect(performance.now() - before).toBeLessThan(END_MS);
    expect(parent.end).toEqual({ code: 0, signal: null });
    expect(parent.lastWords).not.toContain("started again");
  });

  test("workers whose parent was killed drain and end", async () => {
    await using cluster = await start();
    const { parent, all } = cluster;
    const { peers } = await crowd(parent.url);
    await parent.signal("SIGKILL");
    for (const peer of peers) expect((await peer.ended()).code).toBe(DRAINING);
    await waitUntil("all are gone", () => all.every((pid) => !isAlive(pid)), END_MS);
  });

  test("workers whose parent was killed while they started end too", async () => {
    const parent = Bun.spawn([process.execPath, "src/main.ts"], {
      cwd: join(import.meta.dir, "../.."),
      env: { PATH: process.env["PATH"], DATA_DIR: folder, HOME: folder, LOG_LEVEL: "silent", ...(await variables()) },
      stdio: ["ignore", "ignore", "ignore"],
    });
    let workers: number[] = [];
    await waitUntil("the workers start", async () => {
      workers = await childrenOf(parent.pid);
      return workers.length === 2;
    });
    parent.kill("SIGKILL");
    await parent.exited;
    try {
      await waitUntil("all are gone", () => workers.every((pid) => !isAlive(pid)), END_MS);
    } finally {
      for (const pid of workers.filter(isAlive)) process.kill(pid, "SIGKILL");
    }
  });
});
