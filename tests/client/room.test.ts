/** The room's client against a real server, over sockets that are cut. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { RoomClient, type RoomEvent, SottoClient, SottoError } from "../../src/client/mod.ts";
import { newMessageId } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";
import { PASSWORD, Wire } from "./people.ts";

let app: TestApp;

beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app[Symbol.asyncDispose]());

/** Somebody in the room, and what they were shown. */
async function enter() {
  const username = `guest_${crypto.randomUUID().slice(0, 8)}`;
  const account = await SottoClient.signUp(app.url, { username, password: PASSWORD });
  const events: RoomEvent[] = [];
  const wire = new Wire();
  const room = new RoomClient(app.url, account.api, { onEvent: (event) => events.push(event), openSocket: wire.open });
  room.connect();
  await waitUntil("in the room", () => room.status.state === "live");
  const said = () => events.flatMap((event) => (event.type === "message" ? [event.content] : []));
  return { username, room, wire, events, said };
}

test("RoomClient shows what was said while its line was cut, once and in order, and what came before", async () => {
  const a = await enter();
  for (let n = 0; n < 60; n++) await a.room.say(`before ${n}`);
  const b = await enter();
  expect(b.said()).toEqual(Array.from({ length: 50 }, (_, n) => `before ${n + 10}`));
  expect((await b.room.older()).map(({ content }) => content)).toEqual(
    Array.from({ length: 10 }, (_, n) => `before ${n}`),
  );
  expect(await b.room.older()).toEqual([]);
  for (let n = 0; n < 20; n++) {
    if (n % 5 === 2) b.wire.cut();
    await a.room.say(`then ${n}`);
  }
  const all = [
    ...Array.from({ length: 50 }, (_, n) => `before ${n + 10}`),
    ...Array.from({ length: 20 }, (_, n) => `then ${n}`),
  ];
  await waitUntil("b has all", () => b.said().length >= all.length);
  expect(b.said()).toEqual(all);
  await Promise.all([a.room[Symbol.asyncDispose](), b.room[Symbol.asyncDispose]()]);
});

test("RoomClient.say() is shown once and in order over lines that lose answers, and tells what is refused", async () => {
  const [a, b] = [await enter(), await enter()];
  let frames = 0;
  a.wire.lets = (direction, text) => {
    if (direction === "came" || !text.includes('"message"') || ++frames % 3 !== 0) return true;
    a.wire.cut(); // it is gone before the frame is sent
    return frames % 2 === 0;
  };
  const texts = Array.from({ length: 12 }, (_, n) => `lossy ${n}`);
  const id = newMessageId();
  const saying = texts.map((text, n) => a.room.say(text, n === 0 ? id : undefined));
  await Promise.all(saying);
  await waitUntil("b has all", () => b.said().filter((text) => text.startsWith("lossy")).length >= texts.length);
  for (const one of [a, b]) expect(one.said().filter((text) => text.startsWith("lossy"))).toEqual(texts);
  a.wire.lets = () => true;
  await expect(a.room.say("x".repeat(10_001))).rejects.toMatchObject({ code: "payload_too_large" });
  await a.room.say("and goes on");
  await b.room[Symbol.asyncDispose]();
  await expect(b.room.say("too late")).rejects.toThrow(SottoError);
  await a.room[Symbol.asyncDispose]();
});
