/** The rules of SPEC.md where one server is several nodes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { type Bus, MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { pair, placed, range, STARTING_MS, sayMany, seqs } from "./support.ts";

/** What becomes of the hints of one publish. */
let fate: "arrive" | "drop" | "double" | "reverse" = "arrive";
let first: TestApp;
let second: TestApp;
beforeAll(async () => {
  const bus = withFate(new MemoryBus());
  first = await startApp({ bus, hub: { compareMs: 200 } });
  second = await first.another({ bus, hub: { compareMs: 200 } });
}, STARTING_MS);
afterAll(async () => {
  await second[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
}, STARTING_MS);

/** A bus that does to hints what a network may do. */
function withFate(bus: Bus): Bus {
  return {
    status: bus.status,
    healthy: bus.healthy,
    join: (node, handlers) => bus.join(node, handlers),
    register: (node, account) => bus.register(node, account),
    unregister: (node, account) => bus.unregister(node, account),
    locate: (node, accounts) => bus.locate(node, accounts),
    setAway: (node, account, away) => bus.setAway(node, account, away),
    connected: (accounts) => bus.connected(accounts),
    publish: (to, hints) => {
      if (fate === "drop") return;
      bus.publish(to, fate === "reverse" ? [...hints].reverse() : hints);
      if (fate === "double") bus.publish(to, hints);
    },
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}

async function apart(): Promise<{ ann: Person; ben: Person; id: ConversationId }> {
  const { ann, ben, id } = await pair(first);
  return { ann, ben: ben.at(second.url), id };
}

describe("two nodes", () => {
  test("a message sent at one node arrives at the other [RES-2]", async () => {
    const { ann, ben, id } = await apart();
    using a = await ann.live();
    using b = await ben.live();
    const receipt = await a.say(id, "from the first");
    expect((await b.next("message")).id).toBe(receipt.id);
    const answer = await b.say(id, "from the second");
    expect((await a.match((frame) => frame.type === "message" && frame.sender_id === ben.id)).id).toBe(answer.id);
  });

  for (const how of ["double", "reverse", "drop"] as const) {
    test(`what people send at both nodes comes in order and once, whatever the bus does: ${how} [RES-2]`, async () => {
      const { ann, ben, id } = await apart();
      using a = await ann.live();
      using b = await ben.live();
      fate = how;
      try {
        await Promise.all([sayMany(a, id, 60), sayMany(b, id, 60)]);
        for (const peer of [a, b]) {
          await peer.until(() => placed(peer.frames, id).length >= 121);
          expect(placed(peer.frames, id)).toEqual(range(1, 121));
        }
      } finally {
        fate = "arrive";
      }
    });
  }

  test("a device that moves between the nodes misses nothing [RES-1]", async () => {
    const { ann, ben, id } = await pair(first);
    using a = await ann.live();
    const seen = new Set<number>();
    for (let move = 0; move < 6; move++) {
      using b = await ben.at(move % 2 === 0 ? first.url : second.url).connect();
      const top = 1 + (move + 1) * 10;
      await sayMany(a, id, 10);
      await b.until(() => seqs(b, id).includes(top));
      const given = seqs(b, id);
      expect(given).toEqual(range(given[0] ?? 0, top));
      for (const seq of given) seen.add(seq);
      b.acknowledge(id, top);
      await b.settled();
      await b.close();
    }
    expect([...seen].sort((x, y) => x - y)).toEqual(range(1, 61));
  });

  test("a member added or removed at one node is known at the other [RES-7]", async () => {
    const { ann, ben, id } = await apart();
    const cem = (await first.person()).at(second.url);
    using b = await ben.live();
    using c = await cem.live();
    await b.say(id, "before"); // the second node knows the members now
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: cem.id });
    expect(await c.say(id, "hello")).toMatchObject({ type: "receipt", seq: 4 });
    await ann.request("DELETE", `/api/conversations/${id}/participants/${cem.id}`);
    expect((await c.next("conversation_left")).left_seq).toBe(5);
    expect(await c.say(id, "still there?")).toMatchObject({ code: "conversation_not_found" });
    await b.say(id, "after");
    await c.settled();
    expect(placed(c.frames, id)).toEqual([3, 4]);
  });

  test("who was removed hears nothing more of who types, at any node [TYP-1]", async () => {
    const { ann, ben, id } = await apart();
    const cem = (await first.person()).at(second.url);
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: cem.id });
    using b = await ben.live();
    using c = await cem.live();
    b.send({ type: "typing_start", conversation_id: id }); // the second node knows the members now
    await c.next("typing_start");
    await ann.request("DELETE", `/api/conversations/${id}/participants/${cem.id}`);
    await c.next("conversation_left");
    await b.until(() => placed(b.frames, id).length === 3);
    b.send({ type: "typing_stop", conversation_id: id });
    b.send({ type: "message_read", conversation_id: id, seq: 1 });
    await b.settled();
    using a = await ann.live();
    await a.settled();
    await c.settled();
    expect(c.frames.filter((frame) => frame.type === "typing_stop" || frame.type === "message_read")).toEqual([]);
  });

  test("who came to a small channel or was removed is known at nodes that neither is at, for who types and reads [TYP-1]", async () => {
    const [ann, ben, cem, dan] = await Promise.all([0, 1, 2, 3].map(() => first.person()));
    if (ann === undefined || ben === undefined || cem === undefined || dan === undefined) throw new Error();
    const body = { conversation_type: "channel", name: "Few", participant_ids: [ben.id, cem.id], posting: "everybody" };
    const id = (await ann.request("POST", "/api/conversations", body)).json.id as ConversationId;
    using b = await ben.at(second.url).live();
    using c = await cem.live();
    using d = await dan.live();
    b.send({ type: "typing_start", conversation_id: id }); // the second node knows the members now
    await c.next("typing_start");
    await ann.request("DELETE", `/api/conversations/${id}/participants/${cem.id}`);
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: dan.id });
    const post = { content: "told to the second node after that" };
    const { seq } = (await ann.request("POST", `/api/conversations/${id}/messages`, post)).json;
    await b.until(() => placed(b.frames, id).includes(seq));
    b.send({ type: "typing_stop", conversation_id: id });
    b.send({ type: "message_read", conversation_id: id, seq });
    await d.match((frame) => frame.type === "message_read" && frame.user_id === ben.id);
    expect(d.frames.map(({ type }) => type)).toContain("typing_stop");
    await c.settled();
    expect(c.frames.filter((frame) => frame.type === "typing_stop" || frame.type === "message_read")).toEqual([]);
  });

  test("a sign-out that the bus lost still closes the socket at the other node [AUTH-6]", async () => {
    const ann = await first.person();
    using there = await ann.at(second.url).live();
    fate = "drop";
    try {
      await ann.request("POST", "/api/auth/signout");
      expect(await there.ended()).toEqual({ code: 4410, reason: "session_ended" });
    } finally {
      fate = "arrive";
    }
  });
});
