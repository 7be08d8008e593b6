/** A node is killed, and tells nobody that its people have gone: the others find it out. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { STARTING_MS } from "../spec/support.ts";
import { Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { ServerProcess } from "../support/server_process.ts";

/** Shorter than the standard, at the node that stays: what is left is the lease of the one that is killed. */
const GRACE_MS = 2_000;

describeWithRedis("presence and Redis", () => {
  let redis: TestRedis;
  let stays: TestApp;
  let doomed: ServerProcess;
  beforeAll(async () => {
    redis = await TestRedis.start();
    stays = await startApp({
      env: { REDIS_URL: redis.url },
      hub: { presence: { graceMs: GRACE_MS, lookMs: 100 } },
    });
    doomed = await ServerProcess.start({ DATABASE_URL: stays.database.url, REDIS_URL: redis.url });
  }, STARTING_MS);
  afterAll(async () => {
    await doomed[Symbol.asyncDispose]();
    await stays[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  const isOf = (of: Person) => (frame: Frame) => frame.type === "presence_update" && frame.user_id === of.id;
  const told = (peer: Peer, of: Person) => peer.frames.filter(isOf(of)).map(({ status }) => status);
  const away = (peer: Peer) => peer.send({ type: "presence_update", status: "away" });

  test(
    "people of a node that is killed are offline for the others, and for nobody who is at another node too [PRE-1]",
    async () => {
      const name = () => `person_${crypto.randomUUID().slice(0, 13)}`;
      const [ann, cem] = await Promise.all([Person.signUp(doomed.url, name()), Person.signUp(doomed.url, name())]);
      const ben = await stays.person();
      await Promise.all([ben.dm(ann), ben.dm(cem)]);
      using b = await ben.live();
      using _a = await ann.live();
      using _c = await cem.live();
      using elsewhere = await (await cem.signIn({ url: stays.url })).live();
      await b.until(() => told(b, ann).includes("online") && told(b, cem).includes("online"));
      away(elsewhere);
      await elsewhere.settled();
      expect((await ben.request("GET", `/api/users/${cem.id}`)).json.status).toBe("online");
      await doomed.signal("SIGKILL");
      await b.until(() => told(b, ann).at(-1) === "offline");
      expect(told(b, cem)).not.toContain("offline");
      const { status } = (await ben.request("GET", `/api/users/${cem.id}`)).json;
      expect(status).toBe("away");
    },
    STARTING_MS,
  );
});
