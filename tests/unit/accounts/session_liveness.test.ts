import { describe, expect, test } from "bun:test";
import { createSessionLiveness } from "../../../src/accounts/session_liveness.ts";
import { SessionId, uuidv7 } from "../../../src/protocol/mod.ts";

const id = SessionId.parse(uuidv7());

function setUp() {
  let now = 10_000;
  const asked: ((live: boolean | Error) => void)[] = [];
  const liveness = createSessionLiveness({
    clock: { now: () => now },
    look: () =>
      new Promise((resolve, reject) => {
        asked.push((live) => (live instanceof Error ? reject(live) : resolve(live)));
      }),
  });
  const move = (ms: number) => {
    now += ms;
  };
  return { liveness, asked, move };
}

describe("createSessionLiveness()", () => {
  test("asks once for a burst, and again after a second", async () => {
    const { liveness, asked, move } = setUp();
    const burst = [liveness.isLive(id), liveness.isLive(id), liveness.isLive(id)];
    expect(asked).toHaveLength(1);
    asked[0]?.(true);
    expect(await Promise.all(burst)).toEqual([true, true, true]);
    move(999);
    expect(await liveness.isLive(id)).toBe(true);
    move(1);
    void liveness.isLive(id);
    expect(asked).toHaveLength(2);
  });

  test("counts the second from the start of the look-up, so a slow answer is not trusted longer", () => {
    const { liveness, asked, move } = setUp();
    void liveness.isLive(id);
    move(1_000);
    void liveness.isLive(id);
    expect(asked).toHaveLength(2);
  });

  test("forgets what it is told to, also where a look-up is under way", async () => {
    const { liveness, asked } = setUp();
    const before = liveness.isLive(id);
    liveness.drop([id]);
    const after = liveness.isLive(id);
    asked[0]?.(true);
    asked[1]?.(false);
    expect([await before, await after, await liveness.isLive(id)]).toEqual([true, false, false]);
  });

  test("does not keep a failure", async () => {
    const { liveness, asked } = setUp();
    const failed = liveness.isLive(id);
    asked[0]?.(new Error("no answer"));
    await expect(failed).rejects.toThrow("no answer");
    const again = liveness.isLive(id);
    asked[1]?.(true);
    expect(await again).toBe(true);
  });

  test("asks again when the clock is set back", () => {
    const { liveness, asked, move } = setUp();
    void liveness.isLive(id);
    move(-5_000);
    void liveness.isLive(id);
    expect(asked).toHaveLength(2);
  });
});
