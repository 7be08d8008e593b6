/** What every bus must do, whatever it is made of; `bus.test.ts` runs this on each. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AccountId, type ConversationId, type SessionId, uuidv7 } from "../../src/protocol/mod.ts";
import type { Bus, Hint, NodeId } from "../../src/realtime/mod.ts";
import { waitUntil } from "../support/wait.ts";

/** A node that does nothing but keep what it is told. */
export interface ListeningNode {
  readonly node: NodeId;
  readonly bus: Bus;
  readonly received: Hint[];
  /** How often the bus doubted. */
  doubts: number;
}

/** Joins a bus as a node. */
export async function joinBus(bus: Bus): Promise<ListeningNode> {
  const listening: ListeningNode = { node: uuidv7(), bus, received: [], doubts: 0 };
  await bus.join(listening.node, {
    receive: (hints) => void listening.received.push(...hints),
    doubt: () => {
      listening.doubts++;
    },
  });
  return listening;
}

/** A new account's id. */
export function newAccount(): AccountId {
  return uuidv7() as AccountId;
}

/** An event of a conversation. */
export function event(to: readonly AccountId[], seq: number, text = `{"seq":${seq}}`): Hint {
  return { type: "event", to, conversationId: CONVERSATION, seq, at: 1_700_000_000_000, text };
}

const CONVERSATION = uuidv7() as ConversationId;

/** Runs the contract on busses that `open` makes: as many as nodes, all of one server. */
export function busContract(
  name: string,
  open: (count: number) => Promise<{ busses: Bus[]; close: () => Promise<void> }>,
): void {
  describe(`the bus: ${name}`, () => {
    let close: () => Promise<void>;
    let first: ListeningNode;
    let second: ListeningNode;
    let third: ListeningNode;
    beforeAll(async () => {
      const opened = await open(3);
      close = opened.close;
      [first, second, third] = (await Promise.all(opened.busses.map(joinBus))) as [
        ListeningNode,
        ListeningNode,
        ListeningNode,
      ];
    });
    afterAll(() => close());

    const locate = (from: ListeningNode, accounts: readonly AccountId[]) => from.bus.locate(from.node, accounts);

    test("is healthy once its nodes have joined", async () => {
      await waitUntil("all are healthy", () => [first, second, third].every(({ bus }) => bus.healthy));
      for (const { bus } of [first, second, third]) expect(bus.status).not.toBe("down");
    });

    test("join() takes a node once", async () => {
      const again = first.bus.join(first.node, { receive: () => {}, doubt: () => {} });
      await expect(again).rejects.toThrow(/Join|bus/);
      const before = first.received.length;
      second.bus.publish(first.node, [event([newAccount()], 1)]);
      await waitUntil("the node that joined first is told", () => first.received.length === before + 1);
    });

    test("connected() finds accounts at all nodes, also the one that asks, and away who is away at each", async () => {
      const [here, both, away, nobody] = [newAccount(), newAccount(), newAccount(), newAccount()];
      await first.bus.register(first.node, here);
      for (const { bus, node } of [first, second]) {
        await bus.register(node, both);
        await bus.register(node, away);
      }
      const found = async () => [...(await first.bus.connected([here, both, away, nobody]))];
      expect(new Map(await found())).toEqual(
        new Map([here, both, away].map((account) => [account, "online"] as const)),
      );
      second.bus.setAway(second.node, both, true);
      for (const { bus, node } of [first, second]) bus.setAway(node, away, true);
      await waitUntil("one is away", async () => new Map(await found()).get(away) === "away");
      expect(new Map(await found()).get(both)).toBe("online");
      expect(await locate(first, [away])).toEqual(new Map([[second.node, [away]]]));
      await first.bus.unregister(first.node, both);
      await waitUntil("so is the other", async () => new Map(await found()).get(both) === "away");
      second.bus.setAway(second.node, both, false);
      await waitUntil("no more", async () => new Map(await found()).get(both) === "online");
      for (const account of [here, away]) await first.bus.unregister(first.node, account);
      for (const account of [both, away]) await second.bus.unregister(second.node, account);
      await waitUntil("nobody is there", async () => (await found()).length === 0);
    });

    test("register() twice is as once", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      await second.bus.register(second.node, account);
      expect(await locate(first, [account])).toEqual(new Map([[second.node, [account]]]));
      await second.bus.unregister(second.node, account);
      expect(await locate(first, [account])).toEqual(new Map());
      await second.bus.unregister(second.node, newAccount());
    });

    test("publish() to a node that is not there harms nobody", async () => {
      const before = second.received.length;
      first.bus.publish(uuidv7(), [event([newAccount()], 1)]);
      first.bus.publish(second.node, []);
      first.bus.publish(second.node, [event([newAccount()], 2)]);
      await waitUntil("the other one is told", () => second.received.length > before);
      expect(second.received.slice(before).map((hint) => "seq" in hint && hint.seq)).toEqual([2]);
      expect(first.bus.healthy).toBe(true);
    });

    test("locate() finds an account as soon as it is registered, and not at the node that asks", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      expect(await locate(first, [account])).toEqual(new Map([[second.node, [account]]]));
      expect(await locate(second, [account])).toEqual(new Map());
    });

    test("locate() finds every node of an account, and the accounts of each node in their order", async () => {
      const [ann, ben, nobody] = [newAccount(), newAccount(), newAccount()];
      await second.bus.register(second.node, ann);
      await third.bus.register(third.node, ann);
      await third.bus.register(third.node, ben);
      expect(await locate(first, [ann, nobody, ben])).toEqual(
        new Map([
          [second.node, [ann]],
          [third.node, [ann, ben]],
        ]),
      );
      expect(await locate(first, [])).toEqual(new Map());
    });

    test("unregister() takes an account away from its node only", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      await third.bus.register(third.node, account);
      await second.bus.unregister(second.node, account);
      await second.bus.unregister(second.node, account);
      expect(await locate(first, [account])).toEqual(new Map([[third.node, [account]]]));
    });

    test("an account that leaves and comes again at once is there, however often", async () => {
      const account = newAccount();
      await second.bus.register(second.node, account);
      for (let turn = 0; turn < 50; turn++) {
        const left = second.bus.unregister(second.node, account);
        const came = second.bus.register(second.node, account);
        await came;
        expect(await locate(first, [account])).toEqual(new Map([[second.node, [account]]]));
        await left;
      }
    });

    test("many accounts that come together are all found, by many look-ups at once", async () => {
      const accounts = Array.from({ length: 1_300 }, newAccount);
      await Promise.all(accounts.map((account) => third.bus.register(third.node, account)));
      const found = await Promise.all([
        locate(first, accounts),
        ...accounts.map((account) => locate(second, [account])),
      ]);
      expect(found[0]?.get(third.node)).toEqual(accounts);
      expect(found.slice(1).every((one, i) => one.get(third.node)?.[0] === accounts[i])).toBe(true);
    });

    test("publish() brings hints of every kind to one node, as they were and in their order", async () => {
      const to = [newAccount(), newAccount()];
      const hints: Hint[] = [
        event(to, 1, JSON.stringify({ text: "ä \u2028 \u0000 🙂" })),
        { type: "event", to, conversationId: CONVERSATION, seq: 2, at: 5, text: "{}", members: true },
        { type: "doorbell", to, conversationId: CONVERSATION, seq: 3 },
        { type: "signal", to, text: '{"type":"typing_start"}' },
        { type: "end_sessions", to, sessionIds: [uuidv7() as SessionId] },
      ];
      const [before, others] = [second.received.length, third.received.length];
      for (const hint of hints) first.bus.publish(second.node, [hint]);
      first.bus.publish(second.node, hints);
      await waitUntil("all hints came", () => second.received.length >= before + hints.length * 2);
      expect(second.received.slice(before)).toEqual([...hints, ...hints]);
      expect(third.received).toHaveLength(others);
    });

    test("a flood of hints comes whole and in order, and an event too large to copy is rung for", async () => {
      const to = [newAccount()];
      const before = third.received.length;
      const sizes = Array.from({ length: 400 }, (_, i) => (i % 50 === 7 ? 200_000 : 2_000));
      first.bus.publish(
        third.node,
        sizes.map((size, i) => event(to, i + 1, "x".repeat(size))),
      );
      await waitUntil("all hints came", () => third.received.length >= before + sizes.length);
      const came = third.received.slice(before);
      expect(came.map((hint) => ("seq" in hint ? hint.seq : 0))).toEqual(sizes.map((_, i) => i + 1));
      expect(
        came.every((hint, i) => hint.type === "doorbell" || (hint.type === "event" && hint.text.length === sizes[i])),
      ).toBe(true);
      expect(came.every((hint, i) => sizes[i] === 200_000 || hint.type === "event")).toBe(true);
    });

    test("nothing was lost, so nothing was doubted after the beginning", async () => {
      const doubts = [first, second, third].map((node) => node.doubts);
      const to = [newAccount()];
      const before = second.received.length;
      for (let seq = 1; seq <= 100; seq++) first.bus.publish(second.node, [event(to, seq)]);
      await waitUntil("all hints came", () => second.received.length >= before + 100);
      expect([first, second, third].map((node) => node.doubts)).toEqual(doubts);
    });
  });
}
