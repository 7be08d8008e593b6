/** The load generator of the benchmark is believed only as far as it is checked: against a real server, and against the log. */
import { expect, test } from "bun:test";
import { connectLoad } from "../bench/bench.ts";
import { metricsOf } from "../bench/bench_server.ts";
import { createPairs } from "../bench/people.ts";
import { stageTimes } from "../bench/stage_times.ts";
import { percentiles } from "../bench/traffic.ts";
import { startApp, TEST_SECRET } from "../support/app.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";

test("LoadProcess sends what it says, and counts what is stored and delivered", async () => {
  await using app = await startApp();
  const pairs = await createPairs(app.db, TEST_SECRET, 3);
  using load = await connectLoad(app, pairs);
  const phase = { kind: "message", warmMs: 0, ms: 300, watched: [] } as const;

  const closed = await load.run({ ...phase, pace: { loop: "closed", window: 2 } });
  expect(closed.answered).toBeGreaterThan(0);
  expect(closed.unanswered + closed.undelivered).toBe(0);
  const open = await load.run({ ...phase, pace: { loop: "open", perSecond: 100 } });
  expect(open.unanswered + open.undelivered).toBe(0);
  expect(open.delivery.p50).toBeGreaterThan(0);

  const [row] = await app.db.query<{ count: number }>("select count(*) as count from events where kind = 1");
  expect(row?.count).toBeGreaterThanOrEqual(closed.sent + open.sent);
});

test("stageTimes() finds every stage of the path in the metrics of a server that is at work", async () => {
  await using app = await startApp();
  using load = await connectLoad(app, await createPairs(app.db, TEST_SECRET, 4));
  const before = await metricsOf(app.url);
  const plan = { kind: "message", warmMs: 0, ms: 200, watched: [], pace: { loop: "closed", window: 4 } } as const;
  for (let sent = 0; sent < 200; ) sent += (await load.run(plan)).answered; // one in 64 is followed
  const times = stageTimes(before, await metricsOf(app.url));
  expect(times.map(({ stage }) => stage)).toEqual([
    "from the socket to the log",
    "in the log, until stored",
    "wait for the batch before",
    "statement and commit",
    "from stored to the sender's socket",
  ]);
  expect(times.every(({ ms }) => ms > 0)).toBe(true);
});

describeWithRedis("stageTimes() with two nodes", () => {
  test("finds the stages of the bus at the senders' node", async () => {
    await using redis = await TestRedis.start();
    const env = { REDIS_URL: redis.url };
    await using app = await startApp({ env });
    await using other = await app.another({ env });
    using load = await connectLoad([app, other], await createPairs(app.db, TEST_SECRET, 1));
    const before = await metricsOf(app.url);
    const plan = { kind: "message", warmMs: 0, ms: 100, watched: [], pace: { loop: "closed", window: 1 } } as const;
    for (let delivered = 0; delivered === 0; ) {
      const run = await load.run(plan);
      expect(run.undelivered).toBe(0);
      delivered = run.delivered;
    }
    const stages = stageTimes(before, await metricsOf(app.url)).map(({ stage }) => stage);
    expect(stages).toContain("where recipients are");
    expect(stages).toContain("publish");
  });
});

test("LoadProcess tells of a server that refuses or ends its sockets", async () => {
  await using app = await startApp();
  const [pair] = await createPairs(app.db, TEST_SECRET, 1);
  if (pair === undefined) throw new Error("Make a pair");
  const forged = { ...pair, people: [{ ...pair.people[0], token: "forged" }, pair.people[1]] as const };
  await expect(connectLoad(app, [forged])).rejects.toThrow("401");

  using load = await connectLoad(app, [pair]);
  await app.app.drain();
  const plan = { kind: "message", warmMs: 0, ms: 50, watched: [], pace: { loop: "closed", window: 1 } } as const;
  await expect(load.run(plan)).rejects.toThrow("closed with 1012");
});

test("percentiles() gives the middle, the worst of a hundred and the worst", () => {
  const times = Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(percentiles(times)).toEqual({ p50: 51, p99: 100, most: 100 });
  expect(percentiles([])).toEqual({ p50: 0, p99: 0, most: 0 });
});
