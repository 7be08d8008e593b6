/** Limits that hold for all nodes together, and what is left of them when Redis is gone, frozen or new. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { systemClock } from "../../src/platform/clock.ts";
import type { RatePolicy } from "../../src/platform/rate_limit.ts";
import { RedisRateLimiter } from "../../src/platform/rate_limit_redis.ts";
import { openRedis, type Redis } from "../../src/platform/redis.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { waitUntil } from "../support/wait.ts";

/** One a minute: what is let through within a test is the burst and no more. */
const SLOW: RatePolicy = { name: "slow", perMinute: 1, burst: 20 };

describeWithRedis("RedisRateLimiter", () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await TestRedis.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const open: Redis[] = [];
  afterEach(async () => {
    for (const redis of open.splice(0)) await redis[Symbol.asyncDispose]();
  });

  /** The limiter of one node. */
  async function node() {
    const redis = openRedis(server.url);
    open.push(redis);
    await waitUntil("Redis is connected", () => redis.up);
    const faults: unknown[] = [];
    const onFault = (error: unknown) => void faults.push(error);
    const limiter = new RedisRateLimiter({ redis, clock: systemClock, secretKey: "a secret", onFault });
    const passes = async (key: string, policy = SLOW) => (await limiter.take([{ policy, key }])) === 0;
    return { limiter, faults, passes };
  }

  const count = (passed: readonly boolean[]) => passed.filter(Boolean).length;

  test("lets exactly the burst through two nodes that are asked at once", async () => {
    const [a, b] = [await node(), await node()];
    const asked = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? a : b).passes("exact"));
    expect(count(await Promise.all(asked))).toBe(20);
  });

  test("takes from several buckets or from none", async () => {
    const [a, b] = [await node(), await node()];
    const one = { ...SLOW, name: "one", burst: 1 };
    const both = (at: typeof a, key: string) =>
      at.limiter.take([
        { policy: { ...SLOW, name: "wide", burst: 3 }, key: "all" },
        { policy: one, key },
      ]);
    expect(await both(a, "x")).toBe(0);
    for (let i = 0; i < 5; i++) expect(await both(b, "x")).toBeGreaterThan(0);
    expect([await both(b, "y"), await both(a, "z")]).toEqual([0, 0]);
    expect(await both(b, "u")).toBeGreaterThan(0);
  });

  test("says how long to wait, and another node lets that one through then", async () => {
    const [a, b] = [await node(), await node()];
    const policy = { name: "quick", perMinute: 120, burst: 1 };
    expect(await a.passes("w", policy)).toBe(true);
    const wait = await b.limiter.take([{ policy, key: "w" }]);
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(500);
    const refusedAt = performance.now();
    await waitUntil("the bucket has one again", () => b.passes("w", policy));
    expect(performance.now() - refusedAt).toBeGreaterThan(wait - 20); // the two clocks need not agree to the millisecond
  });

  test("keeps no key in clear, and none for longer than it matters", async () => {
    const a = await node();
    await a.passes("203.0.113.9 somebody@example.org");
    const keys = (await server.command("KEYS", "sotto:rate:*")) as string[];
    expect(keys.length).toBeGreaterThan(0);
    expect(keys.join()).not.toMatch(/203|somebody|example/);
    for (const key of keys) {
      const left = Number(await server.command("PTTL", key));
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(20 * 60_000);
    }
  });

  test("goes on alone from where it was when Redis is killed, and together again when it is back", async () => {
    const [a, b] = [await node(), await node()];
    for (let i = 0; i < 12; i++) await a.passes("outage");
    expect(await b.passes("outage")).toBe(true);
    server.kill();
    await waitUntil("both nodes know", () => !a.limiter.shared && !b.limiter.shared);
    // Node a knows of twelve, node b of all thirteen, for Redis told it.
    const more = async (at: typeof a) =>
      count(await Promise.all(Array.from({ length: 30 }, () => at.passes("outage"))));
    expect([await more(a), await more(b)]).toEqual([8, 7]);
    await server.startAgain();
    await waitUntil("both count together", async () => {
      await Promise.all([a.passes("probe"), b.passes("probe")]);
      return a.limiter.shared && b.limiter.shared;
    });
    const asked = Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? a : b).passes("after"));
    expect(count(await Promise.all(asked))).toBe(20);
    // What they counted alone they still know, though Redis has forgotten it.
    expect([await a.passes("outage"), await b.passes("outage")]).toEqual([false, false]);
  });

  test("lets a frozen Redis cost the first requests a moment and the others nothing, and never loses the limit", async () => {
    const a = await node();
    expect(await a.passes("warm")).toBe(true);
    server.freeze();
    try {
      const start = performance.now();
      expect(count(await Promise.all(Array.from({ length: 50 }, () => a.passes("frozen"))))).toBe(20);
      expect(performance.now() - start).toBeLessThan(2_000);
      expect(a.limiter.shared).toBe(false);
      const then = performance.now();
      for (let i = 0; i < 1_000; i++) expect(await a.passes(`key${i}`)).toBe(true);
      // One wait for each would be fifty seconds.
      expect(performance.now() - then).toBeLessThan(5_000);
      expect(a.faults.length).toBeGreaterThanOrEqual(1);
      expect(a.faults.length).toBeLessThan(5);
    } finally {
      server.thaw();
    }
    await waitUntil("it counts in Redis again", async () => {
      await a.passes("probe");
      return a.limiter.shared;
    });
  });
});
