/** SPEC.md, "Errors and ends". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { CLOSE_CODES, LIMITS, mayReconnect, newMessageId } from "../../src/protocol/mod.ts";
import { dispatch } from "../../src/realtime/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import type { Peer } from "../support/peer.ts";
import { Peer as SocketPeer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { hand, payloadOf, texts } from "./inbox_support.ts";
import { countEvents, holdHead, pair, range, STARTING_MS, sayMany, seqs, socketUrl, storedLog } from "./support.ts";

/** A message of this content makes the actor that handles it throw. */
const POISON = "cG9pc29u";

const clock = movableClock();
let server: TestApp;
beforeAll(async () => {
  server = await startApp({
    clock,
    hub: {
      dispatch: (deps, actor, attachment, frame, place) => {
        if (frame.type === "message" && frame.encrypted_content === POISON) throw new Error("A poisoned frame");
        dispatch(deps, actor, attachment, frame, place);
      },
    },
  });
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

/** Every frame that is refused, with the code, and the field where one is named. */
const BAD_FRAMES: readonly [text: string, code: string, field?: string][] = [
  ["", "bad_json"],
  ["{", "bad_json"],
  ["nonsense", "bad_json"],
  ['{"type":"ping"', "bad_json"],
  ['{"type":"ping",}', "bad_json"],
  ["{'type':'ping'}", "bad_json"],
  ['{"type":"ping"}{"type":"ping"}', "bad_json"],
  ["\u0000", "bad_json"],
  ["[]", "bad_json"],
  ['{"type":"Message"}', "unknown_frame"],
  ['{"type":"receipt"}', "unknown_frame"],
  ['{"type":"constructor"}', "unknown_frame"],
  ['{"type":null}', "unknown_frame"],
  ['{"type":["ping"]}', "unknown_frame"],
  ['{"type":"message"}', "bad_frame", "id"],
  ['{"type":"message","id":"x","conversation_id":7}', "bad_frame", "conversation_id"],
  ['{"type":"message_ack","conversation_id":"00000000-0000-7000-8000-000000000000","seq":"1"}', "bad_frame", "seq"],
  ['{"type":"message_ack","conversation_id":"00000000-0000-7000-8000-000000000000","seq":-1}', "bad_frame", "seq"],
  ['{"type":"message_ack","conversation_id":"00000000-0000-7000-8000-000000000000","seq":1.5}', "bad_frame", "seq"],
  ['{"type":"message_ack","conversation_id":"00000000-0000-7000-8000-000000000000","seq":1e300}', "bad_frame", "seq"],
  ['{"type":"message_read","conversation_id":"00000000-0000-7000-8000-000000000000"}', "bad_frame", "seq"],
  ['{"type":"typing_start","conversation_id":"nothing"}', "bad_frame", "conversation_id"],
  ['{"type":"resume","cursors":[]}', "bad_frame", "cursors"],
  ['{"type":"resume","cursors":{"x":1}}', "bad_frame", "cursors"],
  ['{"type":"authenticate"}', "bad_frame", "token"],
  ['{"type":"authenticate","token":{}}', "bad_frame", "token"],
  ['{"type":"ping","ref":{}}', "bad_frame", "ref"],
  ['{"type":"ping","ref":1.5}', "bad_frame", "ref"],
];

/** What the server counts of a metric. */
async function counted(name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)`, "m").exec(text)?.[1] ?? 0);
}

function answered(peer: Peer, id: string) {
  return peer.match((frame) => (frame.type === "receipt" || frame.type === "error") && frame.id === id);
}

describe("errors", () => {
  test("error answers the frame with its ref and leaves every other frame as it was [ERR-1]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const good = a.post(id, "good", { ref: 1 });
    const bad = a.post(id, "bad", { ref: 2, conversation_id: crypto.randomUUID() });
    a.send({ type: "ping", ref: 3 });
    a.send({ type: "message_ack", ref: "four", conversation_id: id, seq: 99 });
    const last = a.post(id, "last", { ref: 5 });
    expect(await a.match((frame) => frame.ref === 2)).toEqual({
      type: "error",
      ref: 2,
      id: bad,
      code: "conversation_not_found",
      message: expect.any(String),
      retryable: false,
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    await a.until((frames) => [1, 3, "four", 5].every((ref) => frames.some((frame) => frame.ref === ref)));
    const types = Object.fromEntries(
      a.frames.filter((frame) => frame.ref !== undefined).map((frame) => [frame.ref, frame.type]),
    );
    expect(types).toEqual({ 1: "receipt", 2: "error", 3: "pong", four: "error", 5: "receipt" });
    expect((await storedLog(server.db, id)).slice(1).map((row) => row.id)).toEqual([good, last]);
  });

  test("malformed, unknown and wrong frames are named by code and field, nothing is stored, and the socket lives [ERR-2]", async () => {
    using peer = await (await server.person()).live();
    const before = await countEvents(server.db);
    for (const [text, code, field] of BAD_FRAMES) {
      peer.send(text);
      const error = await peer.next("error");
      expect({ text, code: error.code, retryable: error.retryable }).toEqual({ text, code, retryable: false });
      if (field !== undefined) expect(Object.keys(error.details.fields)).toContain(field);
    }
    await peer.settled();
    expect(await countEvents(server.db)).toBe(before);
  });

  test("a wrong field in a message is bad_frame with the message's id, and its value is never repeated [ERR-2]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    const before = await countEvents(server.db);
    const wrong: Record<string, unknown>[] = [
      { message_type: "system" },
      { encrypted_content: 7 },
      { encrypted_content: "" },
      { encrypted_content: ["c2VjcmV0LXZhbHVl"] },
      { expires_in: 0 },
      { expires_in: LIMITS.expirySeconds + 1 },
      { expires_in: "60" },
      { reply_to: "the one before" },
      { encryption_iv: "c2VjcmV0LXZhbHVl".repeat(30) },
    ];
    for (const more of wrong) {
      const message = a.post(id, "c2VjcmV0LXZhbHVl", { ref: "m", ...more });
      const error = await answered(a, message);
      expect({ more, code: error.code, ref: error.ref, fields: Object.keys(error.details.fields) }).toEqual({
        ...{ more, code: "bad_frame", ref: "m" },
        fields: [expect.stringContaining(Object.keys(more)[0] ?? "")],
      });
      expect(JSON.stringify(error)).not.toContain("c2VjcmV0LXZhbHVl");
    }
    // Of another version than 7, or in capitals: no id that a retry could carry.
    for (const wrongId of [crypto.randomUUID(), newMessageId().toUpperCase(), 7]) {
      a.post(id, "text", { ref: "id", id: wrongId });
      expect(await a.next("error")).toMatchObject({
        ref: "id",
        code: "bad_frame",
        details: { fields: { id: expect.any(String) } },
      });
    }
    expect(await countEvents(server.db)).toBe(before);
    await a.settled();
  });

  test("content that is too long is payload_too_large, one character less is stored [ERR-2]", async () => {
    const { ann, id } = await pair(server);
    using a = await ann.live();
    expect(await a.say(id, "x".repeat(LIMITS.contentChars + 1))).toMatchObject({
      type: "error",
      code: "payload_too_large",
      retryable: false,
    });
    expect(await storedLog(server.db, id)).toHaveLength(1);
    expect(await a.say(id, "x".repeat(LIMITS.contentChars))).toMatchObject({ type: "receipt", seq: 2 });
  });

  test("a frame that makes the actor fail is internal; others see resync at most, and miss nothing [ERR-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using second = await (await ann.signIn()).live();
    using b = await ben.live();
    await sayMany(a, id, 5);
    await second.until(() => seqs(second, id).includes(6));
    second.acknowledge(id, 4);
    await second.settled();
    const failures = await counted("sotto_actor_failures_total");
    // Before and behind the poison, in one breath.
    const before = Array.from({ length: 10 }, (_, i) => a.post(id, `before${i}`));
    const poison = a.post(id, POISON, { ref: "poison" });
    const behind = Array.from({ length: 10 }, (_, i) => a.post(id, `behind${i}`));
    expect(await a.match((frame) => frame.ref === "poison")).toMatchObject({
      type: "error",
      id: poison,
      code: "internal",
      retryable: false,
    });
    for (const message of [...before, ...behind])
      await a.until((frames) => frames.some((frame) => frame.type === "receipt" && frame.id === message));
    await b.until(() => seqs(b, id).length === 26);
    expect(seqs(b, id)).toEqual(range(1, 26));
    expect(b.frames.some((frame) => frame.type === "resync")).toBe(false);
    await second.next("resync");
    await second.until(() => seqs(second, id).includes(26));
    const resync = second.frames.findIndex((frame) => frame.type === "resync");
    const again = second.frames
      .slice(resync)
      .filter((frame) => frame.type === "message")
      .map((frame) => frame.seq);
    expect(again).toEqual(range(5, 26));
    await second.until((frames) => frames.slice(resync).some((frame) => frame.type === "caught_up"));
    const rows = await storedLog(server.db, id);
    expect(rows.map((row) => row.seq)).toEqual(range(1, 26));
    expect(rows.slice(6).map((row) => row.id)).toEqual([...before, ...behind]);
    expect(await counted("sotto_actor_failures_total")).toBe(failures + 1);
    expect(server.logged()).toContain("A poisoned frame");
    expect(server.logged()).not.toContain(POISON);
    await a.settled();
  });

  test("after a failure each entry of an inbox has come once, and what comes then comes too [ERR-3, KEX-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using b = await ben.live();
    for (let i = 0; i < 3; i++) {
      expect(await hand(a, ben, { payload: payloadOf(`before ${i}`) })).toMatchObject({ type: "key_exchange_stored" });
      b.post(id, POISON);
    }
    await b.until((frames) => frames.filter(({ code }) => code === "internal").length === 3);
    expect(await hand(a, ben, { payload: payloadOf("behind") })).toMatchObject({ type: "key_exchange_stored" });
    await b.until(() => texts(b).includes("behind"));
    expect(texts(b)).toEqual(["before 0", "before 1", "before 2", "behind"]);
    b.send({ type: "key_exchange_ack", seq: 4 });
    await b.settled();
    expect(b.frames.some(({ code }) => code === "ack_ahead")).toBe(false);
  });

  test("the fifth failure within a minute closes the socket that caused them with 4500, and no other [ERR-3]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    using second = await ann.live();
    using b = await ben.live();
    for (let i = 0; i < LIMITS.failuresPerMinute - 1; i++)
      expect(await a.say(id, POISON)).toMatchObject({ code: "internal" });
    // A minute later the count begins anew; in two steps, for a socket that is silent for so long is cut.
    for (let step = 0; step < 2; step++) {
      clock.advance(30_500);
      for (const peer of [a, second, b]) await peer.settled();
    }
    for (let i = 0; i < LIMITS.failuresPerMinute - 1; i++)
      expect(await a.say(id, POISON)).toMatchObject({ code: "internal" });
    await a.settled();
    const last = a.post(id, POISON);
    expect(await a.ended()).toEqual({ code: 4500, reason: "failing" });
    expect(a.frames.some((frame) => frame.type === "error" && frame.id === last && frame.code === "internal")).toBe(
      true,
    );
    expect(await second.say(id, "others go on")).toMatchObject({ type: "receipt", seq: 2 });
    await b.until(() => seqs(b, id).length === 2);
    using back = await ann.live();
    expect(seqs(back, id)).toEqual([1, 2]);
  });
});

describe("ends", () => {
  test("codes from 4400 to 4499 mean stop, every other code means reconnect [CLS-1]", () => {
    const stop = Object.entries(CLOSE_CODES).filter(([, code]) => !mayReconnect(code));
    expect(stop.map(([reason]) => reason).sort()).toEqual(
      [
        "account_disabled",
        "authentication_timeout",
        "bad_protocol",
        "channel_gone",
        "session_ended",
        "too_many_sockets",
        "unauthorized",
        "wrong_session",
      ].sort(),
    );
    for (const code of [1000, 1001, 1005, 1006, 1009, 1011, 1012, 3000, 4399, 4500, 4999])
      expect(mayReconnect(code)).toBe(true);
    for (const code of [4400, 4450, 4499]) expect(mayReconnect(code)).toBe(false);
  });

  test("a node that stops answers what is in flight, then closes with 1012, and takes nobody new [CLS-2]", async () => {
    const node = await server.another();
    const { ann, ben, id } = await pair(node);
    using a = await ann.live();
    using b = await ben.live();
    using waiting = await SocketPeer.open(socketUrl(node));
    const head = await holdHead(server.db, id);
    const sent = Array.from({ length: 20 }, (_, i) => a.post(id, `m${i}`));
    await a.settled();
    const stopping = node[Symbol.asyncDispose]();
    expect(await b.ended()).toEqual({ code: 1012, reason: "draining" });
    expect(await waiting.ended()).toEqual({ code: 1012, reason: "draining" });
    expect(a.closed).toBeNull();
    const refused = await RawSocket.upgrade(socketUrl(node), { Authorization: `Bearer ${ann.token}` });
    using _ = refused.socket;
    expect(refused.status).toBe(503);
    // What comes now is refused as retryable, for the next node.
    const late = a.post(id, "late");
    expect(await answered(a, late)).toMatchObject({ code: "unavailable", retryable: true });
    await head.release();
    expect(await a.ended()).toEqual({ code: 1012, reason: "draining" });
    await stopping;
    const receipts = a.frames.filter((frame) => frame.type === "receipt");
    expect(receipts.map((frame) => frame.id)).toEqual(sent);
    expect((await storedLog(server.db, id)).slice(1).map((row) => row.id)).toEqual(sent);
  });
});
