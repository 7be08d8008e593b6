/** What every {@link ClientStore} has to keep. An app runs it on its own store. */
import { describe, expect, test } from "bun:test";
import type { ClientEntry, ClientStore, OutgoingMessage } from "../../src/client/mod.ts";
import type { AccountId, ConversationId, MessageId, SessionId } from "../../src/protocol/mod.ts";

const C = "00000000-0000-7000-8000-00000000000c" as ConversationId;
const D = "00000000-0000-7000-8000-00000000000d" as ConversationId;
const ME = "00000000-0000-7000-8000-000000000001" as AccountId;

function id(n: number): MessageId {
  return `00000000-0000-7000-8000-${String(n).padStart(12, "0")}` as MessageId;
}

function message(seq: number, n = seq, conversationId = C): ClientEntry {
  const base = {
    conversation_id: conversationId,
    seq,
    id: id(n),
    sender_id: ME,
    created_at: "2026-01-01T00:00:00.000Z",
  };
  return { ...base, type: "message", message_type: "text", encrypted_content: `text ${n}` };
}

function outgoing(n: number, order = n): OutgoingMessage {
  return { id: id(n), conversationId: C, frame: `{"n":${n}}`, order, idBound: false };
}

/** Runs the suite on what `open` gives: a fresh, empty store each time. */
export function describeStore(name: string, open: () => Promise<ClientStore>): void {
  describe(`${name} as a ClientStore`, () => {
    const seqs = async (store: ClientStore, after = 0, limit = 100) =>
      (await store.entries(after, limit)).map(({ entry }) => ("seq" in entry ? entry.seq : entry.type));

    test("begins empty", async () => {
      const store = await open();
      const state = await store.load();
      expect([[...state.cursors], state.outgoing, state.handled, state.hidden]).toEqual([[], [], 0, 0]);
      expect(await store.entries(0, 10)).toEqual([]);
      expect(await store.trustedKeys(ME)).toEqual([]);
    });

    test("gives entries in the order they came, page by page", async () => {
      const store = await open();
      await store.commit({ entries: [message(1), message(2)] });
      await store.commit({ entries: [message(3), message(1, 9, D)] });
      expect(await seqs(store)).toEqual([1, 2, 3, 1]);
      const first = await store.entries(0, 3);
      expect(first).toHaveLength(3);
      expect(await seqs(store, first.at(-1)?.place ?? 0)).toEqual([1]);
      const places = (await store.entries(0, 100)).map(({ place }) => place);
      expect(places).toEqual([...places].sort((a, b) => a - b));
      expect(new Set(places).size).toBe(4);
    });

    test("gives entries back as they were", async () => {
      const store = await open();
      const truncated: ClientEntry = { type: "truncated", conversation_id: C, truncated_before: 7 };
      await store.commit({ entries: [message(1), truncated] });
      expect((await store.entries(0, 10)).map(({ entry }) => entry)).toEqual([message(1), truncated]);
    });

    test("leaves out an edit whose id its conversation has: repeated, it would undo a later one", async () => {
      const store = await open();
      const edit = (seq: number, n: number) =>
        ({ ...message(seq, n), type: "edit", message_id: id(1), message_seq: 1 }) as ClientEntry;
      await store.commit({
        entries: [message(1), edit(2, 12), edit(3, 13), edit(4, 12), edit(5, 15)],
        cursors: [[C, 5]],
      });
      expect(await seqs(store)).toEqual([1, 2, 3, 5]);
      expect((await store.load()).cursors.get(C)).toBe(5);
    });

    test("leaves out a message whose id its conversation has, and keeps it in another one", async () => {
      const store = await open();
      await store.commit({ entries: [message(1, 1)], cursors: [[C, 1]] });
      await store.commit({ entries: [message(2, 1), message(3, 1, D), message(3, 3)], cursors: [[C, 3]] });
      expect(await seqs(store)).toEqual([1, 3, 3]);
      expect((await store.load()).cursors.get(C)).toBe(3);
    });

    test("leaves out what a device was handed before, and keeps what others gave the same id [KEX-3]", async () => {
      const store = await open();
      const handed = (seq: number, n: number, from = ME): ClientEntry => ({
        ...{ type: "key_exchange", seq, id: id(n), from_user_id: from, payload: "QUJD" },
        ...{ from_session_id: id(8) as string as SessionId, created_at: "2026-01-01T00:00:00.000Z" },
      });
      await store.commit({ entries: [handed(1, 1), handed(2, 2)] });
      await store.commit({ entries: [handed(1, 1), handed(3, 1, id(7) as string as AccountId), message(1, 1)] });
      expect(await seqs(store)).toEqual([1, 2, 3, 1]);
      expect((await store.entries(0, 1))[0]?.entry).toEqual(handed(1, 1));
    });

    test("keeps the last cursor of each conversation and the place that was handled", async () => {
      const store = await open();
      await store.commit({
        cursors: [
          [C, 4],
          [D, 1],
        ],
      });
      await store.commit({ cursors: [[C, 5]], handled: 17, hidden: 3 });
      await store.commit({ settled: [] });
      const state = await store.load();
      expect(new Map(state.cursors)).toEqual(
        new Map([
          [C, 5],
          [D, 1],
        ]),
      );
      expect([state.handled, state.hidden]).toEqual([17, 3]);
    });

    test("keeps outgoing messages in their order until they are settled, byte for byte", async () => {
      const store = await open();
      await store.commit({ outgoing: [outgoing(2)] });
      await store.commit({ outgoing: [outgoing(1), outgoing(3)] });
      await store.commit({ settled: [id(2)] });
      expect((await store.load()).outgoing).toEqual([outgoing(1), outgoing(3)]);
    });

    test("puts a message with a new id into the old one's place, in one commit", async () => {
      const store = await open();
      await store.commit({ outgoing: [outgoing(1), outgoing(2)] });
      await store.commit({ settled: [id(1)], outgoing: [outgoing(7, 1)] });
      expect((await store.load()).outgoing.map((one) => one.id)).toEqual([id(7), id(2)]);
    });

    test("keeps every accepted key of an account, the last accepted one last", async () => {
      const store = await open();
      await store.commit({ trusted: { accountId: ME, publicKey: "one" } });
      await store.commit({ trusted: { accountId: ME, publicKey: "two" } });
      await store.commit({ trusted: { accountId: ME, publicKey: "one" } });
      expect(await store.trustedKeys(ME)).toEqual(["two", "one"]);
    });
  });
}
