/** SPEC.md, "Acknowledging and reading". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, type DeviceId, LIMITS } from "../../src/protocol/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { waitUntil } from "../support/wait.ts";
import { pair, range, STARTING_MS, sayMany, seqs } from "./support.ts";

const clock = movableClock();
let server: TestApp;
beforeAll(async () => {
  server = await startApp({ clock });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** What the database holds as acknowledged by a device. */
async function ackedSeq(device: DeviceId, id: ConversationId): Promise<number | null> {
  const rows = await server.db.query<{ acked_seq: number }>(
    "select acked_seq from device_cursors where device = $1 and conversation = $2",
    [device, id],
  );
  return rows[0]?.acked_seq ?? null;
}

/** What the database holds as read by a person. */
async function readSeq(person: Person, id: ConversationId): Promise<number | undefined> {
  const rows = await server.db.query<{ read_seq: number }>(
    "select read_seq from members where account = $1 and conversation = $2",
    [person.id, id],
  );
  return rows[0]?.read_seq;
}

describe("acknowledging", () => {
  test("message_ack is cumulative, moves only up, and has no answer [ACK-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    await sayMany(a, id, 5);
    await b.until(() => seqs(b, id).length === 6);
    const mark = b.frames.length;
    b.acknowledge(id, 5);
    b.acknowledge(id, 2);
    b.acknowledge(id, 0);
    await b.settled();
    expect(b.frames.slice(mark).map((frame) => frame.type)).toEqual(["pong"]);
    await b.close();
    using again = await ben.live();
    expect(seqs(again, id)).toEqual([6]);
  });

  test("each device acknowledges for itself [ACK-1]", async () => {
    const { ann, ben, id } = await pair(server);
    const second = await ben.signIn();
    using a = await ann.live();
    using one = await ben.live();
    using two = await second.live();
    await a.say(id, "text");
    for (const peer of [one, two]) await peer.until(() => seqs(peer, id).length === 2);
    one.acknowledge(id, 2);
    await one.settled();
    await two.close();
    using again = await second.live();
    expect(seqs(again, id)).toEqual([1, 2]);
  });

  test("a seq that was not sent on this socket is ack_ahead, and moves nothing [ACK-2]", async () => {
    const { ann, ben, id } = await pair(server);
    const stranger = await server.person();
    const foreign = await stranger.group([ann]);
    using a = await ann.live();
    await a.say(id, "text");
    using b = await ben.live();
    for (const [conversation, seq] of [
      [id, 3],
      [id, Number.MAX_SAFE_INTEGER],
      [foreign, 1],
      [crypto.randomUUID(), 1],
    ] as const) {
      b.send({ type: "message_ack", ref: seq, conversation_id: conversation, seq });
      expect(await b.next("error")).toMatchObject({ ref: seq, code: "ack_ahead", retryable: false });
    }
    await b.settled();
    await b.close();
    await ben.live().then((peer) => peer.close());
    expect([null, 0]).toContain(await ackedSeq(ben.deviceId, id));
    expect(await ackedSeq(ben.deviceId, foreign)).toBeNull();
  });

  test("acknowledged cursors reach the database at disconnect [ACK-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    await a.say(id, "text");
    await b.until(() => seqs(b, id).length === 2);
    b.acknowledge(id, 2);
    await b.close();
    await waitUntil("the cursor is stored", async () => (await ackedSeq(ben.deviceId, id)) === 2);
  });

  test("acknowledged cursors reach the database while the device stays [ACK-3]", async () => {
    const quick = await server.another({ cursorFlushMs: 50 });
    await using _ = quick;
    const { ann, ben, id } = await pair(quick);
    using a = await ann.live();
    using b = await ben.live();
    await a.say(id, "text");
    await b.until(() => seqs(b, id).length === 2);
    b.acknowledge(id, 2);
    await waitUntil("the cursor is stored", async () => (await ackedSeq(ben.deviceId, id)) === 2);
    await b.settled();
  });

  test("the time between two writes is within 30 s unless told otherwise [ACK-3]", async () => {
    const source = await Bun.file(new URL("../../src/conversations/cursors.ts", import.meta.url)).text();
    const [, flushMs = "0"] = /const FLUSH_MS = ([\d_]+);/.exec(source) ?? [];
    expect(Number(flushMs.replaceAll("_", ""))).toBeGreaterThan(0);
    expect(Number(flushMs.replaceAll("_", ""))).toBeLessThanOrEqual(30_000);
  });

  test("after 512 events without acknowledgement the server stops, and goes on when they are acknowledged [ACK-4]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    const total = LIMITS.unacknowledgedEvents + 100;
    for (let done = 0; done < total; done += 51) {
      clock.advance(1_000); // the sender's rate is not what is tested
      await sayMany(a, id, 51);
      a.acknowledge(id, done + 52);
    }
    using b = await ben.connect();
    await b.until(() => seqs(b, id).length === LIMITS.unacknowledgedEvents);
    await a.say(id, "one more");
    await b.settled();
    expect(seqs(b, id)).toEqual(range(1, LIMITS.unacknowledgedEvents));
    expect(b.frames.some((frame) => frame.type === "caught_up")).toBe(false);
    b.acknowledge(id, LIMITS.unacknowledgedEvents);
    await b.next("caught_up");
    expect(seqs(b, id)).toEqual(range(1, b.entries(id).length));
    expect(b.entries(id).length).toBeGreaterThan(total);
  });

  test("a window that stays full for 60 s closes with 4509, and the device resumes without loss [ACK-4]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    for (let done = 0; done < 520; done += 52) {
      clock.advance(1_000);
      await sayMany(a, id, 52);
      a.acknowledge(id, done + 53);
    }
    using b = await ben.connect();
    await b.until(() => seqs(b, id).length === LIMITS.unacknowledgedEvents);
    clock.advance(40_000);
    await b.settled();
    expect(b.closed).toBeNull();
    clock.advance(21_000);
    b.send({ type: "ping" });
    expect(await b.ended()).toEqual({ code: 4509, reason: "unacknowledged" });
    using again = await ben.connect();
    await again.until(() => seqs(again, id).length === LIMITS.unacknowledgedEvents);
    again.acknowledge(id, LIMITS.unacknowledgedEvents);
    await again.next("caught_up");
    expect(seqs(again, id)).toEqual(range(1, 521));
  });
});

describe("reading", () => {
  test("message_read moves the person's cursor, never back, and tells the other members [READ-1]", async () => {
    const { ann, ben, id } = await pair(server);
    const cem = await server.person();
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: cem.id });
    using a = await ann.live();
    using b = await ben.live();
    using c = await cem.live();
    await sayMany(a, id, 3);
    await b.until(() => seqs(b, id).length === 5);
    b.send({ type: "message_read", conversation_id: id, seq: 4 });
    for (const peer of [a, c]) {
      expect(await peer.next("message_read")).toEqual({
        type: "message_read",
        conversation_id: id,
        user_id: ben.id,
        seq: 4,
      });
    }
    b.send({ type: "message_read", conversation_id: id, seq: 2 });
    await b.settled();
    expect(b.frames.some((frame) => frame.type === "message_read" || frame.type === "error")).toBe(false);
    await b.close();
    await waitUntil("the cursor is stored", async () => (await readSeq(ben, id)) === 4);
    expect(await readSeq(ann, id)).toBeLessThan(4);
  });

  test("message_read takes what was read elsewhere, and refuses a seq beyond the end [READ-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await sayMany(a, id, 3);
    using b = await ben.live();
    b.acknowledge(id, 4);
    await b.settled();
    await b.close();
    // On this socket nothing of the conversation is sent.
    using again = await ben.live();
    again.send({ type: "message_read", ref: 1, conversation_id: id, seq: 5 });
    expect(await again.next("error")).toMatchObject({ ref: 1, code: "ack_ahead" });
    again.send({ type: "message_read", conversation_id: id, seq: 4 });
    expect(await a.next("message_read")).toMatchObject({ user_id: ben.id, seq: 4 });
    await again.close();
    await waitUntil("the cursor is stored", async () => (await readSeq(ben, id)) === 4);
  });

  test("message_read of a conversation that is not the reader's is refused and told to nobody [READ-1]", async () => {
    const { ann, id } = await pair(server);
    const stranger = await server.person();
    using a = await ann.live();
    using s = await stranger.live();
    for (const conversation of [id, crypto.randomUUID()]) {
      s.send({ type: "message_read", ref: "r", conversation_id: conversation, seq: 1 });
      expect(await s.next("error")).toMatchObject({ ref: "r", code: "conversation_not_found" });
    }
    await a.settled();
    expect(a.frames.some((frame) => frame.type === "message_read")).toBe(false);
  });
});

describe("typing", () => {
  test("typing goes to the other connected members and is stored nowhere [TYP-1]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using own = await (await ann.signIn()).live();
    using b = await ben.live();
    for (const type of ["typing_start", "typing_stop"]) {
      a.send({ type, conversation_id: id });
      expect(await b.next(type)).toEqual({ type, conversation_id: id, user_id: ann.id });
    }
    for (const peer of [a, own]) {
      await peer.settled();
      expect(peer.frames.some((frame) => frame.type.startsWith("typing"))).toBe(false);
    }
    const [row] = await server.db.query<{ count: number }>(
      "select count(*)::int as count from events where conversation = $1",
      [id],
    );
    expect(row?.count).toBe(1);
  });

  test("typing in a conversation that is not the sender's, or was left, is refused and told to nobody [TYP-1]", async () => {
    const { ann, ben, id } = await pair(server);
    const stranger = await server.person();
    using a = await ann.live();
    using b = await ben.live();
    using s = await stranger.live();
    await ann.request("DELETE", `/api/conversations/${id}/participants/${ben.id}`);
    await b.next("conversation_left");
    for (const peer of [b, s]) {
      peer.send({ type: "typing_start", ref: 1, conversation_id: id });
      expect(await peer.next("error")).toMatchObject({ ref: 1, code: "conversation_not_found" });
    }
    a.send({ type: "typing_start", conversation_id: id });
    await a.settled();
    for (const peer of [a, b]) {
      await peer.settled();
      expect(peer.frames.some((frame) => frame.type === "typing_start")).toBe(false);
    }
  });
});
