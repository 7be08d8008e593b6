/** Three nodes on one database and one Redis, and what Redis may do to them [design P7]; tests/chaos tries the rest. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { pair, range, STARTING_MS } from "../spec/support.ts";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { everyBusIs } from "../support/nodes.ts";
import { Peer } from "../support/peer.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";
import { expectAllDelivered, Reader, type Sent, sendDuring, whileSending } from "./traffic.ts";

const SIGN_OUT_MS = 2_000;

describeWithRedis("three nodes and Redis", () => {
  let redis: TestRedis;
  let nodes: readonly [TestApp, TestApp, TestApp];
  beforeAll(async () => {
    redis = await TestRedis.start();
    const options = { env: { REDIS_URL: redis.url } };
    const first = await startApp(options);
    nodes = [first, await first.another(options), await first.another(options)];
    await everyBusIs(nodes, "up");
  }, STARTING_MS);
  afterAll(async () => {
    const [first, ...others] = nodes;
    await Promise.all(others.map((node) => node[Symbol.asyncDispose]()));
    await first[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  /** Whether every node trusts its bus, by its own metrics. */
  const everyNodeTrusts = () =>
    waitUntil("every node trusts its bus", async () => {
      const answers = await Promise.all(
        nodes.map(({ url }) => fetch(`${url}/metrics`).then((answer) => answer.text())),
      );
      return answers.every((text) => /^sotto_bus_healthy 1$/m.test(text));
    });

  /** Three people in one group, each at a node of their own. */
  async function apart(): Promise<{ id: ConversationId; people: Person[] }> {
    const people = await Promise.all(nodes.map((node) => node.person()));
    const [ann, ...others] = people as [Person, ...Person[]];
    return { id: await ann.group(others), people };
  }

  /** Everybody sends and reads while `work` breaks something; then all of it must have come. */
  async function tortured(work: (reader: Reader) => Promise<unknown>): Promise<Sent> {
    const { id, people } = await apart();
    const peers: Peer[] = await Promise.all(people.map((person) => person.live()));
    const readers = peers.map((peer) => new Reader(peer, id)) as [Reader, Reader, Reader];
    try {
      const sent = await sendDuring(peers, id, async () => {
        await whileSending(readers[0], 30);
        await work(readers[1]);
      });
      await expectAllDelivered(readers, sent);
      return sent;
    } finally {
      for (const peer of peers) peer[Symbol.dispose]();
    }
  }

  test("what is said in a public channel arrives at the readers of every node, whatever becomes of Redis [PUB-2]", async () => {
    const [node, ...others] = nodes;
    const ann = await node.person();
    const slug = `news-${crypto.randomUUID().slice(0, 8)}`;
    const body = { conversation_type: "channel", name: "News", channel: slug, public: true };
    const { id } = (await ann.request("POST", "/api/conversations", body)).json;
    const readers = await Promise.all(
      nodes.map(({ url }) => Peer.open(`${url.replace("http", "ws")}/ws/public/${slug}`)),
    );
    const shown = (peer: Peer) =>
      peer.frames.filter(({ type }) => type === "announcement").map(({ content }) => content);
    let said = 0;
    const sayMany = async (count: number) => {
      for (const end = said + count; said < end; said++)
        await ann.request("POST", `/api/conversations/${id}/messages`, { content: String(said) });
      for (const peer of readers) {
        await peer.until(() => shown(peer).length >= said);
        expect(shown(peer)).toEqual(range(0, said - 1).map(String));
      }
    };
    try {
      await Promise.all(readers.map((peer) => peer.next("subscribed")));
      await sayMany(20);
      redis.kill();
      await sayMany(20);
      await redis.startAgain();
      await Promise.all(
        others.map(({ url }) => waitUntil("it answers", async () => (await fetch(`${url}/health`)).ok)),
      );
      await sayMany(20);
    } finally {
      for (const peer of readers) peer[Symbol.dispose]();
    }
    await everyNodeTrusts();
  }, 90_000);

  test("a message sent at one node arrives at the others, and nobody had to look for it", async () => {
    const { id, people } = await apart();
    const peers = await Promise.all(people.map((person) => person.live()));
    for (const sender of peers) {
      const receipt = await sender.say(id, "hello");
      const sentAt = performance.now();
      for (const other of peers) {
        if (other === sender) continue;
        expect((await other.match((frame) => frame.type === "message" && frame.id === receipt.id)).seq).toBe(
          receipt.seq,
        );
      }
      expect(performance.now() - sentAt).toBeLessThan(BUSY_MS); // nodes that trust their bus compare once a minute
    }
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test("an entry too large for the bus arrives all the same", async () => {
    const { id, people } = await apart();
    const [ann, ben] = people as [Person, Person];
    using a = await ann.live();
    using b = await ben.live();
    const receipt = await a.say(id, "x".repeat(50_000));
    expect(
      (await b.match((frame) => frame.type === "message" && frame.id === receipt.id)).encrypted_content,
    ).toHaveLength(50_000);
  });

  test("a device that moves between nodes misses nothing", async () => {
    const { ann, ben, id } = await pair(nodes[0]);
    using a = await ann.live();
    const seen = new Map<number, number>();
    let top = 1;
    const sent = await sendDuring([a], id, async () => {
      for (let move = 0; move < 6; move++) {
        using b = await ben.at(nodes[move % 3]?.url ?? "").connect();
        const reader = new Reader(b, id);
        await waitUntil("the device got on", () => reader.last >= top + 10);
        top = reader.last;
        expect(reader.faults).toEqual([]);
        for (const [seq, at] of reader.at) seen.set(seq, at);
        b.acknowledge(id, top);
        await b.settled();
        await b.close();
      }
    });
    expect([...seen.keys()].sort((x, y) => x - y).slice(-top)).toEqual(range(1, top));
    expect(sent.top).toBeGreaterThanOrEqual(top);
  });

  test("a sign-out at one node closes the sockets at the others", async () => {
    const ann = await nodes[0].person();
    const [second, third] = await Promise.all([ann.at(nodes[1].url).live(), ann.at(nodes[2].url).live()]);
    const before = performance.now();
    await ann.request("POST", "/api/auth/signout");
    for (const peer of [second, third]) expect((await peer.ended()).code).toBe(4410);
    expect(performance.now() - before).toBeLessThan(SIGN_OUT_MS + BUSY_MS);
  });

  test("Redis freezes for three seconds and goes on", async () => {
    const ann = await nodes[0].person();
    using there = await ann.at(nodes[1].url).live();
    await tortured(async (reader) => {
      const before = performance.now();
      redis.freeze();
      await ann.request("POST", "/api/auth/signout");
      expect((await there.ended()).code).toBe(4410); // nobody can tell the other node, and it does not know that yet
      expect(performance.now() - before).toBeLessThan(SIGN_OUT_MS + BUSY_MS);
      await waitUntil("three seconds are over", () => performance.now() - before > 3_000);
      redis.thaw();
      await whileSending(reader, 60);
    });
    await everyBusIs(nodes, "up");
  });

  test("Redis is gone for three seconds and comes back empty", async () => {
    await tortured(async (reader) => {
      const over = performance.now() + 3_000;
      redis.kill();
      await everyBusIs(nodes, "down");
      await waitUntil("three seconds are over", () => performance.now() > over);
      await redis.startAgain();
      await whileSending(reader, 60);
    });
    await everyNodeTrusts();
  });

  test("Redis is gone for good: everything goes on, only slower", async () => {
    const ann = await nodes[0].person();
    using there = await ann.at(nodes[1].url).live();
    await tortured(async (reader) => {
      redis.kill();
      await everyBusIs(nodes, "down");
      await whileSending(reader, 90);
    });
    // Nobody tells the other node, so it asks.
    const before = performance.now();
    await ann.request("POST", "/api/auth/signout");
    expect((await there.ended()).code).toBe(4410);
    expect(performance.now() - before).toBeLessThan(SIGN_OUT_MS + BUSY_MS);
    for (const { url } of nodes) expect((await request(url, "GET", "/ready")).status).toBe(200);
  });
});
