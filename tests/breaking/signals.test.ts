/**
 * In a group of a thousand one typing frame becomes a thousand: two sockets of one account, each within
 * its rate of frames, kept the whole node busy, and others waited seconds for an answer.
 */
import { expect, test } from "bun:test";
import { LIMITS, uuidv7 } from "../../src/protocol/mod.ts";
import { startApp } from "../support/app.ts";

/** Members besides the two who take part; they need no password, for they never sign in. */
const OTHERS = 900;
const FRAMES = 300;

test("typing and read marks are limited by those they reach [LIM-3]", async () => {
  await using server = await startApp();
  const [ada, ben] = [await server.person(), await server.person()];
  const ids = Array.from({ length: OTHERS }, () => uuidv7());
  await server.db.query(
    `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
     select id, id::text, id::text, 'none', now(), now() from unnest($1::uuid[]) id`,
    [ids],
  );
  const answer = await ada.request("POST", "/api/conversations", {
    conversation_type: "group",
    participant_ids: [ben.id, ...ids],
  });
  const group = answer.json.id;
  const [from, to] = [await ada.live(), await ben.live()];
  const begun = performance.now();
  for (let i = 0; i < FRAMES; i++) from.send({ type: "typing_start", conversation_id: group });
  from.send({ type: "message_read", conversation_id: group, seq: 1 });
  const refusal = await from.next("error");
  expect(refusal.code).toBe("rate_limited");
  expect(refusal.details.retry_after_ms).toBePositive();
  // What is stored is not held up, and comes behind every signal that was told before it.
  const sent = await from.say(group, "on we go");
  await to.until((frames) => frames.some((frame) => frame.id === sent.id));
  const told = to.frames.filter((frame) => frame.type === "typing_start").length;
  const earned = ((performance.now() - begun) / 1_000) * LIMITS.signalsPerSecond;
  expect(told).toBePositive();
  expect(told * OTHERS).toBeLessThanOrEqual(LIMITS.signalBurst + earned + OTHERS);
  expect(told).toBeLessThan(FRAMES);
});
