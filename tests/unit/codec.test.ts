/** Reading and writing frames: whatever comes, decoding gives a frame or a fault and never throws. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  type AccountId,
  ClientFrame,
  type ConversationId,
  ERRORS,
  jsonCodec,
  LIMITS,
  type LogEntry,
  newMessageId,
  parseJson,
  timeOfId,
  uuidv7,
} from "../../src/protocol/mod.ts";
import { workedMs } from "../support/wait.ts";

const conversationId = uuidv7() as ConversationId;

const id = fc.constant(null).map(() => newMessageId());
const ref = fc.option(fc.oneof(fc.string({ maxLength: 64 }), fc.maxSafeInteger()), { nil: undefined });
const seq = fc.maxSafeNat();
const text = fc.string({ unit: "binary", minLength: 1, maxLength: 200 });
const place = { conversation_id: fc.constant(conversationId) };

/** Every sort of frame that a client may send. */
const anyFrame = fc.oneof(
  fc.record(
    {
      ...{
        type: fc.constant("message"),
        ref,
        id,
        ...place,
        content: text,
        encrypted_content: text,
        encryption_iv: text,
        reply_to: id,
      },
      message_type: fc.constantFrom("text", "image", "file"),
      expires_in: fc.integer({ min: 1, max: LIMITS.expirySeconds }),
    },
    { requiredKeys: ["type", "id", "conversation_id", "message_type"] },
  ),
  fc.record({ type: fc.constantFrom("message_ack", "message_read"), ref, ...place, seq }),
  fc.record({ type: fc.constantFrom("typing_start", "typing_stop"), ref, ...place }),
  fc.record({ type: fc.constant("ping"), ref }),
  fc.record({ type: fc.constant("resume"), ref, cursors: fc.dictionary(id, seq, { maxKeys: 5 }) }),
  fc.record({ type: fc.constant("authenticate"), ref, token: text }),
);

function faultOf(given: string): string {
  const decoded = jsonCodec.decode(given);
  return "fault" in decoded ? decoded.fault.code : "none";
}

describe("decode", () => {
  test("gives back every frame that a client may send", () => {
    fc.assert(
      fc.property(anyFrame, (frame) => {
        const plain = JSON.parse(JSON.stringify(frame));
        expect(jsonCodec.decode(JSON.stringify(frame))).toEqual({ frame: plain });
      }),
      { numRuns: 300 },
    );
  });

  test("never throws and always names a code, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
          fc.json(),
          fc.string().map((s) => `{"type":"${s}`),
        ),
        (given) => {
          const decoded = jsonCodec.decode(given);
          if ("fault" in decoded) expect(Object.keys(ERRORS)).toContain(decoded.fault.code);
          else expect(ClientFrame.safeParse(decoded.frame).success).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("never throws on a frame of which something was changed", () => {
    const change = fc.record({
      frame: anyFrame,
      key: fc.constantFrom("type", "id", "ref", "seq", "cursors", "conversation_id", "content", "token"),
      value: fc.jsonValue({ maxDepth: 3 }),
    });
    fc.assert(
      fc.property(change, ({ frame, key, value }) => {
        const decoded = jsonCodec.decode(JSON.stringify({ ...frame, [key]: value }));
        if ("fault" in decoded)
          expect(["bad_frame", "unknown_frame", "payload_too_large", "bad_json"]).toContain(decoded.fault.code);
      }),
      { numRuns: 500 },
    );
  });

  test("keeps ref and id in the fault where they can be read", () => {
    const message = newMessageId();
    const decoded = jsonCodec.decode(JSON.stringify({ type: "message", ref: 5, id: message, conversation_id: 1 }));
    expect(decoded).toMatchObject({
      fault: { code: "bad_frame", ref: 5, id: message, details: { fields: { conversation_id: expect.any(String) } } },
    });
    expect(jsonCodec.decode(`{"type":"ping","ref":"${"x".repeat(65)}"}`)).toEqual({
      fault: { code: "bad_frame", details: { fields: expect.any(Object) } },
    });
  });

  test("drops fields that the protocol does not know", () => {
    expect(jsonCodec.decode('{"type":"ping","ref":1,"constructor":1,"extra":{"deep":[]}}')).toEqual({
      frame: { type: "ping", ref: 1 },
    });
  });

  test("names at most ten fields, none of them long, and never a value", () => {
    const cursors = Object.fromEntries(
      Array.from({ length: 50 }, (_, i) => [`wrong${i}`.repeat(50), "a-secret-value"]),
    );
    const decoded = jsonCodec.decode(JSON.stringify({ type: "resume", cursors }));
    const { fields } =
      "fault" in decoded ? (decoded.fault.details as { fields: Record<string, string> }) : { fields: {} };
    expect(Object.keys(fields).length).toBeGreaterThan(0);
    expect(Object.keys(fields).length).toBeLessThanOrEqual(10);
    for (const name of Object.keys(fields)) expect(name.length).toBeLessThanOrEqual(80);
    expect(JSON.stringify(decoded)).not.toContain("a-secret-value");
  });

  test("takes a thousand cursors and refuses one more", () => {
    const cursors = (count: number) => Object.fromEntries(Array.from({ length: count }, () => [uuidv7(), 1]));
    expect(faultOf(JSON.stringify({ type: "resume", cursors: cursors(LIMITS.resumeCursors) }))).toBe("none");
    expect(faultOf(JSON.stringify({ type: "resume", cursors: cursors(LIMITS.resumeCursors + 1) }))).toBe("bad_frame");
  });
});

describe("parseJson", () => {
  test("agrees with JSON.parse on what is shallow and plain", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 20 }), (given) => {
        if (given.includes("__proto__")) return;
        expect(parseJson(given)).toEqual(JSON.parse(given));
      }),
      { numRuns: 500 },
    );
  });

  test("counts depth outside of strings only, whatever is escaped within them", () => {
    const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    expect(parseJson(deep(LIMITS.jsonDepth))).toBeDefined();
    expect(parseJson(deep(LIMITS.jsonDepth + 1))).toBeUndefined();
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("[", "{", '"', "\\", "]", "}", "a"), maxLength: 120 }), (value) => {
        expect(parseJson(JSON.stringify([value]))).toEqual([value]);
        expect(parseJson(`[${JSON.stringify(value)},${deep(LIMITS.jsonDepth)}]`)).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  test("reads a million brackets in little time", () => {
    const started = workedMs();
    for (const bomb of [
      "[".repeat(1_000_000),
      '{"a":'.repeat(200_000),
      `"${"\\".repeat(131_000)}`,
      '"\\'.repeat(60_000),
    ]) {
      expect(parseJson(bomb)).toBeUndefined();
    }
    expect(workedMs() - started).toBeLessThan(5_000);
  });

  test("refuses a key __proto__ at any depth, and takes the text", () => {
    for (const key of ["__proto__", "\\u005f_proto__", "_\\u005Fprot\\u006f__"]) {
      for (const value of [`{"${key}":1}`, `[[{"a":{"${key}":{}}}]]`, `{"${key}"\n:1}`])
        expect(parseJson(value)).toBeUndefined();
    }
    expect(parseJson('["__proto__","\\u005f"]')).toEqual(["__proto__", "_"]);
  });
});

describe("encode", () => {
  test("writes an entry as one event frame, with its end only where it has one", () => {
    const entry: LogEntry = {
      ...{ kind: "message", id: newMessageId(), conversationId, seq: 7, senderId: uuidv7() as AccountId },
      ...{
        createdAt: 1_700_000_000_000,
        expiresAt: null,
        content: { message_type: "text", encrypted_content: "Y2lwaGVy" },
      },
    };
    expect(JSON.parse(jsonCodec.encodeEvent(entry))).toEqual({
      ...{ type: "message", conversation_id: conversationId, seq: 7, id: entry.id, sender_id: entry.senderId },
      ...{ created_at: "2023-11-14T22:13:20.000Z", message_type: "text", encrypted_content: "Y2lwaGVy" },
    });
    expect(JSON.parse(jsonCodec.encodeEvent({ ...entry, expiresAt: 1_700_000_001_000 })).expires_at).toBe(
      "2023-11-14T22:13:21.000Z",
    );
    const tombstone: LogEntry = { ...entry, kind: "tombstone", content: { reason: "expired" } };
    expect(JSON.parse(jsonCodec.encodeEvent(tombstone))).toMatchObject({
      type: "tombstone",
      reason: "expired",
      seq: 7,
    });
  });

  test("ids are UUIDv7 of their time, and sort by it", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 2 }), (time) => {
        expect(timeOfId(newMessageId(time))).toBe(time);
        expect(newMessageId(time) < newMessageId(time + 1)).toBe(true);
        expect(newMessageId(time)).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });
});
