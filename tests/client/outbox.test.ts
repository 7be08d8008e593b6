import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { OUTBOX_LIMITS, Outbox } from "../../src/client/outbox.ts";
import type { SottoError } from "../../src/client/sotto_error.ts";
import type { OutgoingMessage } from "../../src/client/store.ts";
import { type ConversationId, ERRORS, type ErrorCode, type MessageId, newMessageId } from "../../src/protocol/mod.ts";
import { ManualTiming } from "./manual_timing.ts";

const A = "00000000-0000-7000-8000-00000000000a" as ConversationId;
const B = "00000000-0000-7000-8000-00000000000b" as ConversationId;

let order = 0;

function message(timing: ManualTiming, conversationId = A, idBound = false): OutgoingMessage {
  const id = newMessageId(timing.now());
  return {
    id,
    conversationId,
    idBound,
    order: order++,
    frame: JSON.stringify({ type: "message", id, conversation_id: conversationId }),
  };
}

function refusal(id: MessageId, code: ErrorCode, details?: Record<string, unknown>) {
  const { message, retryable } = ERRORS[code];
  return {
    type: "error",
    id,
    code,
    message,
    retryable,
    request_id: "r",
    ...(details === undefined ? {} : { details }),
  } as const;
}

/** An outbox, and everything it made happen. */
function setUp(options: { random?: () => number } = {}) {
  const timing = new ManualTiming(options);
  const sent: MessageId[] = [];
  const frames: string[] = [];
  const rejected: { id: MessageId; error: SottoError }[] = [];
  const renewals: OutgoingMessage[] = [];
  let stuck = 0;
  const outbox = new Outbox(timing, {
    transmit: (frame) => {
      frames.push(frame);
      sent.push(JSON.parse(frame).id);
      return true;
    },
    renew: (old) => void renewals.push(old),
    rejected: (old, error) => void rejected.push({ id: old.id, error }),
    stuck: () => stuck++,
  });
  const add = (conversationId = A, idBound = false) => {
    const added = message(timing, conversationId, idBound);
    outbox.add(added);
    return added.id;
  };
  return { timing, sent, frames, rejected, renewals, outbox, add, stuck: () => stuck };
}

describe("Outbox", () => {
  test("sends nothing before there is a socket, then everything in order", () => {
    const { outbox, add, sent } = setUp();
    const ids = [add(), add(), add()];
    expect(sent).toEqual([]);
    outbox.connected();
    expect(sent).toEqual(ids);
  });

  test("repeats the same bytes under the same id after a reconnect", () => {
    const { outbox, add, frames } = setUp();
    outbox.connected();
    add();
    outbox.disconnected();
    outbox.connected();
    expect(frames).toHaveLength(2);
    expect(frames[0]).toBe(frames[1] ?? "");
  });

  test("goes on from the refused message, after a pause and not before all are answered [MSG-5]", () => {
    const { outbox, add, sent, timing } = setUp();
    outbox.connected();
    const [a, b, c] = [add(), add(), add()];
    outbox.refused(refusal(a, "busy"));
    timing.advance(60_000 - OUTBOX_LIMITS.answerMs - 1);
    expect(sent).toEqual([a, b, c]);
    outbox.refused(refusal(b, "out_of_order"));
    outbox.refused(refusal(c, "out_of_order"));
    expect(sent).toEqual([a, b, c]);
    timing.advance(1_000);
    expect(sent).toEqual([a, b, c, a, b, c]);
  });

  test("waits as long as the server asks", () => {
    const { outbox, add, sent, timing } = setUp({ random: () => 0 });
    outbox.connected();
    const a = add();
    outbox.refused(refusal(a, "rate_limited", { retry_after_ms: 5_000 }));
    timing.advance(4_999);
    expect(sent).toEqual([a]);
    timing.advance(1);
    expect(sent).toEqual([a, a]);
  });

  test("lets other conversations pass while one is refused", () => {
    const { outbox, add, sent } = setUp();
    outbox.connected();
    const a = add(A);
    outbox.refused(refusal(a, "busy"));
    const more = [add(A), add(B), add(B)];
    expect(sent).toEqual([a, ...more.slice(1)]);
  });

  test("rejects what is refused for good, and goes on with the next", () => {
    const { outbox, add, sent, rejected } = setUp();
    outbox.connected();
    const [a, b] = [add(), add()];
    outbox.refused(refusal(a, "encryption_mismatch"));
    expect(rejected.map(({ id, error }) => [id, error.code, error.retryable])).toEqual([
      [a, "encryption_mismatch", false],
    ]);
    expect(outbox.settle(b)?.id).toBe(b);
    expect(outbox.size).toBe(0);
    expect(sent).toEqual([a, b]);
  });

  test("asks for a new id where the old one left the window, and keeps the place [MSG-7]", () => {
    const { outbox, add, sent, renewals, timing } = setUp();
    outbox.connected();
    const [old, next] = [add(), add()];
    outbox.refused(refusal(old, "id_out_of_window"));
    outbox.refused(refusal(next, "out_of_order"));
    timing.advance(1_000);
    expect(sent).toEqual([old, next]); // the new id is not there yet
    expect(renewals.map(({ id }) => id)).toEqual([old]);
    const renewed = message(timing);
    outbox.renewed(old, renewed);
    timing.advance(1_000);
    expect(sent).toEqual([old, next, renewed.id, next]);
    expect(outbox.settle(old)).toBeUndefined();
    expect(outbox.settle(renewed.id)?.id).toBe(renewed.id);
  });

  test("gives a message up whose new ids are refused too, as with a wrong clock", () => {
    const { outbox, add, rejected, timing } = setUp();
    outbox.connected();
    let id = add();
    for (let round = 0; round < OUTBOX_LIMITS.renewals; round++) {
      outbox.refused(refusal(id, "id_out_of_window"));
      const renewed = message(timing);
      outbox.renewed(id, renewed);
      id = renewed.id;
      timing.advance(1_000);
    }
    outbox.refused(refusal(id, "id_out_of_window"));
    expect(rejected.map((one) => [one.id, one.error.code])).toEqual([[id, "id_out_of_window"]]);
  });

  test("keeps below the server's window, by conversation and in all [MSG-6]", () => {
    const { outbox, add, sent } = setUp();
    outbox.connected();
    for (let i = 0; i < 40; i++) add(A);
    expect(sent).toHaveLength(OUTBOX_LIMITS.inFlightOfLane);
    for (let lane = 0; lane < 10; lane++) {
      for (let i = 0; i < 20; i++) add(`00000000-0000-7000-8000-0000000000${lane}0` as ConversationId);
    }
    expect(sent).toHaveLength(OUTBOX_LIMITS.inFlight);
  });

  test("sends messages that are nearly too old one by one, so that a refusal cannot change their order", () => {
    const { outbox, add, sent, timing } = setUp();
    const [a, b] = [add(), add()];
    timing.advance(23.5 * 60 * 60 * 1_000);
    outbox.connected();
    expect(sent).toEqual([a]);
    outbox.settle(a);
    expect(sent).toEqual([a, b]);
  });

  test("stays below the server's frame rate [LIM-3]", () => {
    const { outbox, add, sent, timing } = setUp();
    outbox.connected();
    for (let i = 0; i < 600; i++) {
      const id = add(`00000000-0000-7000-8000-000000000${String(i).padStart(3, "0")}` as ConversationId);
      if (sent.at(-1) === id) outbox.settle(id);
    }
    expect(sent).toHaveLength(OUTBOX_LIMITS.frameBurst);
    const before = sent.length;
    for (let ms = 0; ms < 1_000; ms += 10) {
      timing.advance(10);
      for (const id of sent.slice(before)) outbox.settle(id);
    }
    expect(sent.length - before).toBeLessThanOrEqual(OUTBOX_LIMITS.framesPerSecond + 1);
    expect(sent.length - before).toBeGreaterThan(OUTBOX_LIMITS.framesPerSecond / 2);
  });

  test("refuses more than it may keep", () => {
    const { outbox, add } = setUp();
    for (let i = 0; i < OUTBOX_LIMITS.messages; i++) add();
    expect(() => outbox.assertRoom(1)).toThrow("Wait until messages are answered");
  });

  test("says that the socket is of no use when an answer does not come", () => {
    const { outbox, add, timing, stuck } = setUp();
    outbox.connected();
    add();
    timing.advance(OUTBOX_LIMITS.answerMs);
    expect(stuck()).toBe(1);
  });

  test("leaves no timer behind", () => {
    const { outbox, add, timing } = setUp();
    outbox.connected();
    outbox.refused(refusal(add(), "busy"));
    add(B);
    outbox[Symbol.dispose]();
    expect(timing.waiting).toBe(0);
  });

  test("stores every message once and in order, whatever is refused, lost or cut [MSG-2, MSG-4, MSG-5]", () => {
    const fault = fc.constantFrom("ok", "ok", "ok", "busy", "lost", "cut", "rate_limited", "too_old");
    fc.assert(
      fc.property(
        fc.array(fault, { maxLength: 120 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 40 }),
        (faults, plan) => {
          const { stored, ids } = runAgainstModel(faults, plan);
          expect(stored.get(A) ?? []).toEqual(ids.get(A) ?? []);
          expect(stored.get(B) ?? []).toEqual(ids.get(B) ?? []);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/**
 * A server that follows MSG-1 to MSG-7 with the given faults, one a frame, and answers in order.
 * Messages are known by the mark that survives a change of id.
 */
function runAgainstModel(faults: readonly string[], plan: readonly boolean[]) {
  const timing = new ManualTiming();
  const stored = new Map<ConversationId, number[]>();
  const known = new Set<MessageId>();
  let firstRefused = new Map<ConversationId, MessageId>();
  let wire: { id: MessageId; conversation_id: ConversationId; mark: number }[] = [];
  const outbox: Outbox = new Outbox(timing, {
    transmit: (frame) => {
      wire.push(JSON.parse(frame));
      return true;
    },
    renew: (old) => {
      const id = newMessageId(timing.now());
      outbox.renewed(old.id, { ...old, id, frame: JSON.stringify({ ...JSON.parse(old.frame), id }) });
    },
    rejected: (old, error) => {
      throw new Error(`Rejected ${old.id}: ${error.code}`);
    },
    stuck: () => cut(),
  });
  const cut = () => {
    wire = [];
    firstRefused = new Map();
    outbox.disconnected();
    outbox.connected();
  };
  const ids = new Map<ConversationId, number[]>();
  outbox.connected();
  plan.forEach((toA, mark) => {
    const conversationId = toA ? A : B;
    ids.set(conversationId, [...(ids.get(conversationId) ?? []), mark]);
    const id = newMessageId(timing.now());
    const frame = JSON.stringify({ type: "message", id, conversation_id: conversationId, mark });
    outbox.add({ id, conversationId, idBound: false, order: mark, frame });
  });
  const renewed = new Set<number>();
  let at = 0;
  for (let round = 0; outbox.size > 0; round++) {
    if (round > 20_000) throw new Error(`Not done: ${outbox.size} messages wait`);
    const next = wire.shift();
    if (next === undefined) {
      timing.advance(50);
      continue;
    }
    const { id, conversation_id: conversationId, mark } = next;
    const fault = faults[at++] ?? "ok";
    const first = firstRefused.get(conversationId);
    if (first !== undefined && first !== id) {
      outbox.refused(refusal(id, "out_of_order"));
      continue;
    }
    firstRefused.delete(conversationId);
    if (fault === "busy" || fault === "rate_limited") {
      firstRefused.set(conversationId, id);
      outbox.refused(refusal(id, fault));
    } else if (
      fault === "too_old" &&
      !known.has(id) &&
      !renewed.has(mark) &&
      wire.every((one) => one.conversation_id !== conversationId)
    ) {
      renewed.add(mark);
      outbox.refused(refusal(id, "id_out_of_window"));
    } else {
      if (!known.has(id)) stored.set(conversationId, [...(stored.get(conversationId) ?? []), mark]);
      known.add(id);
      if (fault === "cut") cut();
      else if (fault !== "lost") outbox.settle(id);
    }
  }
  return { stored, ids };
}
