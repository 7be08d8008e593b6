import { expect, test } from "bun:test";
import { MemoryStore } from "../../src/client/mod.ts";
import type { AccountId, ConversationId, EventFrame, MessageId } from "../../src/protocol/mod.ts";
import { describeStore } from "./store_contract.ts";

describeStore("MemoryStore", () => Promise.resolve(new MemoryStore()));

test("MemoryStore keeps the newest entries and no more than it may", async () => {
  const store = new MemoryStore({ keepEntries: 100 });
  const conversation = "00000000-0000-7000-8000-00000000000c" as ConversationId;
  for (let seq = 1; seq <= 1_000; seq++) {
    const id = `00000000-0000-7000-8000-${String(seq).padStart(12, "0")}` as MessageId;
    const sender = "00000000-0000-7000-8000-000000000001" as AccountId;
    const event: EventFrame = {
      type: "message",
      conversation_id: conversation,
      seq,
      id,
      sender_id: sender,
      created_at: "",
      message_type: "text",
    };
    await store.commit({ entries: [event] });
  }
  const kept = await store.entries(0, 10_000);
  expect(kept.length).toBeGreaterThanOrEqual(100);
  expect(kept.length).toBeLessThanOrEqual(125);
  expect(kept.at(-1)?.place).toBe(1_000);
  // A place that is gone leads to the oldest entry that is left, and one within to the next one.
  expect((await store.entries(3, 1))[0]?.place).toBe(kept[0]?.place ?? -1);
  expect((await store.entries(990, 5)).map(({ place }) => place)).toEqual([991, 992, 993, 994, 995]);
});
