import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Sync } from "../../src/client/sync.ts";
import {
  type AccountId,
  type ConversationId,
  type EventFrame,
  LIMITS,
  type MessageId,
} from "../../src/protocol/mod.ts";

const C = "00000000-0000-7000-8000-00000000000c" as ConversationId;
const ME = "00000000-0000-7000-8000-000000000001" as AccountId;

function event(seq: number, conversationId = C): EventFrame {
  const id = `00000000-0000-7000-8000-${String(seq).padStart(12, "0")}` as MessageId;
  return {
    type: "message",
    conversation_id: conversationId,
    seq,
    id,
    sender_id: ME,
    created_at: "",
    message_type: "text",
  };
}

const at = (seq: number) => new Sync(new Map([[C, seq]]));

describe("Sync", () => {
  test("starts a conversation that it does not know at its first entry [RES-6]", () => {
    const sync = new Sync(new Map());
    expect(sync.take(event(7), ME)).toBe("next");
    expect(sync.take(event(8), ME)).toBe("next");
    expect(sync.cursor(C)).toBe(8);
  });

  test("takes only the next, leaves out what it has [RES-2]", () => {
    const sync = at(5);
    expect(["duplicate", "next", "duplicate", "gap"]).toEqual([5, 6, 6, 8].map((seq) => sync.take(event(seq), ME)));
    expect(sync.cursor(C)).toBe(6);
  });

  test("asks for a gap by resume once, then by pages, then no more [RES-3]", () => {
    const sync = at(5);
    sync.take(event(8), ME);
    expect(sync.repairs(false)).toEqual({ resume: true, pages: [] });
    sync.take(event(9), ME);
    expect(sync.repairs(false)).toEqual({ resume: false, pages: [] });
    expect(sync.repairs(true)).toEqual({ resume: false, pages: [{ conversationId: C, after: 5 }] });
    expect(sync.repairs(true)).toEqual({ resume: false, pages: [] });
    // The server's own word: between 5 and 8 there is nothing for us.
    expect(sync.takePage([event(8), event(9)]).map(({ seq }) => seq)).toEqual([8, 9]);
    expect(sync.repaired(C)).toBe(true);
    expect(sync.take(event(10), ME)).toBe("next");
  });

  test("says so when an entry beyond the pages was left out meanwhile", () => {
    const sync = at(5);
    sync.take(event(8), ME);
    expect(sync.takePage([event(6), event(7)])).toHaveLength(2);
    expect(sync.repaired(C)).toBe(false);
  });

  test("forgets a gap that resume has closed", () => {
    const sync = at(5);
    sync.take(event(7), ME);
    sync.repairs(false);
    sync.take(event(6), ME);
    sync.take(event(7), ME);
    expect(sync.repairs(true)).toEqual({ resume: false, pages: [] });
  });

  test("takes the return to a conversation for no gap [RES-7]", () => {
    const sync = at(5);
    const { message_type: _, ...base } = event(9) as EventFrame & { message_type: string };
    expect(sync.take({ ...base, type: "membership", change: "joined", user_ids: [ME] } as EventFrame, ME)).toBe("next");
    expect(sync.cursor(C)).toBe(9);
  });

  test("acknowledges what is stored and was sent on this socket, each once [ACK-1, ACK-2]", () => {
    const sync = at(5);
    sync.take(event(6), ME);
    expect(sync.acknowledge()).toEqual([]);
    sync.stored(C, 6);
    expect(sync.acknowledge()).toEqual([{ conversationId: C, seq: 6 }]);
    expect(sync.acknowledge()).toEqual([]);
    sync.restart();
    expect(sync.acknowledge()).toEqual([]);
    // The server did not keep the acknowledgement: it sends 5 and 6 again, and has not yet sent 6.
    sync.take(event(5), ME);
    expect(sync.acknowledge()).toEqual([{ conversationId: C, seq: 5 }]);
    sync.take(event(6), ME);
    expect(sync.acknowledge()).toEqual([{ conversationId: C, seq: 6 }]);
  });

  test("acknowledges again what the server sends again on the same socket", () => {
    const sync = at(5);
    sync.take(event(6), ME);
    sync.stored(C, 6);
    expect(sync.acknowledge()).toEqual([{ conversationId: C, seq: 6 }]);
    // A resume from 5 crossed the acknowledgement, which the server has refused as ack_ahead.
    expect(sync.take(event(6), ME)).toBe("duplicate");
    expect(sync.acknowledge()).toEqual([{ conversationId: C, seq: 6 }]);
  });

  test("skips what will not come, and does not go back [RES-4]", () => {
    const sync = at(5);
    expect(sync.skip(C, 20)).toBe(true);
    expect(sync.skip(C, 10)).toBe(false);
    expect(sync.take(event(21), ME)).toBe("next");
  });

  test("has an entry sent again whose receipt came without its message [MSG-3]", () => {
    const sync = at(5);
    sync.miss(C, 6);
    expect(sync.repairs(false).resume).toBe(true);
    expect(sync.take(event(6), ME)).toBe("next");
    sync.miss(C, 6);
    expect(sync.repairs(false).resume).toBe(false);
  });

  test("resumes with the cursors that moved last, as many as a frame holds", () => {
    const many = LIMITS.resumeCursors + 10;
    const id = (i: number) => `00000000-0000-7000-8000-${String(i).padStart(12, "0")}` as ConversationId;
    const sync = new Sync(new Map(Array.from({ length: many }, (_, i) => [id(i), 1])));
    sync.take(event(2, id(0)), ME);
    const cursors = sync.resumeCursors();
    expect(Object.keys(cursors)).toHaveLength(LIMITS.resumeCursors);
    expect(cursors[id(0)]).toBe(2);
    expect(cursors[id(1)]).toBeUndefined();
  });

  test("takes every entry once and in order, whatever is doubled, skipped or begun again", () => {
    const action = fc.oneof(
      { weight: 6, arbitrary: fc.constant("send" as const) },
      { weight: 1, arbitrary: fc.constantFrom("skip", "repeat", "socket", "acknowledge") },
    );
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
        const sync = at(0);
        const taken: number[] = [];
        let sent = 0; // the server's cursor for the socket
        let acknowledged = 0;
        const deliver = (seq: number) => {
          if (sync.take(event(seq), ME) === "next") {
            taken.push(seq);
            sync.stored(C, seq);
          }
          if (sync.repairs(false).resume) sent = sync.resumeCursors()[C] ?? 0;
        };
        for (const act of actions) {
          if (act === "send") deliver(++sent);
          else if (act === "skip") sent++;
          else if (act === "repeat") sent = Math.max(acknowledged, sent - 3);
          else if (act === "socket") {
            sync.restart();
            sent = acknowledged;
          } else {
            for (const { seq } of sync.acknowledge()) {
              expect(seq).toBeLessThanOrEqual(taken.length);
              acknowledged = Math.max(acknowledged, seq);
            }
          }
        }
        expect(taken).toEqual(taken.map((_, i) => i + 1));
      }),
      { numRuns: 500 },
    );
  });
});
