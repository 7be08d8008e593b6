/** What the account deleted for itself elsewhere, with answers and a clock of the test's own. */
import { describe, expect, test } from "bun:test";
import { Hidden } from "../../src/client/hidden.ts";
import { SottoError } from "../../src/client/mod.ts";
import type { ConversationId, MessageId } from "../../src/protocol/mod.ts";
import { ManualTiming, settle } from "./manual_timing.ts";

const hidden = (number: number) => ({
  ...{ conversation_id: "c" as ConversationId, message_id: `m${number}` as MessageId, message_seq: number, number },
});

/** A server that holds these numbers, and gives two at once. */
function setUp(numbers: number[], known = 0) {
  const timing = new ManualTiming();
  const told: number[] = [];
  const asked: number[] = [];
  const kept: number[] = [];
  const faults: Error[] = [];
  const subject = new Hidden({
    ...{ timing, number: known },
    page: async (after) => {
      asked.push(after);
      const fault = faults.shift();
      if (fault !== undefined) throw fault;
      const behind = numbers.filter((number) => number > after);
      return { messages: behind.slice(0, 2).map(hidden), more: behind.length > 2 };
    },
    keep: async (number) => void kept.push(number),
    tell: ({ number }) => void told.push(number),
  });
  const hear = (number: number) => subject.heard({ type: "message_hidden", ...hidden(number) });
  return { subject, timing, told, asked, kept, faults, hear };
}

describe("Hidden", () => {
  test("asks page by page behind what is known, and keeps how far it told", async () => {
    const { subject, told, asked, kept } = setUp([3, 4, 5, 7, 9], 3);
    subject.refresh();
    await settle();
    expect([told, asked, kept]).toEqual([
      [4, 5, 7, 9],
      [3, 5],
      [5, 9],
    ]);
  });

  test("tells what it hears at once, and asks where a number before it was missed", async () => {
    const { told, asked, kept, hear } = setUp([1, 2, 3]);
    hear(1);
    expect([told, kept]).toEqual([[1], [1]]);
    hear(3);
    expect(told).toEqual([1, 3]);
    await settle();
    expect([told, asked, kept]).toEqual([[1, 3, 2, 3], [1], [1, 3]]);
    hear(3);
    await settle();
    expect(asked).toEqual([1]);
  });

  test("asks again for what is missed while it asks", async () => {
    const numbers = [1];
    const { subject, told, asked, hear } = setUp(numbers);
    subject.refresh();
    numbers.push(2, 3);
    hear(3);
    await settle();
    expect(told).toEqual([3, 1, 2, 3]);
    expect(asked).toEqual([0, 1]);
  });

  test("asks once more where the answer was lost, and gives up until the next connection where it is refused", async () => {
    const { subject, timing, told, faults } = setUp([1]);
    faults.push(new SottoError("unavailable", "Try again", { retryable: true }));
    subject.refresh();
    await settle();
    expect(told).toEqual([]);
    timing.advance(60_000);
    await settle();
    expect(told).toEqual([1]);
    faults.push(new SottoError("unauthorized", "Sign in"));
    subject.refresh();
    await settle();
    subject.refresh();
    await settle();
    expect(told).toEqual([1]);
  });
});
