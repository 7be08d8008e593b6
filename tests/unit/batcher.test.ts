/** Gathering single requests into batches. */
import { describe, expect, test } from "bun:test";
import { Batcher, type BatcherOptions } from "../../src/platform/batcher.ts";
import { OverloadedError } from "../../src/platform/overloaded.ts";

/** A batcher that doubles numbers, and whose batches are answered when the test says so. */
function gated(options: BatcherOptions) {
  const batches: { readonly requests: readonly number[]; readonly go: PromiseWithResolvers<void> }[] = [];
  const batcher = new Batcher<number, number>(async (requests) => {
    const go = Promise.withResolvers<void>();
    batches.push({ requests, go });
    await go.promise;
    return requests.map((n) => n * 2);
  }, options);
  return { batcher, batches };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("Batcher", () => {
  test("sends at once when idle, gathers what comes in flight, and answers each its own", async () => {
    const { batcher, batches } = gated({ most: 10, waiting: 100 });
    const first = [batcher.ask(1), batcher.ask(2)];
    await turn();
    const second = [batcher.ask(3), batcher.ask(4)];
    await turn();
    expect(batches.map(({ requests }) => requests)).toEqual([[1, 2]]);
    batches[0]?.go.resolve();
    expect(await Promise.all(first)).toEqual([2, 4]);
    await turn();
    expect(batches.map(({ requests }) => requests)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    batches[1]?.go.resolve();
    expect(await Promise.all(second)).toEqual([6, 8]);
  });

  test("puts at most so many into one batch, in order", async () => {
    const { batcher, batches } = gated({ most: 3, waiting: 100 });
    const answers = [1, 2, 3, 4, 5, 6, 7].map((n) => batcher.ask(n));
    for (let i = 0; i < 3; i++) {
      await turn();
      batches[i]?.go.resolve();
    }
    expect(await Promise.all(answers)).toEqual([2, 4, 6, 8, 10, 12, 14]);
    expect(batches.map(({ requests }) => requests)).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
  });

  test("has as many batches in flight as it may, and answers each when it is done", async () => {
    const { batcher, batches } = gated({ most: 2, waiting: 100, inFlight: 2 });
    const first = batcher.ask(1);
    await turn();
    const second = batcher.ask(2);
    await turn();
    const third = [batcher.ask(3), batcher.ask(4)];
    await turn();
    expect(batches.map(({ requests }) => requests)).toEqual([[1], [2]]);
    batches[1]?.go.resolve();
    expect(await second).toBe(4);
    await turn();
    expect(batches.map(({ requests }) => requests)).toEqual([[1], [2], [3, 4]]);
    batches[2]?.go.resolve();
    expect(await Promise.all(third)).toEqual([6, 8]);
    batches[0]?.go.resolve();
    expect(await first).toBe(2);
  });

  test("refuses what is beyond those that may wait", async () => {
    const { batcher, batches } = gated({ most: 1, waiting: 2 });
    const inFlight = batcher.ask(1);
    await turn();
    const waiting = [batcher.ask(2), batcher.ask(3)];
    await expect(batcher.ask(4)).rejects.toBeInstanceOf(OverloadedError);
    for (let i = 0; i < 3; i++) {
      batches[i]?.go.resolve();
      await turn();
    }
    expect(await Promise.all([inFlight, ...waiting])).toEqual([2, 4, 6]);
    const later = batcher.ask(5);
    await turn();
    batches[3]?.go.resolve();
    expect(await later).toBe(10);
  });

  test("a batch that fails rejects its own requests, and the next one goes out", async () => {
    const batcher = new Batcher<number, number>(
      async (requests) => {
        if (requests.includes(2)) throw new Error("The second is bad");
        return requests;
      },
      { most: 1, waiting: 10 },
    );
    const outcomes = await Promise.allSettled([1, 2, 3].map((n) => batcher.ask(n)));
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"]);
    expect(await batcher.ask(4)).toBe(4);
  });

  test("a batch with too few answers rejects those that got none", async () => {
    const batcher = new Batcher<number, number>(async (requests) => requests.slice(1), { most: 10, waiting: 10 });
    const outcomes = await Promise.allSettled([batcher.ask(1), batcher.ask(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("an answer that throws before it waits is a failed batch like any other", async () => {
    let calls = 0;
    const batcher = new Batcher<number, number>(
      (requests) => {
        if (calls++ === 0) throw new Error("At once");
        return Promise.resolve(requests);
      },
      { most: 10, waiting: 10 },
    );
    await expect(batcher.ask(1)).rejects.toThrow("At once");
    expect(await batcher.ask(2)).toBe(2);
  });
});
