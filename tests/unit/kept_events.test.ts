/** What is kept for sockets that could not take it: bounded, for a short time, and nothing that was taken back. */
import { describe, expect, test } from "bun:test";
import { type ConversationId, uuidv7 } from "../../src/protocol/mod.ts";
import { KeptEvents, type OfferedEvent } from "../../src/realtime/kept_events.ts";
import { Offered } from "../../src/realtime/offered.ts";

const id = uuidv7() as ConversationId;

function event(seq: number, more: Partial<OfferedEvent> = {}): OfferedEvent {
  return { conversationId: id, seq, at: 0, text: `event ${seq}`, ...more };
}

describe("KeptEvents", () => {
  test("keeps an event for five seconds at least, and ten at most", () => {
    let now = 0;
    const kept = new KeptEvents(() => now);
    now = 4_999;
    kept.check();
    kept.keep(event(1));
    now = 5_000;
    kept.check();
    now = 9_999;
    kept.check();
    expect(kept.find(id, 1)?.text).toBe("event 1");
    now = 10_000;
    kept.check();
    expect(kept.find(id, 1)).toBeUndefined();
  });

  test("holds 8 Mi characters at most, whatever is offered, the newest", () => {
    const kept = new KeptEvents(() => 0);
    const text = "x".repeat(64 * 1024);
    for (let seq = 1; seq <= 1_000; seq++) expect(kept.keep(event(seq, { text }))).toBe(true);
    const held = Array.from({ length: 1_000 }, (_, i) => kept.find(id, i + 1)).filter((one) => one !== undefined);
    expect(held.length * text.length).toBeLessThanOrEqual(8 * 1024 * 1024);
    expect(held.length * text.length).toBeGreaterThanOrEqual(3 * 1024 * 1024);
    expect(held.at(-1)?.seq).toBe(1_000);
    expect(kept.keep(event(1_001, { text: "x".repeat(5 * 1024 * 1024) }))).toBe(false);
  });

  test("keeps nothing that was taken back, nor what was on its way meanwhile, nor what ends soon", () => {
    const kept = new KeptEvents(() => 0);
    for (const seq of [1, 2, 3]) kept.keep(event(seq));
    kept.forget(id, 3);
    expect([1, 2, 3].map((seq) => kept.find(id, seq)?.seq)).toEqual([undefined, undefined, 3]);
    expect(kept.keep(event(2))).toBe(false);
    expect(kept.keep(event(4, { brief: true }))).toBe(false);
    kept.forgetAll();
    expect(kept.find(id, 3)).toBeUndefined();
  });
});

describe("Offered", () => {
  test("is one run without a gap; what continues none begins a new one", () => {
    const offered = new Offered(new KeptEvents(() => 0));
    for (const seq of [7, 6, 8, 6]) offered.add(event(seq));
    expect(offered.run(id)).toEqual({ from: 6, to: 8 });
    offered.add(event(3)); // lies in the gap that is read anyway
    expect(offered.run(id)).toEqual({ from: 6, to: 8 });
    expect([5, 6, 8, 9].map((seq) => offered.next(id, seq)?.seq)).toEqual([undefined, 6, 8, undefined]);
    offered.add(event(10));
    expect(offered.run(id)).toEqual({ from: 10, to: 10 });
    expect(offered.next(id, 7)).toBeUndefined();
  });

  test("gives nothing of what only others were offered", () => {
    const kept = new KeptEvents(() => 0);
    const [one, other] = [new Offered(kept), new Offered(kept)];
    for (const seq of [1, 2, 3]) one.add(event(seq));
    other.add(event(3));
    expect(other.next(id, 2)).toBeUndefined();
    expect(other.next(id, 3)?.seq).toBe(3);
  });

  test("notes a bounded number of conversations", () => {
    const offered = new Offered(new KeptEvents(() => 0));
    for (let i = 0; i < 1_000; i++) {
      expect(offered.add(event(1, { conversationId: uuidv7() as ConversationId }))).toBe(true);
    }
    expect(offered.add(event(1))).toBe(false);
    expect(offered.runs.size).toBe(1_000);
  });
});
