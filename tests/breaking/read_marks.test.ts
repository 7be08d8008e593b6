/** Members were told of every read mark as it came, so what somebody had read went back before their eyes. */
import { expect, test } from "bun:test";
import { startApp } from "../support/app.ts";

test("message_read never goes back for the others, and is told once [READ-1]", async () => {
  await using server = await startApp();
  const [ada, ben] = [await server.person(), await server.person()];
  const dm = await ada.dm(ben);
  const [from, to] = [await ada.live(), await ben.live()];
  for (const text of ["one", "two", "three", "four"]) await from.say(dm, text);
  for (const seq of [3, 2, 3, 5, 1, 5]) from.send({ type: "message_read", conversation_id: dm, seq });
  // Another device of the same person is further behind.
  const other = await (await ada.signIn()).live();
  await from.settled();
  other.send({ type: "message_read", conversation_id: dm, seq: 2 });
  await other.settled();
  // A message comes behind all marks that were told before it.
  const last = await from.say(dm, "five");
  await to.until((frames) => frames.some((frame) => frame.id === last.id));
  expect(to.frames.filter((frame) => frame.type === "message_read").map((frame) => frame.seq)).toEqual([3, 5]);
});
