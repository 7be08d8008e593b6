/** Nodes as processes of their own: one is killed, and its silence is all that the others have to go by. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { range, STARTING_MS, storedLog } from "../spec/support.ts";
import { Person } from "../support/app.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";
import { waitUntil } from "../support/wait.ts";
import { expectAllDelivered, MOST_LATE_MS, Reader, sendDuring } from "./traffic.ts";

describeWithRedis("nodes that are processes", () => {
  let redis: TestRedis;
  let database: TestDatabase;
  let nodes: readonly [ServerProcess, ServerProcess, ServerProcess];
  beforeAll(async () => {
    [redis, database] = await Promise.all([TestRedis.start(), createTestDatabase()]);
    const start = () => ServerProcess.start({ DATABASE_URL: database.url, REDIS_URL: redis.url });
    nodes = await Promise.all([start(), start(), start()]);
  }, STARTING_MS);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    await database[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  const people = () =>
    Promise.all(nodes.map(({ url }) => Person.signUp(url, `person_${crypto.randomUUID().slice(0, 13)}`))) as Promise<
      [Person, Person, Person]
    >;

  test("a node is killed in the middle of it: what it acknowledged arrives, and its sockets come again elsewhere", async () => {
    const [ann, ben, cem] = await people();
    const id = await ann.group([ben, cem]);
    const [a, b, c] = [await ann.live(), await ben.live(), await cem.live()];
    const readers = [new Reader(b, id), new Reader(a, id)];
    const doomed = new Reader(c, id);
    // The doomed node's own sender has more under way than was answered when it is killed.
    const acknowledged: number[] = [];
    c.socket.addEventListener("message", (event) => {
      const frame = JSON.parse(String(event.data));
      if (frame.type === "receipt") acknowledged.push(frame.seq);
    });
    // Nobody else sends, so nobody sees a gap: the silence of the node is all there is.
    for (let i = 0; i < 40; i++) c.post(id, `last words ${i}`);
    await waitUntil("some were acknowledged", () => acknowledged.length > 0);
    await nodes[2].signal("SIGKILL");
    const killedAt = performance.now();
    const top = (await storedLog(database.db, id)).at(-1)?.seq ?? 0;
    await waitUntil("the others have all of it", () => readers.every((reader) => reader.last >= top), MOST_LATE_MS);
    expect(performance.now() - killedAt).toBeLessThan(MOST_LATE_MS);

    const sent = await sendDuring([a, b], id, async () => {
      using again = await cem.at(nodes[0].url).connect();
      const reader = new Reader(again, id);
      await waitUntil("the device caught up", () => reader.last >= top + 20);
      const known = new Set([...doomed.at.keys(), ...reader.at.keys()]);
      expect(range(Math.min(...known), reader.last).filter((seq) => !known.has(seq))).toEqual([]);
      expect(reader.faults).toEqual([]);
    });
    await expectAllDelivered(readers, sent);
    const stored = (await storedLog(database.db, id)).map((row) => row.seq);
    expect(stored).toEqual(range(1, stored.length));
    for (const seq of acknowledged) expect(readers.every((reader) => reader.at.has(seq))).toBe(true);
    a[Symbol.dispose]();
    b[Symbol.dispose]();
  });
});
