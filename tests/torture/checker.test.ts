/** The checker of the torture test finds what is broken, and nothing in what is whole. */
import { expect, test } from "bun:test";
import { type Answer, check, type History, type Stored } from "./checker.ts";

const event = (seq: number, changes: Partial<Stored> = {}): Stored => ({
  ...{ conversation: "c", seq, id: `id${seq}`, sender: "ann", kind: seq === 1 ? 2 : 1, at: seq * 10 },
  ...{ digest: `d${seq}`, counts: seq > 1, counted: seq - 1 },
  ...changes,
});

const answer = (seq: number, changes: Partial<Answer> = {}): Answer => ({
  ...{ process: 1, conversation: "c", sender: "ann", id: `id${seq}`, digest: `d${seq}` },
  ...{ status: "stored", seq, at: seq * 10, order: seq },
  ...changes,
});

const whole: History = {
  answers: [answer(2), answer(3), answer(4), answer(9, { status: "not_member", seq: null, at: null })],
  stored: [event(1), event(2), event(3), event(4)],
  intervals: [{ conversation: "c", account: "ann", joined_seq: 1, left_seq: null }],
  heads: [{ id: "c", last_seq: 4, counted: 3, members_version: 1 }],
};

test("check() finds nothing in a whole history", () => {
  expect(check(whole)).toEqual([]);
});

const [, , , refused] = whole.answers as [Answer, Answer, Answer, Answer];
const broken: Record<string, Partial<History>> = {
  "numbers are not dense": { stored: [event(1), event(2), event(4)] },
  "a head does not fit its log": { heads: [{ id: "c", last_seq: 5, counted: 3, members_version: 1 }] },
  "a members' version does not fit the changes": { heads: [{ id: "c", last_seq: 4, counted: 3, members_version: 2 }] },
  "an id is stored twice": { stored: [event(1), event(2), event(3), event(4, { id: "id3" })] },
  "time falls while numbers rise": { stored: [event(1), event(2), event(3, { at: 50 }), event(4)] },
  "the count of a log is wrong": { stored: [event(1), event(2), event(3, { counted: 3 }), event(4)] },
  "what was acknowledged is not stored": { answers: [...whole.answers, answer(5)] },
  "an acknowledgement names another number": { answers: [...whole.answers, answer(2, { seq: 3, order: null })] },
  "an acknowledgement names another time": { answers: [...whole.answers, answer(2, { at: 21 })] },
  "what is stored is not what was sent": { answers: [...whole.answers, answer(2, { digest: "other" })] },
  "what was refused is stored": { answers: [...whole.answers, { ...refused, id: "id4" }] },
  "what nobody sent is stored": { answers: whole.answers.slice(1) },
  "a sender's order is inverted": { answers: [answer(2, { order: 3 }), answer(3, { order: 2 }), answer(4)] },
  "an event comes from outside of a membership": {
    intervals: [{ conversation: "c", account: "ann", joined_seq: 1, left_seq: 4 }],
  },
  "a membership begins without an event": {
    intervals: [...whole.intervals, { conversation: "c", account: "bob", joined_seq: 3, left_seq: null }],
  },
  "a membership ends without an event": {
    intervals: [...whole.intervals, { conversation: "c", account: "bob", joined_seq: 1, left_seq: 3 }],
  },
};

for (const [what, change] of Object.entries(broken)) {
  test(`check() finds that ${what}`, () => {
    expect(check({ ...whole, ...change }).some((sentence) => sentence.startsWith(what))).toBe(true);
  });
}
