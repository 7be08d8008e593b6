import { describe, expect, test } from "bun:test";
import { EntryReader } from "../../src/client/entry_reader.ts";
import { type ClientEntry, MemoryStore } from "../../src/client/mod.ts";
import type { ConversationId } from "../../src/protocol/mod.ts";

const C = "00000000-0000-7000-8000-00000000000c" as ConversationId;
const entries = (count: number, from = 1): ClientEntry[] =>
  Array.from({ length: count }, (_, i) => ({ type: "truncated", conversation_id: C, truncated_before: from + i }));

async function take(reader: EntryReader, count: number): Promise<number[]> {
  const taken: number[] = [];
  for await (const entry of reader.entries()) {
    if (entry.type === "truncated") taken.push(entry.truncated_before);
    if (taken.length === count) break;
  }
  return taken;
}

describe("EntryReader", () => {
  test("gives everything once, whether it was there before or comes later", async () => {
    const store = new MemoryStore();
    await store.commit({ entries: entries(100) });
    const reader = new EntryReader(store, 0, () => {});
    const first = await take(reader, 70);
    const rest = take(reader, 50);
    await store.commit({ entries: entries(20, 101) });
    reader.added(20);
    expect([...first, ...(await rest)]).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
    expect((await store.load()).handled).toBe(120);
  });

  test("gives again what the loop was busy with when the process ended", async () => {
    const store = new MemoryStore();
    await store.commit({ entries: entries(3) });
    const loop = new EntryReader(store, 0, () => {}).entries();
    await loop.next();
    await loop.next();
    // No return(): the process is gone here.
    const { handled } = await store.load();
    expect(await take(new EntryReader(store, handled, () => {}), 3)).toEqual([1, 2, 3]);
  });

  test("is behind while more than a thousand entries wait for a reader, and tells when it is not", async () => {
    const store = new MemoryStore();
    let relieved = 0;
    const reader = new EntryReader(store, 0, () => relieved++);
    await store.commit({ entries: entries(1_100) });
    reader.added(1_100);
    expect(reader.isBehind).toBe(false); // nobody reads: the app asks for nothing
    const loop = reader.entries();
    await loop.next();
    expect(reader.isBehind).toBe(true);
    for (let i = 1; i < 1_100; i++) await loop.next();
    expect(reader.isBehind).toBe(false);
    expect(relieved).toBe(1);
    await loop.return();
  });

  test("ends after everything was given, or throws then", async () => {
    const store = new MemoryStore();
    await store.commit({ entries: entries(2) });
    const quiet = new EntryReader(store, 0, () => {});
    quiet.end();
    expect(await take(quiet, 10)).toEqual([1, 2]);
    const loud = new EntryReader(store, 0, () => {});
    loud.end(new Error("the session has ended"));
    await expect(take(loud, 10)).rejects.toThrow("the session has ended");
  });

  test("takes one loop at a time, and another after it", async () => {
    const store = new MemoryStore();
    await store.commit({ entries: entries(2) });
    const reader = new EntryReader(store, 0, () => {});
    const loop = reader.entries();
    await loop.next();
    await expect(reader.entries().next()).rejects.toThrow("End the other loop first");
    await loop.return();
    expect(await take(reader, 1)).toEqual([2]);
  });
});
