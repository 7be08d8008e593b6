/** SPEC.md, "Catching up". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type AccountId, type ConversationId, LIMITS } from "../../src/protocol/mod.ts";
import { type Bus, dispatch, MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { Peer as SocketPeer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";
import { pair, placed, range, STARTING_MS, sayMany, seqs, socketUrl } from "./support.ts";

let server: TestApp;
beforeAll(async () => {
  server = await startApp({
    hub: {
      dispatch: (deps, actor, attachment, frame, place) => {
        if (frame.type === "typing_start" && frame.ref === "poison") throw new Error("A poisoned frame");
        dispatch(deps, actor, attachment, frame, place);
      },
    },
  });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** Makes the server lose count of the sockets of a peer's account. */
function poison(peer: Peer, id: ConversationId): void {
  peer.send({ type: "typing_start", ref: "poison", conversation_id: id });
}

function remove(actor: Person, id: ConversationId, account: AccountId): Promise<unknown> {
  return actor.request("DELETE", `/api/conversations/${id}/participants/${account}`);
}

function add(actor: Person, id: ConversationId, account: AccountId): Promise<unknown> {
  return actor.request("POST", `/api/conversations/${id}/participants`, { user_id: account });
}

describe("catching up", () => {
  test("a device is sent what lies beyond its cursors, in every conversation, then caught_up, then what is new [RES-1]", async () => {
    const [ann, ben, cem] = await Promise.all([server.person(), server.person(), server.person()]);
    const ids = [await ann.group([ben]), await ann.group([ben, cem]), await ann.dm(ben)];
    using a = await ann.live();
    for (const id of ids) await sayMany(a, id, 3);
    using first = await ben.live();
    expect(first.frames.at(-1)?.type).toBe("caught_up");
    for (const id of ids) expect(seqs(first, id)).toEqual([1, 2, 3, 4]);
    for (const id of ids) first.acknowledge(id, 3);
    await first.settled();
    await first.close();
    using again = await ben.live();
    for (const id of ids) expect(seqs(again, id)).toEqual([4]);
    expect(again.frames.filter((frame) => frame.type === "caught_up")).toHaveLength(1);
    await a.say(ids[0] as ConversationId, "new");
    expect((await again.next("message")).seq).toBe(5);
  });

  test("a device that has everything is only told so [RES-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await a.say(id, "one");
    using b = await ben.live();
    b.acknowledge(id, 2);
    await b.settled();
    await b.close();
    using again = await ben.live();
    expect(again.frames.map((frame) => frame.type)).toEqual(["welcome", "caught_up"]);
  });

  test("every socket sees every conversation rise by one while several people send [RES-2]", async () => {
    const people = await Promise.all([server.person(), server.person(), server.person()]);
    const [ann, ben, cem] = people as [Person, Person, Person];
    const ids = [await ann.group([ben, cem]), await ben.group([ann, cem])];
    const peers = await Promise.all([ann.live(), ben.live(), cem.live(), cem.live()]);
    const sending = peers.slice(0, 3).flatMap((peer) => ids.map((id) => ({ peer, id })));
    for (let i = 0; i < 20; i++) for (const { peer, id } of sending) peer.post(id, `m${i}`);
    // One more joins in the middle, and reads while the others write.
    peers.push(await cem.connect());
    for (const peer of peers) {
      await peer.until((frames) => ids.every((id) => placed(frames, id).length >= 61));
      for (const id of ids) expect(placed(peer.frames, id)).toEqual(range(1, 61));
      await peer.close();
    }
  });

  test("resume sets the socket's cursors higher and lower, and ends with caught_up [RES-3]", async () => {
    const { ann, ben, id } = await pair(server);
    const second = await ann.group([ben]);
    using a = await ann.live();
    for (const one of [id, second]) await sayMany(a, one, 9);
    using b = await ben.live();
    for (const one of [id, second]) b.acknowledge(one, 5);
    await b.settled();
    const before = b.frames.length;
    b.send({ type: "resume", cursors: { [id]: 8, [second]: 2 } });
    await b.next("caught_up");
    const after = b.frames.slice(before).filter((frame) => frame.type === "message");
    expect(after.filter((frame) => frame.conversation_id === id).map((frame) => frame.seq)).toEqual([9, 10]);
    expect(after.filter((frame) => frame.conversation_id === second).map((frame) => frame.seq)).toEqual(range(3, 10));
    await a.say(second, "live");
    expect((await b.next("message")).seq).toBe(11);
  });

  test("resume ignores foreign conversations, and takes a seq beyond the end for the end [RES-3]", async () => {
    const { ann, ben, id } = await pair(server);
    const stranger = await server.person();
    const foreign = await stranger.group([ann]);
    using a = await ann.live();
    await sayMany(a, id, 3);
    using b = await ben.connect();
    await b.next("welcome");
    b.send({ type: "resume", cursors: { [foreign]: 0, [crypto.randomUUID()]: 0, [id]: Number.MAX_SAFE_INTEGER } });
    await b.next("caught_up");
    await b.settled();
    const mark = b.frames.length;
    await a.say(id, "live");
    expect((await b.next("message")).seq).toBe(5);
    expect(b.frames.slice(mark).map((frame) => frame.type)).toEqual(["message"]);
    expect(b.entries(foreign)).toEqual([]);
    expect(b.frames.some((frame) => frame.type === "error")).toBe(false);
  });

  test("resume sent right behind the token counts, however long the node takes to register [RES-3]", async () => {
    const gate = Promise.withResolvers<void>();
    const bus = slowToRegister(new MemoryBus(), gate.promise);
    const node = await server.another({ bus });
    await using _ = node;
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await sayMany(a, id, 3);
    using b = await SocketPeer.open(socketUrl(node));
    b.send({ type: "authenticate", token: ben.token });
    b.send({ type: "resume", cursors: { [id]: 3 } });
    b.send({ type: "ping" });
    await b.next("pong");
    gate.resolve();
    await b.next("caught_up");
    expect(seqs(b, id)).toEqual([4]);
  });

  test("truncated names what retention removed, before the rest [RES-4]", async () => {
    const { ann, ben, id } = await pair(server, { retention_seconds: 3_600 });
    using a = await ann.live();
    await sayMany(a, id, 6);
    await server.db.query("delete from events where conversation = $1 and seq <= 4", [id]);
    await server.db.query("update conversations set purged_seq = 4 where id = $1", [id]);
    using b = await ben.live();
    const told = b.frames.filter((frame) => frame.conversation_id === id);
    expect(told[0]).toEqual({ type: "truncated", conversation_id: id, truncated_before: 5 });
    expect(seqs(b, id)).toEqual([5, 6, 7]);
    // A cursor that stands above what was removed has missed nothing.
    b.send({ type: "resume", cursors: { [id]: 4 } });
    const mark = b.frames.length;
    await b.next("caught_up");
    expect(b.frames.slice(mark).filter((frame) => frame.type === "truncated")).toEqual([]);
  });

  test("truncated comes until it is acknowledged, and then no more [RES-4]", async () => {
    const { ann, ben, id } = await pair(server, { retention_seconds: 3_600 });
    using a = await ann.live();
    await sayMany(a, id, 3);
    await server.db.query("delete from events where conversation = $1", [id]);
    await server.db.query("update conversations set purged_seq = 4 where id = $1", [id]);
    for (const acknowledges of [false, true]) {
      using b = await ben.live();
      expect(b.frames.map((frame) => frame.type)).toEqual(["welcome", "truncated", "caught_up"]);
      if (acknowledges) b.acknowledge(id, 4);
      await b.settled();
      await b.close();
    }
    using last = await ben.live();
    expect(last.frames.map((frame) => frame.type)).toEqual(["welcome", "caught_up"]);
    await a.say(id, "goes on");
    expect((await last.next("message")).seq).toBe(5);
  });

  test("resync repeats what was not acknowledged and nothing else, and ends with caught_up [RES-5]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    await sayMany(a, id, 6);
    await b.until(() => seqs(b, id).length === 7);
    b.acknowledge(id, 4);
    await b.settled();
    const mark = b.frames.length;
    poison(b, id);
    await b.next("resync");
    await b.next("caught_up");
    expect(
      b
        .entries(id)
        .slice(7)
        .map((frame) => frame.seq),
    ).toEqual([5, 6, 7]);
    expect(
      b.frames
        .slice(mark)
        .filter((frame) => frame.type === "error")
        .map((frame) => frame.code),
    ).toEqual(["internal"]);
    await a.say(id, "live");
    expect((await b.next("message")).seq).toBe(8);
  });

  test("resync goes on from a cursor that resume had set lower [RES-5]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await sayMany(a, id, 4);
    using b = await ben.live();
    b.acknowledge(id, 5);
    await b.settled();
    b.send({ type: "resume", cursors: { [id]: 1 } });
    poison(b, id);
    await b.next("resync");
    await b.next("caught_up");
    const resync = b.frames.findIndex((frame) => frame.type === "resync");
    expect(placed(b.frames.slice(resync), id)).toEqual([2, 3, 4, 5]);
  });

  test("an acknowledgement of what was sent before a resync is no error [RES-5]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    await sayMany(a, id, 3);
    await b.until(() => seqs(b, id).length === 4);
    poison(b, id);
    b.acknowledge(id, 4);
    await b.settled();
    expect(b.frames.filter((frame) => frame.code === "ack_ahead")).toEqual([]);
  });

  test("a new device starts where another device of the account had acknowledged; older entries are at HTTP [RES-6]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    await sayMany(a, id, 6);
    await b.until(() => seqs(b, id).length === 7);
    b.acknowledge(id, 5);
    await b.settled();
    const second = await ben.signIn();
    using fresh = await second.live();
    expect(seqs(fresh, id)).toEqual([6, 7]);
    // What the first device acknowledges from here on does not move the second one.
    b.acknowledge(id, 7);
    await b.settled();
    await b.close();
    await fresh.close();
    using again = await second.live();
    expect(seqs(again, id)).toEqual([6, 7]);
    const history = await second.request("GET", `/api/conversations/${id}/messages?after_seq=0&limit=5`);
    expect(history.json.messages.map((entry: { seq: number }) => entry.seq)).toEqual([1, 2, 3, 4, 5]);
  });

  test("who is removed in the middle of a stream gets exactly what is below left_seq, then conversation_left [RES-7]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    for (let i = 0; i < 30; i++) a.post(id, `before${i}`);
    const removal = remove(ann, id, ben.id);
    for (let i = 0; i < 30; i++) a.post(id, `around${i}`);
    await removal;
    const left = await b.next("conversation_left");
    await a.until((frames) => frames.filter((frame) => frame.type === "receipt").length === 60);
    await b.settled();
    expect(left.conversation_id).toBe(id);
    expect(seqs(b, id)).toEqual(range(1, left.left_seq - 1));
    const [row] = await server.db.query<{ seq: number }>(
      "select seq from events where conversation = $1 and kind = 2 order by seq desc limit 1",
      [id],
    );
    expect(row?.seq).toBe(left.left_seq);
    expect(b.frames.filter((frame) => frame.type === "conversation_left")).toHaveLength(1);
  });

  test("who is removed while away gets what came before, then conversation_left, until it is acknowledged [RES-7]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await (await ben.live()).close();
    await sayMany(a, id, 3);
    await remove(ann, id, ben.id);
    await sayMany(a, id, 3);
    for (let i = 0; i < 2; i++) {
      using b = await ben.live();
      expect(seqs(b, id)).toEqual([1, 2, 3, 4]);
      expect(b.frames.filter((frame) => frame.type === "conversation_left")).toEqual([
        { type: "conversation_left", conversation_id: id, left_seq: 5 },
      ]);
      if (i === 1) b.acknowledge(id, 5);
      await b.settled();
      await b.close();
    }
    using last = await ben.live();
    expect(last.frames.map((frame) => frame.type)).toEqual(["welcome", "caught_up"]);
  });

  test("a member added later sees nothing from before; one who comes again is told of the gap and goes on [RES-7]", async () => {
    const { ann, ben, id } = await pair(server);
    const cem = await server.person();
    using a = await ann.live();
    using c = await cem.live();
    await sayMany(a, id, 3);
    await add(ann, id, cem.id);
    await a.say(id, "both");
    await c.until(() => seqs(c, id).length === 2);
    expect(seqs(c, id)).toEqual([5, 6]);
    await remove(ann, id, cem.id);
    expect((await c.next("conversation_left")).left_seq).toBe(7);
    await sayMany(a, id, 2);
    await add(ann, id, cem.id);
    await a.say(id, "again");
    expect((await c.next("truncated")).truncated_before).toBe(10);
    await c.until(() => seqs(c, id).length === 4);
    expect(seqs(c, id)).toEqual([5, 6, 10, 11]);
    void ben;
  });

  test("who left and came again while away is told both, and goes on to the end [RES-7]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using early = await ben.live();
    early.acknowledge(id, 1);
    await early.settled();
    await early.close();
    await sayMany(a, id, 2);
    await remove(ann, id, ben.id);
    await sayMany(a, id, 2);
    await add(ann, id, ben.id);
    await sayMany(a, id, 2);
    using b = await ben.live();
    const told = b.frames.filter((frame) => frame.conversation_id === id).map((frame) => frame.seq ?? frame.type);
    expect(told).toEqual([2, 3, "conversation_left", "truncated", 7, 8, 9]);
    expect(b.frames.at(-1)?.type).toBe("caught_up");
  });

  test("a device with many conversations catches up in all of them [RES-1]", async () => {
    const { ann, ben } = await pair(server);
    const ids: ConversationId[] = [];
    for (let i = 0; i < 30; i++) ids.push(await ann.group([ben]));
    using a = await ann.live();
    for (const id of ids) a.post(id, "hello");
    await a.until((frames) => frames.filter((frame) => frame.type === "receipt").length === ids.length);
    using b = await ben.live();
    for (const id of ids) expect(seqs(b, id)).toEqual([1, 2]);
  });

  test("a long log comes in pages of many events, none missing [RES-2]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    const count = LIMITS.pageEvents * 2 + 30;
    for (let done = 0; done < count; done += 30) {
      await sayMany(a, id, 30);
      a.acknowledge(id, done + 31);
    }
    using b = await ben.live();
    expect(seqs(b, id)).toEqual(range(1, b.entries(id).length));
    expect(b.entries(id).length).toBeGreaterThan(count);
    await waitUntil("the sender is live too", () => a.closed === null);
  });
});

/** A bus whose directory answers only after `opened`. */
function slowToRegister(bus: Bus, opened: Promise<void>): Bus {
  return {
    status: bus.status,
    healthy: bus.healthy,
    join: (node, handlers) => bus.join(node, handlers),
    register: (node, account) => opened.then(() => bus.register(node, account)),
    unregister: (node, account) => bus.unregister(node, account),
    locate: (node, accounts) => bus.locate(node, accounts),
    setAway: (node, account, away) => bus.setAway(node, account, away),
    connected: (accounts) => bus.connected(accounts),
    publish: (to, hints) => bus.publish(to, hints),
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}
