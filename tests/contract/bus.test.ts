/** One contract, on every bus there is; and what the one through Redis does when Redis fails it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { type Beat, encodeBusMessage, type HintsMessage } from "../../src/realtime/bus_messages.ts";
import { UNREGISTER } from "../../src/realtime/directory_scripts.ts";
import { MemoryBus, RedisBus } from "../../src/realtime/mod.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { waitUntil } from "../support/wait.ts";
import { busContract, event, joinBus, type ListeningNode, newAccount } from "./bus.ts";

busContract("in memory", async (count) => {
  const bus = new MemoryBus();
  return { busses: Array.from({ length: count }, () => bus), close: () => bus[Symbol.asyncDispose]() };
});

const faults: unknown[] = [];
const open = (redis: TestRedis): RedisBus =>
  new RedisBus({ url: redis.url, newToken: uuidv7, onFault: (error) => void faults.push(error) });

describeWithRedis("the bus through Redis", () => {
  busContract("through Redis", async (count) => {
    const redis = await TestRedis.start();
    const busses = Array.from({ length: count }, () => open(redis));
    return {
      busses,
      close: async () => {
        await Promise.all(busses.map((bus) => bus[Symbol.asyncDispose]()));
        await redis[Symbol.asyncDispose]();
      },
    };
  });

  test("a node is heard only once it hears: an answer to its first beat reaches it", async () => {
    await using redis = await TestRedis.start();
    await using stack = new AsyncDisposableStack();
    const commands = await redis.monitor();
    const joined = await Promise.all(Array.from({ length: 8 }, () => joinBus(stack.use(open(redis)))));
    for (const { node } of joined) {
      const listens = () => commands.findIndex((line) => /"subscribe"/i.test(line) && line.includes(`:node:${node}`));
      const beats = () =>
        commands.findIndex((line) => /"publish"/i.test(line) && line.includes(`{\\"from\\":\\"${node}`));
      await waitUntil("its first beat is seen", () => beats() >= 0);
      expect(listens()).toBeGreaterThanOrEqual(0);
      expect(listens()).toBeLessThan(beats());
    }
  });

  describeWithRedis("when Redis fails", () => {
    let redis: TestRedis;
    let first: ListeningNode;
    let second: ListeningNode;
    beforeAll(async () => {
      redis = await TestRedis.start();
      [first, second] = await Promise.all([joinBus(open(redis)), joinBus(open(redis))]);
      await healthy();
    });
    afterAll(async () => {
      await Promise.all([first, second].map(({ bus }) => bus[Symbol.asyncDispose]()));
      await redis[Symbol.asyncDispose]();
    });

    const healthy = () => waitUntil("both are healthy", () => first.bus.healthy && second.bus.healthy);
    const doubted = (node: ListeningNode, before: number) => waitUntil("the node doubts", () => node.doubts > before);

    test("an emptied directory is noticed, written again, and then doubted", async () => {
      const accounts = Array.from({ length: 700 }, newAccount);
      await Promise.all(accounts.map((account) => second.bus.register(second.node, account)));
      const before = second.doubts;
      await redis.command("FLUSHALL");
      await doubted(second, before);
      // At the moment of the doubt all are found again.
      expect((await first.bus.locate(first.node, accounts)).get(second.node)).toEqual(accounts);
    });

    test("a single entry that Redis forgot costs nothing but time; a lease that was taken is taken back", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      const before = second.doubts;
      await redis.command("SET", `sotto:0:lease:${second.node}`, "somebody else");
      await doubted(second, before);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[second.node, [account]]]));
    });

    test("a lease that ran out hides its entries, until its node notices, takes another and doubts", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      const before = second.doubts;
      await redis.command("DEL", `sotto:0:lease:${second.node}`);
      // As after a node was frozen: what it wrote is believed no more, though it is still there.
      const located = await first.bus.locate(first.node, [account]);
      expect(located.size === 0 || second.doubts > before).toBe(true);
      await doubted(second, before);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[second.node, [account]]]));
      await healthy();
    });

    test("a removal that comes late does not hit the registration after it", async () => {
      const account = newAccount();
      const value = () => redis.command("HGET", `sotto:0:at:${account}`, second.node);
      await second.bus.register(second.node, account);
      const old = String(await value());
      await second.bus.unregister(second.node, account);
      await second.bus.register(second.node, account);
      expect(await value()).not.toBe(old);
      await redis.admin.script(UNREGISTER, [`sotto:0:at:${account}`], [second.node, old]);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[second.node, [account]]]));
      await redis.admin.script(UNREGISTER, [`sotto:0:at:${account}`], [second.node, String(await value())]);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map());
      await second.bus.unregister(second.node, account);
    });

    test("a message that follows on none is doubted; a node that falls silent is, and is not trusted until it ends", async () => {
      const ghost = uuidv7();
      const say = (message: HintsMessage | Beat) =>
        redis.command(
          "PUBLISH",
          "hints" in message ? `sotto:0:node:${second.node}` : "sotto:0:beats",
          encodeBusMessage(message),
        );
      let before = second.doubts;
      await say({ from: ghost, number: 1, hints: [event([newAccount()], 1)] });
      await say({ from: ghost, number: 3, hints: [event([newAccount()], 3)] });
      await doubted(second, before);
      expect(second.bus.healthy).toBe(true);
      before = second.doubts;
      await doubted(second, before); // nothing more is heard of it
      await waitUntil("it is not trusted", () => !second.bus.healthy);
      before = second.doubts;
      await say({ from: ghost, sent: { [second.node]: 3 }, last: true });
      await doubted(second, before);
      await healthy();
    });

    test("a node that joins while Redis is gone begins without it, and doubts once it is there", async () => {
      redis.kill();
      const third = await joinBus(open(redis));
      expect([third.bus.status, third.bus.healthy, third.doubts]).toEqual(["down", false, 0]);
      const account = newAccount();
      await expect(third.bus.register(third.node, account)).rejects.toThrow("Redis");
      expect(await third.bus.locate(third.node, [account])).toEqual(new Map());
      third.bus.publish(first.node, [event([account], 1)]);
      await third.bus.unregister(third.node, newAccount());
      await redis.startAgain();
      await doubted(third, 0);
      await waitUntil("it is healthy", () => third.bus.healthy && third.bus.status === "up");
      await healthy();
      // What could not be written at first is there now.
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[third.node, [account]]]));
      await third.bus[Symbol.asyncDispose]();
    });

    test("listeners that were cut off come again and doubt", async () => {
      const before = [first.doubts, second.doubts];
      await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      await doubted(first, before[0] ?? 0);
      await doubted(second, before[1] ?? 0);
      await healthy();
    });

    test("hints that never reached Redis are doubted by the node they were for", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      await healthy();
      redis.freeze();
      first.bus.publish(second.node, [event([account], 1)]);
      await waitUntil("the first node notices", () => !first.bus.healthy);
      const before = second.doubts;
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map());
      await expect(first.bus.register(first.node, newAccount())).rejects.toThrow("Redis");
      redis.thaw();
      await doubted(second, before);
      await healthy();
    });

    test("a node whose Redis is gone says so, and finds its way back when there is one again", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      redis.kill();
      await waitUntil("both notice", () => first.bus.status === "down" && second.bus.status === "down");
      expect(first.bus.healthy).toBe(false);
      const before = second.doubts;
      await redis.startAgain();
      await doubted(second, before);
      await healthy();
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[second.node, [account]]]));
    });

    test("a node that ends is found no more, and its end is doubted once", async () => {
      const third = await joinBus(open(redis));
      const account = newAccount();
      await third.bus.register(third.node, account);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map([[third.node, [account]]]));
      const before = second.doubts;
      await third.bus[Symbol.asyncDispose]();
      await doubted(second, before);
      expect(await first.bus.locate(first.node, [account])).toEqual(new Map());
      await healthy();
    });

    test("what is no message of ours on a channel does no harm", async () => {
      const before = second.received.length;
      for (const text of ["", "{", "null", '{"from":1}', '{"from":"x","hints":1,"number":1}']) {
        await redis.command("PUBLISH", `sotto:0:node:${second.node}`, text);
      }
      first.bus.publish(second.node, [event([newAccount()], 9)]);
      await waitUntil("the hint came", () => second.received.length > before);
      expect(second.received).toHaveLength(before + 1);
    });
  });
});
