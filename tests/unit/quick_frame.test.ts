/** Frames checked by hand against the schemas: what passes is the same, and what does not is left to them. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ClientFrame, jsonCodec, LIMITS, newMessageId, parseJson, uuidv7 } from "../../src/protocol/mod.ts";
import { quickFrame } from "../../src/protocol/quick_frame.ts";

const id = fc.constant(null).map(() => newMessageId());
const conversation = fc.constant(null).map(() => uuidv7());
const someText = fc.string({ unit: "binary", minLength: 1, maxLength: 80 });
const ref = fc.oneof(fc.string({ unit: "binary", maxLength: 64 }), fc.maxSafeInteger());

const message = fc.record(
  {
    ...{ type: fc.constant("message"), id, conversation_id: conversation, ref },
    ...{ content: someText, encrypted_content: someText, encryption_iv: someText, reply_to: id },
    message_type: fc.constantFrom("text", "image", "file"),
    expires_in: fc.integer({ min: 1, max: LIMITS.expirySeconds }),
  },
  { requiredKeys: ["type", "id", "conversation_id"] },
);
const ack = fc.record(
  { type: fc.constant("message_ack"), conversation_id: conversation, ref, seq: fc.maxSafeNat() },
  { requiredKeys: ["type", "conversation_id", "seq"] },
);
const frame = fc.oneof(message, ack);

/** Texts at both sides of every limit, by UTF-16 units and by code points. */
const limits = [0, 64, 256, LIMITS.contentChars];
const atALimit = fc
  .tuple(fc.constantFrom(...limits), fc.integer({ min: -2, max: 2 }), fc.constantFrom("a", "\u{1F600}", "\ud800"))
  .map(([limit, off, unit]) => unit.repeat(Math.max(0, limit + off)));
const wrong = fc.oneof(
  ...[fc.jsonValue({ maxDepth: 2 }), atALimit, id, fc.constant(uuidv7().toUpperCase()), fc.constant(`${uuidv7()}\n`)],
  // Version 4, which is right for a conversation and wrong for a message.
  fc.constant(crypto.randomUUID()),
  fc.constantFrom(-1, 0, 0.5, 1e300, LIMITS.expirySeconds, LIMITS.expirySeconds + 1, Number.MAX_SAFE_INTEGER + 1),
);
const field = fc.constantFrom(
  ...["type", "ref", "id", "conversation_id", "message_type", "content", "encrypted_content", "encryption_iv"],
  ...["reply_to", "expires_in", "seq", "constructor", "toString", "extra", "0"],
);

/** What the schemas alone say of a text. */
function judged(text: string) {
  const { success, data } = ClientFrame.safeParse(parseJson(text));
  return success ? { frame: data } : "fault";
}

function decoded(text: string) {
  const answer = jsonCodec.decode(text);
  return "fault" in answer ? "fault" : answer;
}

describe("quickFrame()", () => {
  test("takes every message and acknowledgement as the schemas do", () => {
    fc.assert(
      fc.property(frame, (given) => {
        const text = JSON.stringify(given);
        const quick = quickFrame(JSON.parse(text));
        expect(quick).toBeDefined();
        expect({ frame: quick }).toStrictEqual(judged(text) as { frame: ClientFrame });
      }),
      { numRuns: 500 },
    );
  });

  test("agrees with the schemas on frames of which something was changed, added or left out", () => {
    const changes = fc.array(fc.tuple(field, fc.oneof(wrong, fc.constant(undefined))), { minLength: 1, maxLength: 2 });
    fc.assert(
      fc.property(frame, changes, (given, changed) => {
        const text = JSON.stringify({ ...given, ...Object.fromEntries(changed) });
        expect(decoded(text)).toStrictEqual(judged(text));
      }),
      { numRuns: 3_000 },
    );
  });

  test("agrees with the schemas at both sides of every limit of a text", () => {
    for (const key of ["ref", "content", "encrypted_content", "encryption_iv", "message_type"]) {
      fc.assert(
        fc.property(message, atALimit, (given, value) => {
          const text = JSON.stringify({ ...given, [key]: value });
          expect(decoded(text)).toStrictEqual(judged(text));
        }),
        { numRuns: 60 },
      );
    }
  });
});
