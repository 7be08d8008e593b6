import { describe, expect, test } from "bun:test";
import { Exchanges } from "../../src/client/exchanges.ts";
import { emptyStep, planFrame } from "../../src/client/intake.ts";
import { Outbox } from "../../src/client/outbox.ts";
import { Sync } from "../../src/client/sync.ts";
import type { AccountId, ConversationId, EventFrame, MessageId, ReceiptFrame } from "../../src/protocol/mod.ts";
import { ManualTiming } from "./manual_timing.ts";

const C = "00000000-0000-7000-8000-00000000000c" as ConversationId;
const ME = "00000000-0000-7000-8000-000000000001" as AccountId;
const ID = "00000000-0000-7000-8000-000000000009" as MessageId;
const AT = "2026-01-01T00:00:00.000Z";

function setUp() {
  const nothing = () => {};
  const outbox = new Outbox(new ManualTiming(), {
    transmit: () => true,
    renew: nothing,
    rejected: nothing,
    stuck: nothing,
  });
  const frame = JSON.stringify({ type: "message", id: ID, conversation_id: C, encrypted_content: "x", expires_in: 60 });
  outbox.add({ id: ID, conversationId: C, frame, order: 1, idBound: false });
  outbox.connected();
  const exchanges = new Exchanges(new ManualTiming(), () => true);
  const intake = { outbox, exchanges, self: ME, sync: new Sync(new Map([[C, 4]])) };
  return { intake, step: emptyStep() };
}

const receipt = (seq: number, in_order: boolean): ReceiptFrame => ({
  type: "receipt",
  conversation_id: C,
  id: ID,
  seq,
  created_at: AT,
  expires_at: AT,
  in_order,
});

describe("planFrame()", () => {
  test("makes the event of a receipt that stands for it [MSG-3]", () => {
    const { intake, step } = setUp();
    planFrame(intake, receipt(5, true), step);
    expect(step.entries).toEqual([
      {
        ...{ type: "message", conversation_id: C, seq: 5, id: ID, sender_id: ME, created_at: AT, expires_at: AT },
        ...{ encrypted_content: "x" },
      } as EventFrame,
    ]);
    expect([step.settled, [...step.cursors]]).toEqual([[ID], [[C, 5]]]);
    expect(step.receipts).toMatchObject([{ id: ID, seq: 5, createdAt: Date.parse(AT) }]);
  });

  test("waits for the event where the receipt does not stand for it [MSG-3]", () => {
    const { intake, step } = setUp();
    planFrame(intake, receipt(9, false), step);
    expect([step.entries, step.settled, [...step.cursors]]).toEqual([[], [ID], []]);
  });

  test("has the event sent again where the receipt's message is not known any more", () => {
    const { intake } = setUp();
    planFrame(intake, receipt(5, true), emptyStep());
    intake.sync.restart();
    const step = emptyStep();
    planFrame(intake, receipt(6, true), step);
    expect([step.entries, intake.sync.repairs(false).resume]).toEqual([[], true]);
  });

  test("takes an own event for the receipt that was lost with a socket", () => {
    const { intake, step } = setUp();
    planFrame(
      intake,
      { type: "tombstone", conversation_id: C, seq: 5, id: ID, sender_id: ME, created_at: AT, reason: "expired" },
      step,
    );
    expect(step.receipts).toMatchObject([{ id: ID, seq: 5 }]);
    expect([step.settled, intake.outbox.size]).toEqual([[ID], 0]);
  });

  test("keeps the place of an entry whose type it does not know, and goes on [CHG-6]", () => {
    const { intake, step } = setUp();
    const other = "00000000-0000-7000-8000-000000000002" as AccountId;
    const entry = { conversation_id: C, sender_id: other, created_at: AT };
    planFrame(intake, { ...entry, type: "of the future", seq: 5, id: ID, what: 1 } as never, step);
    planFrame(intake, { ...entry, type: "message", seq: 6, id: C, message_type: "text" } as never, step);
    expect([...step.cursors]).toEqual([[C, 6]]);
    expect(step.entries).toHaveLength(2);
    expect(intake.sync.repairs(false)).toEqual({ resume: false, pages: [] });
  });

  test("takes nobody else's event for its own receipt", () => {
    const { intake, step } = setUp();
    const other = "00000000-0000-7000-8000-000000000002" as AccountId;
    planFrame(
      intake,
      { type: "tombstone", conversation_id: C, seq: 5, id: ID, sender_id: other, created_at: AT, reason: "deleted" },
      step,
    );
    expect([step.receipts, intake.outbox.size]).toEqual([[], 1]);
  });
});
