/**
 * The machine's clock was set, and every socket suffered: back, and each frame was refused as
 * `rate_limited` until the clock had caught up; forward, and each quiet socket was cut as silent.
 */
import { expect, test } from "bun:test";
import { startApp } from "../support/app.ts";

const HOUR_MS = 60 * 60_000;

test("Session goes on with its frames when the clock is set back by an hour [LIM-3]", async () => {
  let offset = 0;
  const clock = { now: () => Date.now() + offset, steady: () => performance.now() };
  await using server = await startApp({ clock });
  const [ada, ben] = [await server.person(), await server.person()];
  const dm = await ada.dm(ben);
  const peer = await ada.live();
  await peer.say(dm, "before");
  offset = -HOUR_MS;
  expect((await peer.say(dm, "after")).type).toBe("receipt");
});

test("Session of somebody quiet outlives a clock that is set forward by a minute [HB-2]", async () => {
  let offset = 0;
  const clock = { now: () => Date.now() + offset, steady: () => performance.now() };
  await using server = await startApp({ clock, env: { ACCESS_TOKEN_EXPIRE_MINUTES: "2" } });
  const ada = await server.person();
  const peer = await ada.live();
  offset = 61_000;
  // The check that finds the token near its end is the one that judged silence.
  await peer.next("reauth");
  await peer.settled();
  expect(peer.closed).toBeNull();
});
