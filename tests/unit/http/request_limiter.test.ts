import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { createRequestLimiter } from "../../../src/http/request_limiter.ts";

function limiterAt(start: number, perMinute: number, burst: number) {
  let now = start;
  const limiter = createRequestLimiter({ perMinute, burst, clock: { now: () => now } });
  return {
    move: (ms: number) => {
      now += ms;
    },
    passes(key = "k"): boolean {
      try {
        limiter.take(key);
        return true;
      } catch {
        return false;
      }
    },
  };
}

describe("createRequestLimiter()", () => {
  test("passes a burst, then one an interval", () => {
    const at = limiterAt(1_000_000, 60, 3);
    expect([at.passes(), at.passes(), at.passes(), at.passes()]).toEqual([true, true, true, false]);
    at.move(999);
    expect(at.passes()).toBe(false);
    at.move(1);
    expect([at.passes(), at.passes()]).toEqual([true, false]);
  });

  test("counts keys apart", () => {
    const at = limiterAt(0, 60, 1);
    expect([at.passes("a"), at.passes("a"), at.passes("b")]).toEqual([true, false, true]);
  });

  test("says how long to wait, and that is enough", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6_000 }), fc.integer({ min: 1, max: 50 }), (perMinute, burst) => {
        let now = 5_000;
        const limiter = createRequestLimiter({ perMinute, burst, clock: { now: () => now } });
        for (let i = 0; i < burst; i++) limiter.take("k");
        let waitMs = 0;
        try {
          limiter.take("k");
        } catch (error) {
          waitMs = Number((error as { details?: { retry_after_ms?: number } }).details?.retry_after_ms);
        }
        expect(waitMs).toBeGreaterThan(0);
        expect(waitMs).toBeLessThanOrEqual(Math.ceil(60_000 / perMinute));
        now += waitMs;
        limiter.take("k");
      }),
    );
  });

  test("never passes more than burst plus rate, whatever the times between", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 }), (gaps) => {
        const at = limiterAt(0, 60, 5);
        let passed = 0;
        let elapsed = 0;
        for (const gap of gaps) {
          at.move(gap);
          elapsed += gap;
          if (at.passes()) passed++;
        }
        expect(passed).toBeLessThanOrEqual(5 + elapsed / 1_000);
      }),
    );
  });

  test("locks nobody out when the clock is set back by a day", () => {
    const at = limiterAt(10 * 86_400_000, 60, 2);
    expect([at.passes(), at.passes(), at.passes()]).toEqual([true, true, false]);
    at.move(-86_400_000);
    expect([at.passes(), at.passes(), at.passes()]).toEqual([true, true, false]);
  });
});
