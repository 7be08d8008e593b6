/**
 * Every fault once, as short as it can be, one after the other on one cluster while people use it.
 * `npm run chaos -- all` does the same for longer. CHAOS_SEED repeats the choices of a run.
 */
import { beforeAll, expect, test } from "bun:test";
import { MAY_END_SERVER } from "../support/postgres.ts";
import { describeWithRedis } from "../support/redis.ts";
import { FAULTS } from "./faults.ts";
import { showResult, showRow, TABLE_HEAD } from "./report.ts";
import { type ChaosResult, runChaos } from "./run.ts";

/** The promise is five seconds on a machine of its own, and `npm run chaos` holds it; this one may be very busy. */
const CAUGHT_UP_MS = 20_000;
const TIMES = {
  ...{ deliveredMs: 25_000, answeredMs: 20_000, recoveredMs: 20_000, revokedMs: 8_000, closedMs: 12_000 },
  ...{ flushMs: 60_000, closingMs: 25_000 },
};
const RUN_MS = 400_000;
const SEED = Number(process.env["CHAOS_SEED"] ?? crypto.getRandomValues(new Uint32Array(1))[0]);
const faults = FAULTS.filter(({ endsPostgres }) => endsPostgres !== true || MAY_END_SERVER);

describeWithRedis("three nodes, and people who use them while something breaks", () => {
  let result: ChaosResult;
  beforeAll(async () => {
    const slow = { caughtUpMs: CAUGHT_UP_MS, times: TIMES, paceMs: 300 };
    result = await runChaos({ faults, seconds: 0, operations: 0, seed: SEED, brief: true, ...slow });
    console.log([TABLE_HEAD, ...result.rows.map(showRow), "", showResult(result, SEED)].join("\n"));
  }, RUN_MS);

  for (const { name, says } of faults) {
    test(`${name}: ${says}`, () => {
      const row = result.rows.find((one) => one.name === name);
      expect(row?.times).toBe(1);
      expect(row?.operations).toBeGreaterThan(0);
      expect(row?.problems).toEqual([]);
    });
  }

  test("what was acknowledged is stored, and everybody was shown it, once, in order", () => {
    expect(result.evidence).toEqual([]);
    expect(result.reasons).toEqual([]);
    expect(result.verdict).toBe("holds");
  });

  test("no node ended by itself, and none holds on to a socket, an actor or a descriptor", () => {
    expect(result.problems).toEqual([]);
  });
});
