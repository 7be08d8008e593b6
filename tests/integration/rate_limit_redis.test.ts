/** Limits that hold for all nodes together, and what is left of them when Redis is gone, frozen or new. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { systemClock } from "../../src/platform/clock.ts";
import type { RatePolicy } from "../../src/platform/rate_limit.ts";
import { RedisRateLimiter } from "../../src/platform/rate_limit_redis.ts";
import { openRedis, type Redis } from "../../src/platform/redis.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

/** One a minute: what is let through within a test is the burst and no more. */
const SLOW: RatePolicy = { name: "slow", perMinute: 1, burst: 20 };

describeWithRedis("RedisRateLimiter", () => {
  let server: TestRedis;
  beforeAll(async () => {
    server = await TestRedis.start();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  type Node = Awaited<ReturnType<typeof node>>;
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

  /**
   * Tries on a key of its own, and on another one where a node counted alone meanwhile: it does so once
   * Redis is late by 50 ms, as it is on a busy machine now and then.
   */
  async function together<T>(work: (key: string, a: Node, b: Node) => Promise<T>): Promise<T> {
    for (;;) {
      const [a, b] = [await node(), await node()];
      const result = await work(crypto.randomUUID(), a, b);
      if (a.faults.length + b.faults.length === 0) return result;
    }
  }

  test("lets exactly the burst through two nodes that are asked at once", async () => {
    const passed = await together((key, a, b) =>
      Promise.all(Array.from({ length: 60 }, (_, i) => (i % 2 === 0 ? a : b).passes(key))),
    );
    expect(count(passed)).toBe(20);
  });

  test("takes from several buckets or from none", async () => {
    const one = { ...SLOW, name: "one", burst: 1 };
    const passed = await together(async (all, a, b) => {
      const both = async (at: Node, key: string) =>
        (await at.limiter.take([
          { policy: { ...SLOW, name: "wide", burst: 3 }, key: all },
          { policy: one, key: all + key },
        ])) === 0;
      const first = [
        await both(a, "x"),
        await both(b, "x"),
        await both(b, "x"),
        await both(b, "x"),
        await both(b, "x"),
      ];
      return [first, [await both(b, "y"), await both(a, "z")], [await both(b, "u")]];
    });
    expect(passed).toEqual([[true, false, false, false, false], [true, true], [false]]);
  });

  test("says how long to wait, and another node lets that one through then", async () => {
    const policy = { name: "quick", perMinute: 20, burst: 1 };
    const { first, wait, waited } = await together(async (key, a, b) => {
      const first = await a.passes(key, policy);
      const wait = await b.limiter.take([{ policy, key }]);
      const refusedAt = performance.now();
      await waitUntil("the bucket has one again", () => b.passes(key, policy));
      return { first, wait, waited: performance.now() - refusedAt };
    });
    expect(first).toBe(true);
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(3_000);
    expect(waited).toBeGreaterThan(wait - 20); // the two clocks need not agree to the millisecond
  });

  test("keeps no key in clear, and none for longer than it matters", async () => {
    await together((_, a) => a.passes("203.0.113.9 somebody@example.org"));
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
    const [outage, a, b] = await together(async (key, a, b) => {
      for (let i = 0; i < 12; i++) await a.passes(key);
      expect(await b.passes(key)).toBe(true);
      return [key, a, b] as const;
    });
    server.kill();
    await waitUntil("both nodes know", () => !a.limiter.shared && !b.limiter.shared);
    // Node a knows of twelve, node b of all thirteen, for Redis told it.
    const more = async (at: typeof a) => count(await Promise.all(Array.from({ length: 30 }, () => at.passes(outage))));
    expect([await more(a), await more(b)]).toEqual([8, 7]);
    await server.startAgain();
    await waitUntil("both count together", async () => {
      await Promise.all([a.passes("probe"), b.passes("probe")]);
      return a.limiter.shared && b.limiter.shared;
    });
    // What one takes the other knows; a node that Redis is late for counts alone again, for a second.
    for (let i = 0; i < 5; i++) await a.passes("after");
    await waitUntil("what one takes the other knows", async () => {
      await a.passes("after");
      return (await b.limiter.take([{ policy: { ...SLOW, burst: 1 }, key: "after" }])) > 0;
    });
    // What they counted alone they still know, though Redis has forgotten it.
    expect([await a.passes(outage), await b.passes(outage)]).toEqual([false, false]);
  });

  test("lets a frozen Redis cost the first requests a moment and the others nothing, and never loses the limit", async () => {
    const a = await node();
    expect(await a.passes("warm")).toBe(true);
    server.freeze();
    try {
      const start = performance.now();
      expect(count(await Promise.all(Array.from({ length: 50 }, () => a.passes("frozen"))))).toBe(20);
      expect(performance.now() - start).toBeLessThan(BUSY_MS);
      expect(a.limiter.shared).toBe(false);
      const then = performance.now();
      for (let i = 0; i < 1_000; i++) expect(await a.passes(`key${i}`)).toBe(true);
      // One wait for each would be fifty seconds.
      expect(performance.now() - then).toBeLessThan(20_000);
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
