/** Sessions that end at one node, and whose sockets are at another, with Redis between them and without. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { STARTING_MS } from "../spec/support.ts";
import { adminJson } from "../support/admin.ts";
import { request, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { everyBusIs, startTwo, type TwoNodes } from "../support/nodes.ts";
import { describeWithRedis, type TestRedis } from "../support/redis.ts";
import { BUSY_MS } from "../support/wait.ts";

/** What the promise gives sockets to close [AUTH-6, AUTH-7]. */
const CLOSE_MS = 2_000;

describeWithRedis("two nodes and Redis", () => {
  const clock = movableClock();
  let folder: string;
  let nodes: TwoNodes;
  let redis: TestRedis;
  let here: TestApp;
  let there: TestApp;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sotto-admin-"));
    nodes = await startTwo({ clock, slowPasswords: true });
    ({ redis, here, there } = nodes);
  }, STARTING_MS);
  afterAll(async () => {
    await nodes[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  }, STARTING_MS);

  const refresh = (refresh_token: string) => request(here.url, "POST", "/api/auth/refresh", { refresh_token });

  test("a session that is ended from the list closes at the other node, and the others stay [AUTH-6]", async () => {
    const ann = await here.person();
    const [phone, pad] = [await ann.signIn(), await ann.signIn()];
    using one = await phone.at(there.url).live();
    using two = await pad.at(there.url).live();
    using mine = await ann.at(there.url).live();
    let start = performance.now();
    expect((await ann.request("DELETE", `/api/auth/sessions/${phone.sessionId}`)).status).toBe(204);
    expect(await one.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - start).toBeLessThan(CLOSE_MS + BUSY_MS);
    await two.settled();
    start = performance.now();
    expect((await ann.request("DELETE", "/api/auth/sessions")).json.ended).toBe(1);
    expect(await two.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - start).toBeLessThan(CLOSE_MS + BUSY_MS);
    await mine.settled();
    expect((await request(there.url, "GET", "/api/auth/me", undefined, ann.token)).status).toBe(200);
  });

  test("a refresh token that comes again after its successor was used closes the family's sockets at the other node [AUTH-6]", async () => {
    const ann = await here.person();
    using thief = await ann.at(there.url).live();
    const second = (await refresh(ann.refreshToken)).json;
    const third = (await refresh(second.refresh_token)).json;
    expect(third.access_token).toBeString();
    const start = performance.now();
    const reused = await refresh(ann.refreshToken);
    expect([reused.status, reused.json.error.code]).toEqual([401, "refresh_reused"]);
    expect(await thief.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - start).toBeLessThan(CLOSE_MS + BUSY_MS);
    expect((await refresh(third.refresh_token)).status).toBe(401);
    clock.advance(1_001); // an answer that the other node may still have believed
    expect((await request(there.url, "GET", "/api/auth/me", undefined, third.access_token)).status).toBe(401);
  });

  test("Redis is gone: sockets of a disabled account and of a session that ended close all the same [AUTH-6, AUTH-7]", async () => {
    const [ann, ben] = [await here.person(), await here.person()];
    const phone = await ann.signIn();
    using disabled = await ben.at(there.url).live();
    using ended = await phone.at(there.url).live();
    redis.kill();
    await everyBusIs([here, there], "down");
    const env = { DATABASE_URL: here.database.url, DATA_DIR: folder };
    await adminJson(env, "disable", ben.name);
    let start = performance.now();
    expect(await disabled.ended()).toEqual({ code: 4411, reason: "account_disabled" });
    expect(performance.now() - start).toBeLessThan(CLOSE_MS + BUSY_MS);
    start = performance.now();
    expect((await ann.request("DELETE", `/api/auth/sessions/${phone.sessionId}`)).status).toBe(204);
    expect(await ended.ended()).toEqual({ code: 4410, reason: "session_ended" });
    expect(performance.now() - start).toBeLessThan(CLOSE_MS + BUSY_MS);
  });
});
