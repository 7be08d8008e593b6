import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { MemoryRateLimiter, type RatePolicy } from "../../../src/platform/rate_limit.ts";

function limiterAt(start: number, perMinute: number, burst: number) {
  let now = start;
  const limiter = new MemoryRateLimiter({ now: () => now });
  const policy: RatePolicy = { name: "p", perMinute, burst };
  return {
    limiter,
    policy,
    move: (ms: number) => {
      now += ms;
    },
    wait: (key = "k") => limiter.take([{ policy, key }]),
    passes: async (key = "k") => (await limiter.take([{ policy, key }])) === 0,
  };
}

describe("MemoryRateLimiter", () => {
  test("passes a burst, then one an interval", async () => {
    const at = limiterAt(1_000_000, 60, 3);
    const now = [await at.passes(), await at.passes(), await at.passes(), await at.passes()];
    expect(now).toEqual([true, true, true, false]);
    at.move(999);
    expect(await at.passes()).toBe(false);
    at.move(1);
    expect([await at.passes(), await at.passes()]).toEqual([true, false]);
  });

  test("counts keys apart, and policies", async () => {
    const at = limiterAt(0, 60, 1);
    expect([await at.passes("a"), await at.passes("a"), await at.passes("b")]).toEqual([true, false, true]);
    const other = { ...at.policy, name: "q" };
    expect(await at.limiter.take([{ policy: other, key: "a" }])).toBe(0);
  });

  test("takes from several buckets or from none", async () => {
    const at = limiterAt(0, 60, 1);
    const wide = { name: "wide", perMinute: 60, burst: 3 };
    const both = (key: string) =>
      at.limiter.take([
        { policy: wide, key: "all" },
        { policy: at.policy, key },
      ]);
    // "a" is refused four times by its own bucket, and leaves that of all to the others.
    const waits = [await both("a"), await both("a"), await both("a"), await both("a"), await both("a")];
    expect(waits.map((wait) => wait > 0)).toEqual([false, true, true, true, true]);
    expect([await both("b"), await both("c")]).toEqual([0, 0]);
    expect(await both("d")).toBeGreaterThan(0);
  });

  test("says how long to wait, and that is enough", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 6_000 }), fc.integer({ min: 1, max: 50 }), async (rate, burst) => {
        const at = limiterAt(5_000, rate, burst);
        for (let i = 0; i < burst; i++) expect(await at.passes()).toBe(true);
        const wait = await at.wait();
        expect(wait).toBeGreaterThan(0);
        expect(wait).toBeLessThanOrEqual(Math.ceil(60_000 / rate));
        at.move(wait);
        expect(await at.passes()).toBe(true);
      }),
    );
  });

  test("never passes more than burst plus rate, whatever the times between", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }), async (gaps) => {
        const at = limiterAt(0, 60, 5);
        let passed = 0;
        let elapsed = 0;
        for (const gap of gaps) {
          at.move(gap);
          elapsed += gap;
          if (await at.passes()) passed++;
        }
        expect(passed).toBeLessThanOrEqual(5 + elapsed / 1_000);
      }),
    );
  });

  test("locks nobody out when the clock is set back by a day", async () => {
    const at = limiterAt(10 * 86_400_000, 60, 2);
    expect([await at.passes(), await at.passes(), await at.passes()]).toEqual([true, true, false]);
    at.move(-86_400_000);
    expect([await at.passes(), await at.passes(), await at.passes()]).toEqual([true, true, false]);
  });

  test("goes on from what it is told from elsewhere, and never back", async () => {
    const at = limiterAt(0, 60, 3);
    const claim = { policy: at.policy, key: "k" };
    at.limiter.note(claim, 2_000);
    expect([await at.passes(), await at.passes()]).toEqual([true, false]);
    at.limiter.note(claim, 0);
    expect(await at.passes()).toBe(false);
    at.limiter.note(claim, 1e9);
    expect(await at.wait()).toBeLessThanOrEqual(1_001);
  });
});
