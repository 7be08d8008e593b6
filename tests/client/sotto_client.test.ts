/** The SDK against a real server, over real sockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { fingerprintOf, MemoryStore, SottoClient, type StoreChange, systemTiming } from "../../src/client/mod.ts";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";
import { arrive, keysFor, PASSWORD, read, readUntil, watch } from "./people.ts";

let app: TestApp;

beforeAll(async () => {
  app = await startApp();
});

afterAll(() => app[Symbol.asyncDispose]());

/** Two people and their dm. */
async function pair(options: { a?: Parameters<typeof arrive>[1]; b?: Parameters<typeof arrive>[1] } = {}) {
  const [a, b] = await Promise.all([
    arrive(app.url, { index: 0, ...options.a }),
    arrive(app.url, { index: 1, ...options.b }),
  ]);
  const { id } = await a.client.api.createConversation({ conversation_type: "dm", participant_ids: [b.id] });
  const end = () => Promise.all([a.client.close(), b.client.close()]);
  return { a, b, dm: id, [Symbol.asyncDispose]: async () => void (await end()) };
}

const texts = (count: number) => Array.from({ length: count }, (_, i) => `Message ${i + 1}`);

describe("SottoClient", () => {
  test("carries text both ways, encrypted, in order, and gives the sender their own [MSG-3, MSG-4]", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const receipts = await Promise.all(texts(60).map((text) => a.client.send(dm, text)));
    expect(receipts.map(({ seq }) => seq)).toEqual(texts(60).map((_, i) => i + 2));
    for (const person of [a, b]) {
      const got = await read(person.client, 60);
      expect(got.map(({ text, fault }) => [text, fault])).toEqual(texts(60).map((text) => [text, null]));
      expect(got.every(({ sender_id }) => sender_id === a.id)).toBe(true);
    }
    await b.client.send(dm, "Understood", { replyTo: receipts[0]?.id ?? ("" as never) });
    const [answer] = await read(a.client, 1);
    expect([answer?.text, answer?.sender_id, answer?.reply_to]).toEqual(["Understood", b.id, receipts[0]?.id]);
    expect([...a.wire.went, ...b.wire.came].join()).not.toContain("Message 1");
  });

  test("sends what was written without a connection, once there is one", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const offline = await SottoClient.signIn(app.url, { username: a.name, password: PASSWORD, keys: await keysFor(0) });
    const sent = texts(5).map((text) => offline.send(dm, text));
    expect(offline.status.state).toBe("idle");
    offline.connect();
    await Promise.all(sent);
    expect((await read(b.client, 5)).map(({ text }) => text)).toEqual(texts(5));
    await offline.close();
  });

  test("stores each message once and in order while both lines are cut again and again", async () => {
    await using both = await pair({ a: { timing: hasty }, b: { timing: hasty } });
    const { a, b, dm } = both;
    let frames = 0;
    a.wire.lets = (direction) => {
      if (++frames % 40 === 0) a.wire.cut();
      return !(direction === "came" && frames % 13 === 0); // a lost answer, and then a cut
    };
    let heard = 0;
    b.wire.lets = () => {
      if (++heard % 30 === 0) b.wire.cut();
      return true;
    };
    const receipts = Promise.all(texts(120).map((text) => a.client.send(dm, text)));
    const got = await read(b.client, 120);
    b.wire.lets = () => true;
    a.wire.lets = () => true;
    a.wire.cut();
    expect(got.map(({ text }) => text)).toEqual(texts(120));
    expect(got.map(({ seq }) => seq)).toEqual(texts(120).map((_, i) => i + 2));
    expect((await receipts).map(({ seq }) => seq)).toEqual(got.map(({ seq }) => seq));
    for (const { statuses } of [a, b]) {
      expect(statuses.filter(({ state }) => state === "waiting").length).toBeGreaterThan(1);
    }
  }, 120_000);

  test("closes a gap by resume, and a gap that resume cannot close by pages [RES-3]", async () => {
    for (const losses of [1, 3]) {
      await using both = await pair();
      const { a, b, dm } = both;
      await b.reaches("live");
      let lost = 0;
      b.wire.lets = (direction, text) => {
        const gone = direction === "came" && lost < losses && text.includes('"seq":4,');
        if (gone) lost++;
        return !gone;
      };
      for (const text of texts(6)) await a.client.send(dm, text);
      expect((await read(b.client, 6)).map(({ text }) => text)).toEqual(texts(6));
      expect(lost).toBeGreaterThanOrEqual(1);
      expect(b.wire.went.filter((text) => text.includes('"resume"')).length).toBeGreaterThanOrEqual(1);
    }
  });

  test("goes on after a restart of the app where its store ended, without repeats [RES-1, ACK-1]", async () => {
    await using both = await pair();
    const { a, dm } = both;
    const store = new MemoryStore();
    const keys = await keysFor(1);
    const first = await watch(both.b.name, { store, keys }, (options) =>
      SottoClient.signIn(app.url, { ...options, username: both.b.name, password: PASSWORD }),
    );
    await first.reaches("live");
    for (const text of texts(3)) await a.client.send(dm, text);
    expect((await read(first.client, 3)).map(({ text }) => text)).toEqual(texts(3));
    const { session } = first.client;
    await first.client.close();
    for (const text of ["While you were out", "Twice"]) await a.client.send(dm, text);
    const second = await watch(both.b.name, { store, keys }, (options) =>
      SottoClient.resume(app.url, session, options),
    );
    expect((await read(second.client, 2)).map(({ text }) => text)).toEqual(["While you were out", "Twice"]);
    expect(second.wire.came.filter((text) => text.startsWith('{"type":"message"'))).toHaveLength(2);
    await second.client.close();
  });

  test("sends after a restart what the store still holds, and tells who asked [MSG-2]", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const store = new MemoryStore();
    const keys = await keysFor(0);
    const offline = await SottoClient.signIn(app.url, { username: a.name, password: PASSWORD, keys, store });
    const given = offline.send(dm, "Before the crash");
    given.catch(() => {});
    await waitUntil("it is stored", async () => (await store.load()).outgoing.length === 1);
    const { session } = offline;
    await offline.close();
    await expect(given).rejects.toMatchObject({ code: "closed" });
    const told = Promise.withResolvers<string>();
    const again = await SottoClient.resume(app.url, session, { keys, store, onReceipt: ({ id }) => told.resolve(id) });
    again.connect();
    const [message] = await read(b.client, 1);
    expect(message?.text).toBe("Before the crash");
    expect(await told.promise).toBe(message?.id ?? "");
    expect((await store.load()).outgoing).toEqual([]);
    await again.close();
  });

  test("rejects what the server refuses for good, and goes on [MSG-8]", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const nowhere = crypto.randomUUID() as ConversationId;
    const refused = a.client.send(nowhere, { encrypted_content: "x" });
    await expect(refused).rejects.toMatchObject({ code: "conversation_not_found", retryable: false, status: 404 });
    await expect(a.client.send(nowhere, "text")).rejects.toMatchObject({ code: "conversation_not_found" });
    await expect(a.client.send(dm, { content: "in clear" })).rejects.toMatchObject({ code: "encryption_mismatch" });
    await expect(a.client.send(dm, "x".repeat(60_000))).rejects.toMatchObject({ code: "payload_too_large" });
    expect((await a.client.send(dm, "still here")).seq).toBe(2);
    expect((await read(b.client, 1))[0]?.text).toBe("still here");
  });

  test("makes a message anew under another id where the first one is too old [MSG-7]", async () => {
    // The first id is made by a clock that is two days late.
    let first = true;
    const late = { ...systemTiming, now: () => Date.now() - (first ? 2 * 24 * 60 * 60 * 1_000 : 0) };
    await using both = await pair({ a: { timing: late } });
    const { a, b, dm } = both;
    await a.reaches("live");
    a.wire.lets = (direction, text) => {
      if (direction === "went" && text.includes('"type":"message"')) first = false;
      return true;
    };
    const receipt = await a.client.send(dm, "Written the day before yesterday");
    expect(receipt.renewedFrom).not.toBeNull();
    expect(receipt.renewedFrom).not.toBe(receipt.id);
    const [got] = await read(b.client, 1);
    expect([got?.id, got?.text, got?.fault]).toEqual([receipt.id, "Written the day before yesterday", null]);
  });

  test("stops when its session ends, and tells everybody who waits [AUTH-6, CLS-1]", async () => {
    await using both = await pair();
    const { a, dm } = both;
    await a.reaches("live");
    const reading = readUntil(a.client, () => false);
    reading.catch(() => {});
    await a.client.api.signOut();
    expect(await a.reaches("stopped")).toMatchObject({ reason: { code: "session_ended", closeCode: 4410 } });
    await expect(reading).rejects.toMatchObject({ code: "stopped" });
    await expect(a.client.send(dm, "hello")).rejects.toMatchObject({ code: "stopped" });
  });

  test("does not use another key for somebody until it is trusted", async () => {
    const store = new MemoryStore();
    await using both = await pair({ a: { store } });
    const { a, b, dm } = both;
    const [theirs, stranger] = [await keysFor(1), await keysFor(2)];
    await store.commit({ trusted: { accountId: b.id, publicKey: stranger.publicKey } });
    const fingerprint = await fingerprintOf(theirs.publicKey);
    await expect(a.client.send(dm, "hello")).rejects.toMatchObject({ code: "key_changed", details: { fingerprint } });
    await expect(a.client.trustKey(b.id, "0".repeat(64))).rejects.toMatchObject({ code: "key_changed" });
    await a.client.trustKey(b.id, fingerprint);
    await a.client.send(dm, "hello");
    expect((await read(b.client, 1))[0]?.text).toBe("hello");
  });

  test("shows a message by an unknown key as damaged, and never as its sender's", async () => {
    const store = new MemoryStore();
    await using both = await pair({ b: { store } });
    const { a, b, dm } = both;
    await store.commit({ trusted: { accountId: a.id, publicKey: (await keysFor(2)).publicKey } });
    await a.client.send(dm, "hello");
    expect(await read(b.client, 1)).toMatchObject([{ text: null, fault: "unknown_signer" }]);
  });

  test("acknowledges nothing and stops when its store fails", async () => {
    class BrokenStore extends MemoryStore {
      override commit(change: StoreChange): Promise<void> {
        return change.entries === undefined ? super.commit(change) : Promise.reject(new Error("disk full"));
      }
    }
    await using both = await pair({ b: { store: new BrokenStore() } });
    const { a, b, dm } = both;
    await a.client.send(dm, "hello");
    expect(await b.reaches("stopped")).toMatchObject({ reason: { code: "store_failed" } });
    expect(b.wire.went.filter((text) => text.includes("message_ack"))).toEqual([]);
    await expect(readUntil(b.client, () => false)).rejects.toMatchObject({ code: "stopped" });
  });

  test("stores before it sends, and before it acknowledges", async () => {
    const order: string[] = [];
    class WatchedStore extends MemoryStore {
      override async commit(change: StoreChange): Promise<void> {
        await super.commit(change);
        if (change.outgoing !== undefined) order.push("stored message");
        if (change.entries?.some(({ type }) => type === "message")) order.push("stored entry");
      }
    }
    await using both = await pair({ a: { store: new WatchedStore() } });
    const { a, dm } = both;
    a.wire.lets = (direction, text) => {
      if (direction === "went" && text.startsWith('{"type":"message",')) order.push("sent");
      if (direction === "went" && text.includes(`"seq":${2}`) && text.includes("message_ack"))
        order.push("acknowledged");
      return true;
    };
    await a.reaches("live");
    await a.client.send(dm, "hello");
    await waitUntil("it is acknowledged", () => order.includes("acknowledged"));
    expect(order).toEqual(["stored message", "sent", "stored entry", "acknowledged"]);
  });

  test("keeps the order when a new socket is there before the old one's frames are stored [MSG-4]", async () => {
    const gate = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    let closed = false;
    class SlowStore extends MemoryStore {
      override async commit(change: StoreChange): Promise<void> {
        if (closed && change.entries !== undefined) {
          reached.resolve();
          await gate.promise;
        }
        await super.commit(change);
      }
    }
    const store = new SlowStore();
    await using both = await pair({ a: { store, timing: hasty } });
    const { a, b, dm } = both;
    await a.reaches("live");
    const isMessage = (text: string) => text.startsWith('{"type":"message",');
    a.wire.lets = (direction, text) => !(direction === "went" && isMessage(text)); // the first one is lost
    const one = a.client.send(dm, "one");
    await waitUntil("it was sent", () => a.wire.went.some(isMessage));
    closed = true;
    await b.client.send(dm, "something to store");
    await reached.promise;
    a.wire.lets = () => true;
    a.wire.cut();
    await waitUntil("the new socket is live", () => a.statuses.filter(({ state }) => state === "live").length === 2);
    const two = a.client.send(dm, "two");
    await waitUntil("both are stored", async () => (await store.load()).outgoing.length === 2);
    gate.resolve();
    expect((await one).seq).toBeLessThan((await two).seq);
  });

  test("keeps the place of an entry whose kind it does not know", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    await b.reaches("live");
    const resumes = () => b.wire.went.filter((text) => text.includes('"resume"')).length;
    const before = resumes();
    b.wire.alters = (text) => (text.includes('"seq":3,') ? text.replace('"type":"message"', '"type":"poll"') : text);
    for (const text of texts(3)) await a.client.send(dm, text);
    const events = await readUntil(b.client, (event) => "seq" in event && event.seq === 4);
    expect(events.map(({ type }) => type as string)).toEqual(["membership", "message", "poll", "message"]);
    expect(resumes()).toBe(before);
  });

  test("renews its token on the same socket before it ends [AUTH-5]", async () => {
    await using short = await startApp({ env: { ACCESS_TOKEN_EXPIRE_MINUTES: "1" } });
    const person = await arrive(short.url);
    await person.reaches("live");
    const token = person.client.session.accessToken;
    const welcomes = () => person.wire.came.filter((text) => text.startsWith('{"type":"welcome"')).length;
    await waitUntil("the new token is welcomed", () => welcomes() === 2);
    expect(person.client.session.accessToken).not.toBe(token);
    expect(person.statuses.map(({ state }) => state)).toEqual(["connecting", "authenticating", "catching_up", "live"]);
    await person.client.close();
  });

  test("carries text as it is where the server encrypts, and expiry [MSG-9, MSG-10]", async () => {
    await using both = await pair();
    const { a, b } = both;
    const group = await a.client.api.createConversation({
      conversation_type: "group",
      name: "Announcements",
      participant_ids: [b.id],
      encryption: "server",
    });
    await a.client.send(group.id, "For all to read", { expiresIn: 3_600 });
    const [got] = await read(b.client, 1);
    expect([got?.text, got?.content]).toEqual(["For all to read", "For all to read"]);
    expect(Date.parse(got?.expires_at ?? "")).toBeGreaterThan(Date.now() + 3_500_000);
  });

  test("leaves and enters a group again, and takes neither for a gap [RES-7]", async () => {
    await using both = await pair();
    const { a, b } = both;
    const { id } = await a.client.api.createConversation({
      conversation_type: "group",
      name: "Book club",
      participant_ids: [b.id],
    });
    await a.client.send(id, "first");
    expect((await read(b.client, 1))[0]?.text).toBe("first");
    await a.client.api.removeParticipant(id, b.id);
    expect((await readUntil(b.client, ({ type }) => type === "conversation_left")).at(-1)).toMatchObject({
      conversation_id: id,
    });
    await a.client.send(id, "without Bob");
    await a.client.api.addParticipant(id, b.id);
    await a.client.send(id, "welcome back");
    expect((await read(b.client, 1)).map(({ text, fault }) => [text, fault])).toEqual([["welcome back", null]]);
    expect((await b.client.api.history(id)).messages.length).toBeGreaterThan(0);
  });

  test("hears typing and reading [TYP-1, READ-1]", async () => {
    const heard = Promise.withResolvers<void>();
    const signals: string[] = [];
    await using both = await pair({
      a: {
        onSignal: ({ type }) => {
          if (type === "presence_update" || type === "message_delivered") return; // they come when they come
          signals.push(type);
          if (signals.length === 3) heard.resolve();
        },
      },
    });
    const { a, b, dm } = both;
    await Promise.all([a.reaches("live"), b.reaches("live")]);
    const { seq } = await a.client.send(dm, "hello");
    await read(b.client, 1);
    expect(b.client.typing(dm, true)).toBe(true);
    expect(b.client.typing(dm, false)).toBe(true);
    expect(b.client.markRead(dm, seq)).toBe(true);
    await heard.promise;
    expect(signals).toEqual(["typing_start", "typing_stop", "message_read"]);
  });
});

/** The machine's time with short pauses: these tests are about what happens after them. */
const hasty = { ...systemTiming, random: () => 0.02 };
