/** Stage times: one message of many is followed, and only through the stages that it passes. */
import { expect, test } from "bun:test";
import { StageTimes } from "../../src/realtime/stage_times.ts";

function setUp(every: number) {
  let now = 100;
  const observed: [stage: string, ms: number][] = [];
  const stages = new StageTimes({ now: () => now, every, observe: (stage, ms) => void observed.push([stage, ms]) });
  const at = (time: number) => {
    now = time;
  };
  return { stages, observed, at };
}

test("StageTimes follows one message of so many through receive, log and answer", () => {
  const { stages, observed, at } = setUp(3);
  expect([stages.follow(90), stages.follow(90)]).toEqual([null, null]);
  const followed = stages.follow(95);
  if (followed === null) throw new Error("Follow the third message");
  stages.submitted(followed);
  at(130);
  const storedAt = stages.stored(followed);
  expect(storedAt).toBe(130);
  at(131);
  stages.turnOver(); // another actor's turn
  expect(observed).toEqual([
    ["receive", 5],
    ["log", 30],
  ]);
  stages.answered(storedAt ?? 0);
  at(134);
  stages.turnOver();
  stages.turnOver();
  expect(observed.slice(2)).toEqual([["answer", 4]]);
});

test("StageTimes says nothing of the log where the outcome came before the log had the event", () => {
  const { stages, observed } = setUp(1);
  const followed = stages.follow(90);
  if (followed === null) throw new Error("Follow every message");
  expect(stages.stored(followed)).toBeNull();
  expect(observed).toEqual([]);
});
