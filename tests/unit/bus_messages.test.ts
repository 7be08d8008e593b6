/** Messages between nodes: what is written is read again, and what was cut or changed is not believed. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type AccountId, type ConversationId, type SessionId, uuidv7 } from "../../src/protocol/mod.ts";
import type { Hint } from "../../src/realtime/bus.ts";
import { decodeBusMessage, encodeBusMessage, type HintsMessage } from "../../src/realtime/bus_messages.ts";

const to = [uuidv7() as AccountId];
const conversationId = uuidv7() as ConversationId;
const event = (seq: number, text: string): Hint => ({ type: "event", to, conversationId, seq, at: 1_000 + seq, text });
const message = (hints: readonly Hint[]): HintsMessage => ({ from: "one", number: 7, hints });

test("decodeBusMessage() gives every hint back, with the text that was its own", () => {
  const sent = message([
    event(1, '{"type":"message","content":"first"}'),
    { type: "doorbell", to, conversationId, seq: 2, members: true },
    { type: "signal", to, text: "{}" },
    event(3, 'ä\n\u{1F600} \\ " and a second line'),
    { type: "end_sessions", to, sessionIds: [uuidv7() as SessionId] },
    event(4, ""),
  ]);
  expect(decodeBusMessage(encodeBusMessage(sent))).toEqual(sent);
  const beat = { from: "one", sent: { two: 3 }, last: true } as const;
  expect(decodeBusMessage(encodeBusMessage(beat))).toEqual(beat);
});

test("decodeBusMessage() gives back any texts in their order", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" })), (texts) => {
      const sent = message(texts.map((text, i) => event(i + 1, text)));
      expect(decodeBusMessage(encodeBusMessage(sent))).toEqual(sent);
    }),
  );
});

test("decodeBusMessage() believes nothing that was cut, lengthened or is of another make", () => {
  const text = encodeBusMessage(message([event(1, "some text"), event(2, "more")]));
  for (const other of ["", "no JSON", "{}", "[]", "null", text.slice(0, -1), `${text}x`, text.slice(0, 20)]) {
    expect(decodeBusMessage(other)).toBeNull();
  }
});
