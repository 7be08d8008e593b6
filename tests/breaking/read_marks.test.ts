/** Members were told of every read mark as it came, so what somebody had read went back before their eyes. */
import { expect, test } from "bun:test";
import { DatabaseFault } from "../../src/platform/postgres.ts";
import { dispatch } from "../../src/realtime/mod.ts";
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

test("a mark is taken where the others cannot be told, and the same again tells them [READ-1]", async () => {
  let failing = true;
  await using server = await startApp({
    hub: {
      dispatch: (deps, actor, attachment, frame, place) => {
        const down = () => Promise.reject(new DatabaseFault("Try again later: the database does not answer"));
        const isFailing = failing && frame.type === "message_read";
        dispatch(isFailing ? { ...deps, givesMarks: down } : deps, actor, attachment, frame, place);
      },
    },
  });
  const [ada, ben] = [await server.person(), await server.person()];
  const dm = await ada.dm(ben);
  const [from, to] = [await ada.live(), await ben.live()];
  const { seq } = await from.say(dm, "one");
  await to.until((frames) => frames.some((frame) => frame.seq === seq));
  to.send({ type: "message_read", ref: "first", conversation_id: dm, seq });
  await to.settled();
  expect(to.frames.filter((frame) => frame.ref === "first")).toEqual([]);
  expect((await ben.request("GET", `/api/conversations/${dm}`)).json.read_seq).toBe(seq);
  await from.settled();
  expect(from.frames.filter((frame) => frame.type === "message_read")).toEqual([]);
  failing = false;
  to.send({ type: "message_read", conversation_id: dm, seq });
  await from.until((frames) => frames.some((frame) => frame.type === "message_read" && frame.seq === seq));
});
