/** Telling many of several events: everybody of all of them, in order, and several in one message. */
import { expect, test } from "bun:test";
import { type AccountId, type ConversationId, uuidv7 } from "../../src/protocol/mod.ts";
import { type EventHint, FanOut } from "../../src/realtime/fan_out.ts";
import { waitUntil } from "../support/wait.ts";

const id = uuidv7() as ConversationId;

function people(count: number): AccountId[] {
  return Array.from({ length: count }, () => uuidv7() as AccountId);
}

function event(to: readonly AccountId[], seq: number, text = ""): EventHint {
  return { type: "event", to, conversationId: id, seq, at: 0, text };
}

/** A fan-out, what each account was told, and how many messages that took. */
function listen() {
  const told = new Map<AccountId, number[]>();
  const listening = { told, messages: 0, most: 0 };
  const fanOut = new FanOut((account, { events }) => {
    listening.messages++;
    listening.most = Math.max(listening.most, events.length);
    told.set(account, [...(told.get(account) ?? []), ...events.map(({ seq }) => seq)]);
  });
  return { fanOut, listening };
}

test("FanOut tells everybody all that was said in one step in one message", async () => {
  const to = people(100);
  const { fanOut, listening } = listen();
  for (let seq = 1; seq <= 16; seq++) fanOut.add(event(to, seq), to.length);
  await waitUntil("all are told", () => listening.told.size === 100);
  expect(listening.messages).toBe(100);
  for (const seqs of listening.told.values()) expect(seqs).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
});

test("FanOut keeps the order where events come while others are being told, and lists are equal, or not", async () => {
  const to = people(5_000);
  const { fanOut, listening } = listen();
  const count = 200;
  for (let seq = 1; seq <= count; seq++) {
    const list = seq % 50 === 0 ? to.slice(0, -1) : seq % 3 === 0 ? [...to] : to;
    fanOut.add(event(list, seq), list.length);
    if (seq % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  const [first, last] = [to[0] as AccountId, to.at(-1) as AccountId];
  await waitUntil("all are told", () => listening.told.get(last)?.at(-1) === count - 1);
  const all = Array.from({ length: count }, (_, i) => i + 1);
  await waitUntil("the first is told", () => listening.told.get(first)?.at(-1) === count);
  expect(listening.told.get(first)).toEqual(all);
  expect(listening.told.get(last)).toEqual(all.filter((seq) => seq % 50 !== 0));
  expect(listening.most).toBeLessThanOrEqual(64);
});

test("FanOut puts no more into one message than a mailbox takes, and lets others have their turn", async () => {
  const to = people(1_000);
  const { fanOut, listening } = listen();
  const text = "x".repeat(30 * 1024);
  for (let seq = 1; seq <= 9; seq++) fanOut.add(event(to, seq, text), to.length);
  await new Promise((resolve) => queueMicrotask(() => resolve(null)));
  expect(listening.messages).toBeLessThanOrEqual(1_024); // 2,048 events; the rest waits for the next round
  await waitUntil("all are told", () => listening.told.get(to.at(-1) as AccountId)?.length === 9);
  expect(listening.most).toBe(2);
});
