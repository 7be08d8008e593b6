/**
 * A session that ends at one node closes its sockets at the others within two seconds [AUTH-6],
 * whatever Redis and the way to it are doing, from the first moment of it.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Bus, MemoryBus } from "../../src/realtime/mod.ts";
import { STARTING_MS } from "../spec/support.ts";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { TcpProxy } from "../support/tcp_proxy.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

const CLOSED_MS = 2_000;
const SESSION_ENDED = 4410;

/** A bus that finds every account and carries nothing, and does not know it. */
function silentBus(): Bus {
  const bus = new MemoryBus();
  return {
    status: "up",
    healthy: true,
    join: (node, handlers) => bus.join(node, handlers),
    register: (node, account) => bus.register(node, account),
    unregister: (node, account) => bus.unregister(node, account),
    locate: (node, accounts) => bus.locate(node, accounts),
    setAway: (node, account, away) => bus.setAway(node, account, away),
    connected: (accounts) => bus.connected(accounts),
    publish: () => {},
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}

test("a sign-out reaches a node whose bus loses every hint and says that it is well [AUTH-6]", async () => {
  const bus = silentBus();
  await using first = await startApp({ bus, slowPasswords: true });
  await using second = await first.another({ bus });
  const ann = await first.person();
  const other = await ann.signIn();
  using there = await ann.at(second.url).live();
  using bystander = await other.at(second.url).live();
  const before = performance.now();
  await ann.request("POST", "/api/auth/signout");
  expect((await there.ended()).code).toBe(SESSION_ENDED);
  expect(performance.now() - before).toBeLessThan(CLOSED_MS + BUSY_MS);
  await bystander.settled(); // another session of the same account goes on
});

describeWithRedis("a sign-out reaches every node", () => {
  let redis: TestRedis;
  let proxy: TcpProxy;
  /** The last one reaches Redis through the proxy. */
  let nodes: readonly [TestApp, TestApp, TestApp];
  beforeAll(async () => {
    redis = await TestRedis.start();
    proxy = await TcpProxy.start({ host: "127.0.0.1", port: Number(new URL(redis.url).port) });
    const near = { env: { REDIS_URL: redis.url } };
    const first = await startApp({ ...near, slowPasswords: true });
    const far = await first.another({ env: { REDIS_URL: proxy.through(redis.url) } });
    nodes = [first, await first.another(near), far];
    await allTrust();
  }, STARTING_MS);
  afterAll(async () => {
    const [first, ...others] = nodes;
    await Promise.all(others.map((node) => node[Symbol.asyncDispose]()));
    await first[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  const trusts = async ({ url }: TestApp) =>
    /^sotto_bus_healthy 1$/m.test(await (await fetch(`${url}/metrics`)).text());
  const allTrust = () =>
    waitUntil(
      "every node trusts its bus",
      async () => (await Promise.all(nodes.map(trusts))).every(Boolean),
      STARTING_MS,
    );

  /** Breaks something, ends Ann's session at one node in that moment, and waits for her sockets at all three. */
  async function signOutDuring(at: number, breaking: () => unknown): Promise<void> {
    const ann = await (nodes[at] as TestApp).person();
    const peers = await Promise.all(nodes.map(({ url }) => ann.at(url).live()));
    await breaking();
    const before = performance.now();
    expect((await ann.request("POST", "/api/auth/signout")).status).toBe(204);
    for (const peer of peers) expect((await peer.ended()).code).toBe(SESSION_ENDED);
    expect(performance.now() - before).toBeLessThan(CLOSED_MS + BUSY_MS);
  }

  const faults: readonly { what: string; make: () => unknown; mend: () => unknown }[] = [
    { what: "nothing is wrong", make: () => {}, mend: () => {} },
    { what: "Redis is emptied", make: () => redis.command("FLUSHALL"), mend: () => {} },
    {
      what: "every subscription is cut",
      make: () => redis.command("CLIENT", "KILL", "TYPE", "pubsub"),
      mend: () => {},
    },
    { what: "one node hears nothing of Redis", make: () => proxy.hold("down"), mend: () => proxy.heal() },
    { what: "one node cannot speak to Redis", make: () => proxy.hold("up"), mend: () => proxy.heal() },
    { what: "one node is cut off from Redis", make: () => proxy.cut(), mend: () => proxy.heal() },
    { what: "Redis is frozen", make: () => redis.freeze(), mend: () => redis.thaw() },
    { what: "Redis is killed", make: () => redis.kill(), mend: () => redis.startAgain() },
  ];

  for (const { what, make, mend } of faults) {
    describe(what, () => {
      afterAll(async () => {
        await mend();
        await allTrust();
      }, STARTING_MS);

      test("as it begins, the sign-out is elsewhere [AUTH-6]", () => signOutDuring(0, make));
      test("as it goes on, the sign-out is at the node it is about [AUTH-6]", () => signOutDuring(2, () => {}));
    });
  }

  test("a newer sign-in of the device at another node closes the sockets of the one before [AUTH-6]", async () => {
    const ann = await nodes[0].person();
    using there = await ann.at(nodes[1].url).live();
    redis.freeze();
    const before = performance.now();
    const again: Person = await ann.signIn({ deviceId: ann.deviceId });
    expect((await there.ended()).code).toBe(SESSION_ENDED);
    expect(performance.now() - before).toBeLessThan(CLOSED_MS + BUSY_MS);
    expect((await request(nodes[0].url, "GET", "/api/auth/me", undefined, again.token)).status).toBe(200);
    redis.thaw();
    await allTrust();
  });
});
