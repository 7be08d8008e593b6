/** How people are seen, over real sockets at two nodes, with a clock that the test moves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";

const GRACE_MS = 30_000;
const clock = movableClock();
let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  // The tests move the clock as they like, and nobody shall be cut for having been silent.
  const env = { WS_HEARTBEAT_INTERVAL: "3600", WS_CONNECTION_TIMEOUT: "86400" };
  const options = { bus, clock, env, hub: { presence: { lookMs: 50 } } };
  const one = await startApp(options);
  nodes = [one, await one.another(options)];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

const set = (who: Person, body: object) => who.request("PUT", `/api/users/${who.id}`, body);
const see = async (viewer: Person, of: Person) => (await viewer.request("GET", `/api/users/${of.id}`)).json.status;
const isOf = (of: Person) => (frame: Frame) => frame.type === "presence_update" && frame.user_id === of.id;
/** What a socket was told of somebody. The same may be told twice: to who comes, and by a change of that moment. */
const told = (peer: Peer, of: Person): string[] =>
  peer.frames
    .filter(isOf(of))
    .map(({ status }) => status)
    .filter((status, i, all) => status !== all[i - 1]);
const hears = (peer: Peer, of: Person, statuses: readonly string[]) =>
  peer.until(() => Bun.deepEquals(told(peer, of), [...statuses]));

/** Ann at one node, and Ben and Cem, her contacts, at the other, where they are live. */
async function three() {
  const [ann, ben, cem] = await Promise.all([nodes[0].person(), nodes[1].person(), nodes[1].person()]);
  await Promise.all([ann.dm(ben), ann.dm(cem), ben.dm(cem)]);
  return { ann, ben, cem, b: await ben.live() };
}

/** Moves the clock, and waits until a change made after it was told: so was what was due before. */
async function pass(ms: number, { cem, b }: { cem: Person; b: Peer }): Promise<void> {
  clock.advance(ms);
  using _c = await cem.live();
  await b.match(isOf(cem));
}

describe("presence", () => {
  test("goes to contacts at other nodes; who comes later is told too, and a stranger is not [PRE-1, PRE-4]", async () => {
    const { ann, ben, cem, b } = await three();
    const stranger = await nodes[1].person();
    using s = await stranger.live();
    expect(await see(ben, ann)).toBe("offline");
    const a = await ann.live();
    expect(await b.match(isOf(ann))).toEqual({
      type: "presence_update",
      user_id: ann.id,
      status: "online",
      last_seen: null,
    });
    expect(await see(ben, ann)).toBe("online");
    expect(await see(stranger, ann)).toBe("offline");
    using c = await cem.live();
    await c.until(() => told(c, ann).length === 1 && told(c, ben).length === 1);
    await a.until(() => told(a, ben).length === 1 && told(a, cem).length === 1);
    expect(told(s, ann)).toEqual([]);
    expect(await nodes[0].db.query("select 1 from profiles where account = $1", [ann.id])).toEqual([]);
    a[Symbol.dispose]();
    b[Symbol.dispose]();
  });

  test("somebody is offline after half a minute without a socket; coming back in between changes nothing [PRE-1]", async () => {
    const world = await three();
    const { ann, ben, b } = world;
    for (let i = 0; i < 12; i++) {
      const node = nodes[i % 2] as TestApp;
      const a = await ann.at(node.url).live();
      if (i === 0) await hears(b, ann, ["online"]);
      clock.advance(4_000);
      await a.close();
    }
    await pass(GRACE_MS - 10_000, world);
    expect(told(b, ann)).toEqual(["online"]);
    clock.advance(GRACE_MS);
    await hears(b, ann, ["online", "offline"]);
    const { last_seen: day } = b.frames.findLast(isOf(ann));
    expect(day).toBe(new Date(clock.now()).toISOString().slice(0, 10));
    await waitUntil("the profile says so", async () => (await see(ben, ann)) === "offline");
    b[Symbol.dispose]();
  });

  test("what somebody chose goes before; away is who is away from all devices, at all nodes [PRE-2]", async () => {
    const { ann, ben, b } = await three();
    using phone = await ann.live();
    using laptop = await (await ann.signIn({ url: nodes[1].url })).live();
    await hears(b, ann, ["online"]);
    phone.send({ type: "presence_update", status: "away" });
    await phone.settled();
    expect(await see(ben, ann)).toBe("online");
    laptop.send({ type: "presence_update", status: "away" });
    await waitUntil("she is away", async () => (await see(ben, ann)) === "away");
    clock.advance(GRACE_MS);
    await hears(b, ann, ["online", "away"]);
    await set(ann, { status: "dnd" });
    expect(await see(ben, ann)).toBe("dnd");
    clock.advance(GRACE_MS);
    await hears(b, ann, ["online", "away", "dnd"]);
    await set(ann, { status: "offline" });
    expect(await see(ben, ann)).toBe("offline");
    clock.advance(GRACE_MS);
    await hears(b, ann, ["online", "away", "dnd", "offline"]);
    await set(ann, { status: "online" });
    phone.send({ type: "presence_update", status: "online" });
    clock.advance(GRACE_MS);
    await b.until(() => told(b, ann).at(-1) === "online");
    expect((await phone.say(await ann.dm(ben), "x")).type).toBe("receipt");
    phone.send({ type: "presence_update", status: "dnd" });
    expect((await phone.next("error")).code).toBe("bad_frame");
    b[Symbol.dispose]();
  });

  test("who leaves the last group that two people shared is told of nobody in it, and nobody there of them [PRE-1]", async () => {
    const [ann, ben, cem] = await Promise.all([nodes[0].person(), nodes[1].person(), nodes[1].person()]);
    const id = await ben.group([ann, cem]);
    await ann.dm(cem);
    using a = await ann.live();
    using b = await ben.live();
    using c = await cem.live();
    for (const peer of [b, c]) await peer.match(isOf(ann));
    await a.until(() => told(a, ben).length === 1 && told(a, cem).length === 1);
    expect((await ann.request("DELETE", `/api/conversations/${id}/participants/${ann.id}`)).status).toBe(204);
    await hears(b, ann, ["online", "offline"]);
    await hears(a, ben, ["online", "offline"]);
    await set(ann, { status: "dnd" });
    clock.advance(GRACE_MS);
    await hears(c, ann, ["online", "dnd"]);
    expect([told(a, cem), told(b, ann), told(b, cem)]).toEqual([["online"], ["online", "offline"], ["online"]]);
    // The others share the group alone, which ends.
    expect((await ben.request("DELETE", `/api/conversations/${id}`)).status).toBe(204);
    await hears(b, cem, ["online", "offline"]);
    await hears(c, ben, ["online", "offline"]);
  });

  test("a group that grows too large makes strangers of those who shared nothing else", async () => {
    const [ann, ben] = await Promise.all([nodes[0].person(), nodes[1].person()]);
    const crowd = await nodes[0].db.query<{ id: string }>(
      `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
       select gen_random_uuid(), 'much_' || n, 'much_' || n, '', now(), now() from generate_series(1, 99) n returning id`,
    );
    const [last, ...most] = crowd.map((one) => one.id);
    const body = { conversation_type: "group", participant_ids: [ben.id, ...most] };
    const id = (await ann.request("POST", "/api/conversations", body)).json.id;
    using a = await ann.live();
    using b = await ben.live();
    await hears(b, ann, ["online"]);
    await hears(a, ben, ["online"]);
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: last });
    await hears(b, ann, ["online", "offline"]);
    await hears(a, ben, ["online", "offline"]);
  });

  test("who hides is offline for all, and who is blocked or blocks is told nothing any more [PRE-3, BLK-3]", async () => {
    const world = await three();
    const { ann, ben, cem, b } = world;
    using a = await ann.live();
    using c = await cem.live();
    await hears(b, ann, ["online"]);
    await c.match(isOf(ann));
    await a.until(() => told(a, ben).length === 1);
    await ann.request("POST", `/api/users/${ben.id}/block`);
    await hears(b, ann, ["online", "offline"]);
    await hears(a, ben, ["online", "offline"]);
    clock.advance(GRACE_MS);
    await set(ann, { status: "dnd" });
    clock.advance(GRACE_MS);
    await hears(c, ann, ["online", "dnd"]);
    await set(ann, { privacy: { last_seen: "nobody" } });
    clock.advance(GRACE_MS);
    await hears(c, ann, ["online", "dnd", "offline"]);
    expect(c.frames.findLast(isOf(ann)).last_seen).toBeNull();
    using later = await (await ben.signIn()).live();
    await later.match(isOf(cem));
    expect([told(later, ann), told(b, ann)]).toEqual([[], ["online", "offline"]]);
    b[Symbol.dispose]();
  });
});
