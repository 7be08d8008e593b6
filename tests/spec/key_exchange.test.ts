/** Handing keys to devices: two nodes, real sockets, and devices that come and go. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { purgeInboxes } from "../../src/devices/mod.ts";
import { LIMITS, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import type { Peer } from "../support/peer.ts";
import { statementsWhile } from "../support/statements.ts";
import { waitUntil } from "../support/wait.ts";
import { fill, given, hand, outcomeOf, payloadOf, storedFor, texts, textsOnce } from "./inbox_support.ts";
import { range, STARTING_MS } from "./support.ts";

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus });
  nodes = [one, await one.another({ bus })];
}, STARTING_MS);
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
}, STARTING_MS);

const STORED = "key_exchange_stored";

/** Ann at one node and Ben at the other. */
async function two(): Promise<{ ann: Person; ben: Person }> {
  const [ann, ben] = await Promise.all([nodes[0].person(), nodes[1].person()]);
  return { ann, ben };
}

/** An id that was made so many hours ago, or will be in so many. */
const idOf = (hours: number) => uuidv7(Date.now() + hours * 3_600_000);

describe("key_exchange", () => {
  test("reaches every device where somebody is signed in, or one session's alone, and never the sender's own [KEX-1]", async () => {
    const { ann, ben } = await two();
    const [tablet, other] = [await ben.signIn({ url: nodes[0].url }), await ann.signIn({ url: nodes[1].url })];
    using one = await ann.live();
    using own = await other.live();
    using phone = await ben.live();
    using far = await tablet.live();
    const id = newMessageId();
    expect(await hand(one, ben, { id, payload: payloadOf("for all") })).toEqual({
      ...{ type: STORED, id, ref: expect.any(String) },
    });
    expect(outcomeOf(await hand(one, ben, { to_session_id: tablet.sessionId, payload: payloadOf("for one") }))).toBe(
      STORED,
    );
    expect(outcomeOf(await hand(one, ann, { payload: payloadOf("for myself") }))).toBe(STORED);
    expect(await textsOnce(phone, 1)).toEqual(["for all"]);
    expect(await textsOnce(far, 2)).toEqual(["for all", "for one"]);
    expect(await textsOnce(own, 1)).toEqual(["for myself"]);
    expect(given(phone)[0]).toEqual({
      ...{ type: "key_exchange", seq: 1, id, from_user_id: ann.id, from_session_id: ann.sessionId },
      ...{ payload: payloadOf("for all"), created_at: expect.stringMatching(/^\d{4}-.*Z$/) },
    });
    // The answer goes to that device alone.
    const back = { to_session_id: given(phone)[0].from_session_id, payload: payloadOf("answer") };
    expect(outcomeOf(await hand(phone, ann, back))).toBe(STORED);
    expect(await textsOnce(one, 1)).toEqual(["answer"]);
    for (const peer of [one, own, phone, far]) await peer.settled();
    expect([texts(one), texts(own), texts(phone)]).toEqual([["answer"], ["for myself"], ["for all"]]);
  });

  test("waits for a device that is away, comes after welcome, in its order, until it is acknowledged on some socket [KEX-3]", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    for (const text of ["first", "second", "third"])
      expect(outcomeOf(await hand(one, ben, { payload: payloadOf(text) }))).toBe(STORED);
    using here = await ben.connect();
    using there = await ben.at(nodes[0].url).connect();
    for (const peer of [here, there]) {
      expect(await textsOnce(peer, 3)).toEqual(["first", "second", "third"]);
      expect(given(peer).map(({ seq }) => seq)).toEqual([1, 2, 3]);
      expect(peer.frames[0]?.type).toBe("welcome");
    }
    here.send({ type: "key_exchange_ack", seq: 2 });
    await waitUntil("two are gone", async () => {
      const held = (await storedFor(nodes[0].db, ben.deviceId)).map((entry) => entry.held);
      return JSON.stringify(held) === JSON.stringify([false, false, true]);
    });
    using again = await ben.live();
    expect(await textsOnce(again, 1)).toEqual(["third"]);
    expect(outcomeOf(await hand(one, ben, { payload: payloadOf("fourth") }))).toBe(STORED);
    expect(await textsOnce(again, 2)).toEqual(["third", "fourth"]);
    expect((await textsOnce(there, 4)).at(-1)).toBe("fourth");
    // A device keeps its inbox while nobody is signed in on it, and gets it when somebody is again.
    await ben.request("POST", "/api/auth/signout", {});
    using back = await (await ben.signIn({ deviceId: ben.deviceId })).live();
    expect(await textsOnce(back, 2)).toEqual(["third", "fourth"]);
  });

  test("is stored once, whatever node it is repeated at, before and after it was acknowledged [KEX-2]", async () => {
    const { ann, ben } = await two();
    using here = await ann.live();
    using there = await ann.at(nodes[1].url).live();
    using reader = await ben.live();
    const ids = Array.from({ length: 10 }, () => newMessageId());
    const answers = await Promise.all(ids.flatMap((id) => [here, there].map((peer) => hand(peer, ben, { id }))));
    expect(answers.map(outcomeOf)).toEqual(answers.map(() => STORED));
    await textsOnce(reader, 10);
    reader.send({ type: "key_exchange_ack", seq: 10 });
    await waitUntil("nothing is held", async () =>
      (await storedFor(nodes[0].db, ben.deviceId)).every(({ held }) => !held),
    );
    const [id] = ids;
    expect(outcomeOf(await hand(here, ben, { id }))).toBe(STORED);
    expect(outcomeOf(await hand(there, ben, { id, payload: payloadOf("other") }))).toBe("idempotency_conflict");
    await reader.settled();
    expect(given(reader).map(({ seq }) => seq)).toEqual(range(1, 10));
    expect(new Set(given(reader).map((frame) => frame.id))).toEqual(new Set(ids));
    // A further device of theirs gets it by the same id.
    using tablet = await (await ben.signIn()).live();
    expect(outcomeOf(await hand(here, ben, { id }))).toBe(STORED);
    expect((await textsOnce(tablet, 1)).length).toBe(1);
  });

  test("is refused under an id of another day, unless it is known [KEX-2]", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    for (const id of [idOf(-25), idOf(25)]) expect(outcomeOf(await hand(one, ben, { id }))).toBe("id_out_of_window");
    const [known, old] = [newMessageId(), idOf(-30)];
    expect(outcomeOf(await hand(one, ben, { id: known }))).toBe(STORED);
    await nodes[0].db.query("update device_inbox set id = $2 where id = $1", [known, old]);
    expect(outcomeOf(await hand(one, ben, { id: old }))).toBe(STORED);
    expect(await storedFor(nodes[0].db, ben.deviceId)).toHaveLength(1);
  });

  test("goes on at 32 that are not acknowledged when some are, on every socket of the device [KEX-4]", async () => {
    const { ann, ben } = await two();
    await fill(nodes[0].db, { reader: ben, sender: ann, count: 70 });
    using reader = await ben.live();
    using other = await ben.live();
    for (const peer of [reader, other]) {
      await textsOnce(peer, LIMITS.inboxWindow);
      await peer.settled();
      expect(given(peer).map(({ seq }) => seq)).toEqual(range(1, LIMITS.inboxWindow));
    }
    reader.send({ type: "key_exchange_ack", ref: "far", seq: LIMITS.inboxWindow + 1 });
    expect(await reader.next("error")).toMatchObject({ code: "ack_ahead", ref: "far" });
    reader.send({ type: "key_exchange_ack", seq: 10 });
    for (const peer of [reader, other]) {
      await textsOnce(peer, 42);
      await peer.settled();
      expect(given(peer).map(({ seq }) => seq)).toEqual(range(1, 42));
    }
    reader.send({ type: "key_exchange_ack", seq: 42 });
    for (const peer of [reader, other]) expect((await textsOnce(peer, 70)).length).toBe(70);
    other.send({ type: "key_exchange_ack", seq: 70 });
    await waitUntil("nothing is held", async () =>
      (await storedFor(nodes[0].db, ben.deviceId)).every(({ held }) => !held),
    );
  });

  test("to nobody, to a session that is not theirs or is over, and to who is signed in nowhere looks alike [KEX-5]", async () => {
    const { ann, ben } = await two();
    const [gone, away] = [await ben.signIn(), await nodes[0].person()];
    await gone.request("POST", "/api/auth/signout", {});
    await away.request("POST", "/api/auth/signout", {});
    using one = await ann.live();
    const answers = [
      await hand(one, { id: crypto.randomUUID() }),
      await hand(one, ben, { to_session_id: crypto.randomUUID() }),
      await hand(one, ben, { to_session_id: ann.sessionId }),
      await hand(one, ben, { to_session_id: gone.sessionId }),
      await hand(one, away),
      await hand(one, ann), // no other device
      await hand(one, ann, { to_session_id: ann.sessionId }),
    ];
    const bare = answers.map(({ ref: _, id: __, request_id: ___, ...rest }) => rest);
    expect(bare[0]).toMatchObject({ type: "error", code: "user_not_found", retryable: false });
    for (const answer of bare) expect(answer).toEqual(bare[0]);
    expect(await nodes[0].db.query("select 1 from device_inbox where sender = $1", [ann.id])).toEqual([]);
  });

  test("beyond 16 KiB, and what is no base64, is refused [KEX-6]", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    using reader = await ben.live();
    const most = Buffer.alloc(16 * 1024, 7);
    expect(outcomeOf(await hand(one, ben, { payload: most.toString("base64") }))).toBe(STORED);
    await textsOnce(reader, 1);
    expect(Buffer.from(given(reader)[0].payload, "base64")).toEqual(most);
    const long = await hand(one, ben, { payload: "A".repeat(LIMITS.keyExchangeChars + 4) });
    expect(long).toMatchObject({ code: "payload_too_large", retryable: false });
    for (const payload of ["", "A", "QUJ", "QUJD=", "QU-_", "QU JD"])
      expect(outcomeOf(await hand(one, ben, { payload }))).toBe("bad_frame");
    expect(await storedFor(nodes[0].db, ben.deviceId)).toHaveLength(1);
  });

  test("is refused beyond 60 in a minute [KEX-6]", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    const outcomes: string[] = [];
    for (let i = 0; i < 61; i++) outcomes.push(outcomeOf(await hand(one, ben)));
    // A slow machine earns one more meanwhile.
    while (outcomes.at(-1) === STORED && outcomes.length < 100) outcomes.push(outcomeOf(await hand(one, ben)));
    expect(outcomes.slice(0, 60)).toEqual(range(1, 60).map(() => STORED));
    expect(outcomes.at(-1)).toBe("rate_limited");
  });

  test("to a full inbox is refused until it is acknowledged, and reaches the devices that have room [KEX-6]", async () => {
    const { ann, ben } = await two();
    const [cem, tablet] = [await nodes[0].person(), await ben.signIn()];
    await fill(nodes[0].db, { reader: ben, sender: cem, count: LIMITS.inboxEntries });
    using one = await ann.live();
    using far = await tablet.live();
    const id = newMessageId();
    for (let i = 0; i < 2; i++) {
      expect(await hand(one, ben, { id })).toMatchObject({ code: "inbox_full", retryable: true, id });
      await textsOnce(far, 1);
      await far.settled();
      expect(given(far).map((frame) => frame.id)).toEqual([id]);
    }
    using phone = await ben.live();
    await textsOnce(phone, 1);
    phone.send({ type: "key_exchange_ack", seq: 1 });
    await waitUntil("there is room", async () => outcomeOf(await hand(one, ben, { id })) === STORED);
    const stored = await storedFor(nodes[0].db, ben.deviceId);
    expect(stored.map(({ seq }) => seq)).toContain(LIMITS.inboxEntries + 1);
    expect(stored.filter(({ held }) => held)).toHaveLength(LIMITS.inboxEntries);
  });

  test("of one sender is refused beyond a hundred entries or half a megabyte, acknowledged or not [KEX-6]", async () => {
    const { ann, ben } = await two();
    const [cem, dan] = await Promise.all([nodes[0].person(), nodes[0].person()]);
    await fill(nodes[0].db, { reader: ben, sender: ann, count: LIMITS.inboxEntriesOfOne - 1 });
    await fill(nodes[0].db, { reader: ben, sender: cem, count: 1, size: LIMITS.inboxBytesOfOne - 3 });
    using one = await ann.live();
    using other = await cem.live();
    using third = await dan.live();
    expect(outcomeOf(await hand(one, ben))).toBe(STORED);
    expect(outcomeOf(await hand(other, ben, { payload: payloadOf("four") }))).toBe("inbox_full");
    await nodes[0].db.query("update device_inbox set body = null where device = $1", [ben.deviceId]);
    for (const peer of [one, other])
      expect(outcomeOf(await hand(peer, ben, { payload: payloadOf("four") }))).toBe("inbox_full");
    expect(outcomeOf(await hand(other, ben, { payload: payloadOf("six") }))).toBe(STORED);
    expect(outcomeOf(await hand(third, ben))).toBe(STORED);
  });

  test("goes after thirty days, and what is known of it two days after it was acknowledged [KEX-6]", async () => {
    const { ann, ben } = await two();
    const { db } = nodes[0];
    using one = await ann.live();
    for (const text of ["old", "acknowledged", "new"]) await hand(one, ben, { payload: payloadOf(text) });
    using reader = await ben.live();
    await textsOnce(reader, 3);
    const days = async () =>
      (
        await db.query<{ days: number }>(
          "select (extract(epoch from expires_at - at) / 86400)::int as days from device_inbox where device = $1 order by seq",
          [ben.deviceId],
        )
      ).map((row) => row.days);
    expect(await days()).toEqual([30, 30, 30]);
    reader.send({ type: "key_exchange_ack", seq: 2 });
    await waitUntil("it is acknowledged", async () => JSON.stringify(await days()) === "[2,2,30]");
    await db.query("update device_inbox set expires_at = now() where device = $1 and seq < 3", [ben.deviceId]);
    expect(await purgeInboxes({ db })).toBeGreaterThanOrEqual(2);
    expect((await storedFor(db, ben.deviceId)).map(({ seq }) => seq)).toEqual([3]);
    // What is over is not given, even before it is removed.
    await db.query("update device_inbox set expires_at = now() where device = $1", [ben.deviceId]);
    expect(outcomeOf(await hand(one, ben, { payload: payloadOf("last") }))).toBe(STORED);
    using again = await ben.live();
    expect(await textsOnce(again, 1)).toEqual(["last"]);
  });

  test("of who is blocked is answered alike, and never given [KEX-7]", async () => {
    const { ann, ben } = await two();
    const cem = await nodes[1].person();
    expect((await ben.request("POST", `/api/users/${ann.id}/block`)).status).toBe(204);
    using one = await ann.live();
    const tried = async (to: Person) => {
      const id = newMessageId();
      const statements = await statementsAbout(to.id, async () => {
        const answers = [
          await hand(one, to, { id, payload: payloadOf("canary") }),
          await hand(one, to, { id, payload: payloadOf("canary") }),
          await hand(one, to, { id, payload: payloadOf("other") }),
          await hand(one, to, { id: idOf(-25) }),
          await hand(one, to, { to_session_id: to.sessionId }),
          await hand(one, to, { to_session_id: ann.sessionId }),
        ];
        outcomes.push(answers.map(outcomeOf));
      });
      await fill(nodes[0].db, { reader: to, sender: ann, count: LIMITS.inboxEntriesOfOne - 3 });
      outcomes.push([outcomeOf(await hand(one, to)), outcomeOf(await hand(one, to))]);
      return statements;
    };
    const outcomes: string[][] = [];
    const [blocked, away] = [await tried(ben), await tried(cem)];
    expect(blocked.length).toBeGreaterThanOrEqual(6);
    expect(blocked).toEqual(away);
    expect(outcomes.slice(0, 2)).toEqual(outcomes.slice(2));
    expect(outcomes[0]).toEqual([STORED, STORED, "idempotency_conflict", "id_out_of_window", STORED, "user_not_found"]);
    expect(outcomes[1]).toEqual([STORED, "inbox_full"]);
    const withheld = (await storedFor(nodes[0].db, ben.deviceId)).filter(({ seq }) => seq === null);
    expect(withheld).toHaveLength(3);
    expect(withheld.every(({ blank }) => blank)).toBe(true);
    expect((await ben.request("DELETE", `/api/users/${ann.id}/block`)).status).toBe(204);
    await nodes[0].db.query("delete from device_inbox where device = $1 and seq is not null", [ben.deviceId]);
    using reader = await ben.live();
    using other = await cem.live();
    expect(await textsOnce(other, 1)).toContain("canary");
    using dan = await (await nodes[0].person()).live();
    expect(outcomeOf(await hand(dan, ben, { payload: payloadOf("from another") }))).toBe(STORED);
    expect(await textsOnce(reader, 1)).toEqual(["from another"]);
  });

  test("goes with the account that sent it, and with the one that it is for", async () => {
    const { ann, ben } = await two();
    const cem = await nodes[0].person();
    using one = await ann.live();
    using other = await cem.live();
    for (const peer of [one, other]) expect(outcomeOf(await hand(peer, ben))).toBe(STORED);
    const rows = async () => (await storedFor(nodes[0].db, ben.deviceId)).length;
    const gone = (who: Person) => nodes[0].db.query("delete from accounts where id = $1", [who.id]);
    expect(await rows()).toBe(2);
    await gone(ann);
    expect(await rows()).toBe(1);
    await gone(ben);
    expect(await rows()).toBe(0);
    expect(await nodes[0].db.query("select 1 from device_inboxes where device = $1", [ben.deviceId])).toEqual([]);
    expect(outcomeOf(await hand(other, ben))).toBe("user_not_found");
  });

  test("is answered once a block under way is over, and waits for no head of a conversation [KEX-7]", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    using reader = await ben.live();
    const gate = Promise.withResolvers<void>();
    const held = Promise.withResolvers<void>();
    const blocking = nodes[0].db.transaction(async (tx) => {
      await tx.query("select block_account($1, $2, now(), 10)", [ben.id, ann.id]);
      held.resolve();
      await gate.promise;
    });
    await held.promise;
    const answer = hand(one, ben, { payload: payloadOf("canary") });
    await waitUntil("it waits for the lock", async () => {
      const waiting = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like '%put_in_inboxes%'";
      return (await nodes[0].db.query(waiting)).length > 0;
    });
    gate.resolve();
    await blocking;
    expect(outcomeOf(await answer)).toBe(STORED);
    await settledTwice(reader);
    expect(given(reader)).toEqual([]);
  });

  test("fails alone where the database refuses to read or to store it, and goes on when it does not", async () => {
    const { ann, ben } = await two();
    using one = await ann.live();
    using reader = await ben.live();
    const { db } = nodes[0];
    await db.query("alter function read_inboxes rename to read_inboxes_away");
    try {
      expect(outcomeOf(await hand(one, ben, { payload: payloadOf("unread") }))).toBe(STORED);
      await waitUntil("a read failed", () => nodes[1].logged().includes('"part":"inbox"'));
    } finally {
      await db.query("alter function read_inboxes_away rename to read_inboxes");
    }
    expect(await textsOnce(reader, 1)).toEqual(["unread"]);
    expect((await request(nodes[1].url, "GET", "/health")).status).toBe(200);
  });
});

/** Two round trips, with one through the database: what was on its way has come. */
async function settledTwice(peer: Peer): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await peer.settled();
    peer.send({ type: "typing_stop", ref: `asked ${i}`, conversation_id: crypto.randomUUID() });
    await peer.match(({ ref }) => ref === `asked ${i}`);
  }
}

/** The texts of the statements that name an account, of every node of this process, while something is done. */
async function statementsAbout(id: string, work: () => Promise<void>): Promise<string[]> {
  const statements = await statementsWhile(work);
  return statements.filter(({ values }) => values.flat().some((value) => String(value) === id)).map(({ text }) => text);
}
