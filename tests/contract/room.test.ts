/** Family C of the contracts ("chat room") in one process and in two nodes, with what its contract leaves open. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { newMessageId } from "../../src/protocol/mod.ts";
import { type Bus, MemoryBus } from "../../src/realtime/mod.ts";
import { NO_RATES, request, startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { type Frame, Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { RoomGuest, say } from "../support/room.ts";
import { waitUntil } from "../support/wait.ts";

const clock = movableClock();
const STARTING_MS = 60_000;
let here: TestApp;
let there: TestApp;
beforeAll(async () => {
  const bus = new MemoryBus();
  here = await startApp({ bus, clock });
  there = await here.another({ bus, clock });
}, STARTING_MS);
afterAll(async () => {
  await there[Symbol.asyncDispose]();
  await here[Symbol.asyncDispose]();
}, STARTING_MS);

/** A bus that loses every hint, and knows that it may. */
const deafBus = (): Bus => ({
  status: "down",
  healthy: false,
  join: async () => {},
  register: async () => {},
  unregister: async () => {},
  locate: async () => new Map(),
  setAway: () => {},
  connected: async () => new Map(),
  publish: () => {},
  [Symbol.asyncDispose]: async () => {},
});

const guest = (username?: string) => RoomGuest.register(here.url, username);
const socketUrl = (query = "") => `${here.url.replace("http", "ws")}/ws/chat${query}`;
const said = (peer: Peer) => peer.frames.filter(({ type }) => type === "message").map(({ content }) => content);
const presence = (peer: Peer, { username }: RoomGuest) =>
  peer.frames.filter((frame) => frame.username === username && frame.type !== "message").map(({ type }) => type);
const isOf =
  (type: string, { username }: RoomGuest) =>
  (frame: Frame) =>
    frame.type === type && frame.username === username;

describe("a message in the room", () => {
  test("is shown to everybody on every node as it was stored, to the sender too", async () => {
    const [ann, ben] = [await guest(), await guest()];
    using one = await ann.enter();
    using two = await ben.at(there.url).enter();
    const shown = await say(one, "Hello, everybody");
    expect(shown).toEqual({
      ...{ type: "message", id: expect.any(String), username: ann.username, content: "Hello, everybody" },
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    });
    expect(await two.match(({ content }) => content === "Hello, everybody")).toEqual(shown);
    const { type: _, ...kept } = shown;
    expect((await ben.history("?limit=1")).messages).toEqual([kept]);
  });

  test("is shown once and in one order to everybody, whoever sends from where", async () => {
    const guests = await Promise.all([guest(), guest(), guest(), guest()]);
    const peers = await Promise.all(guests.map((one, i) => (i % 2 === 0 ? one : one.at(there.url)).enter()));
    const texts = peers.map((_, i) => Array.from({ length: 25 }, (_, n) => `${i}-${n}-${crypto.randomUUID()}`));
    for (let n = 0; n < 25; n++) {
      peers.forEach((peer, i) => {
        peer.send({ type: "message", content: texts[i]?.[n] });
      });
    }
    const all = new Set(texts.flat());
    const those = (peer: Peer) => said(peer).filter((content) => all.has(content));
    await Promise.all(peers.map((peer) => peer.until(() => those(peer).length >= all.size)));
    const [first] = peers;
    if (first === undefined) throw new Error("Somebody is there");
    for (const peer of peers) expect(those(peer)).toEqual(those(first));
    const order = those(first);
    for (const own of texts) expect(order.filter((content) => own.includes(content))).toEqual(own);
    const history = await guests[0]?.history(`?limit=${all.size}`);
    expect(history?.messages.map(({ content }) => content)).toEqual(order);
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test("is encrypted in the database", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    const text = `plain ${crypto.randomUUID()}`;
    await say(peer, text);
    const bodies = await here.db.query<{ body: Uint8Array }>("select body from events where body is not null");
    expect(bodies.length).toBeGreaterThan(0);
    expect(bodies.filter(({ body }) => Buffer.from(body).includes(text))).toEqual([]);
  });

  test("that is said again under its id is shown once, and with another text it is refused", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    const id = newMessageId();
    for (const content of ["once", "once"]) peer.send({ type: "message", id, content });
    peer.send({ type: "message", id, content: "twice", ref: "other" });
    const refused = await peer.next("error");
    expect(refused).toMatchObject({ code: "idempotency_conflict", ref: "other" });
    await say(peer, "after it");
    expect(peer.frames.filter((frame) => frame.id === id && frame.type === "message")).toHaveLength(1);
    expect(peer.frames.filter(({ type }) => type === "error")).toHaveLength(1);
    // Who did not see that it was shown asks again, and is told.
    peer.send({ type: "message", id, content: "once", ref: "again" });
    expect(await peer.match(({ ref }) => ref === "again")).toEqual({ type: "stored", ref: "again", id });
  });

  test("of a wrong form is refused, and the socket lives on", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    const wrong: readonly (readonly [sent: object | string, code: string])[] = [
      ["not JSON", "bad_json"],
      ["[]", "bad_json"],
      [{ type: "message", ref: 1 }, "bad_frame"],
      [{ type: "message", content: "", ref: 1 }, "bad_frame"],
      [{ type: "message", content: 5, ref: 1 }, "bad_frame"],
      [{ type: "message", content: "x".repeat(10_001), ref: 1 }, "payload_too_large"],
      [{ type: "message_ack", conversation_id: crypto.randomUUID(), seq: 1 }, "unknown_frame"],
      [{ type: "resume" }, "unknown_frame"],
    ];
    for (const [sent, code] of wrong) {
      peer.send(sent);
      expect([sent, (await peer.next("error")).code]).toEqual([sent, code]);
    }
    await say(peer, "still here");
  });

  test("reaches the main API too: who said something is a member of the channel, and may leave it", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    const { conversations } = (await ann.request("GET", "/api/conversations")).json;
    expect(conversations).toHaveLength(1);
    const [room] = conversations;
    expect(room).toMatchObject({ conversation_type: "channel", encryption: "server", name: "Public room" });
    const sent = await ann.request("POST", `/api/conversations/${room.id}/messages`, { content: "from elsewhere" });
    expect(sent.status).toBe(201);
    await peer.match(({ id, content }) => id === sent.json.id && content === "from elsewhere");
    expect((await ann.request("DELETE", `/api/conversations/${room.id}/participants/${ann.id}`)).status).toBe(204);
    await say(peer, "back again");
  });
});

describe("history", () => {
  test("holds what was said before somebody came, pages back without gaps, and ends", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    for (let i = 0; i < 12; i++) await say(peer, `line ${i} of ${ann.username}`);
    const late = await guest();
    const all: string[] = [];
    let before = "";
    for (let pages = 0; pages < 100; pages++) {
      const { messages, previous } = await late.history(`?limit=5${before}`);
      expect(messages.length).toBeLessThanOrEqual(5);
      all.unshift(...messages.map(({ content }) => content));
      if (previous === null) break;
      before = `&before=${previous}`;
    }
    expect(all.filter((content) => content.endsWith(ann.username))).toEqual(
      Array.from({ length: 12 }, (_, i) => `line ${i} of ${ann.username}`),
    );
    const whole = await late.history("?limit=200");
    expect(whole.messages.map(({ content }) => content)).toEqual(all.slice(-200));
  });

  test("takes a limit of 1 to 200, 50 unless told, and needs a token", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    for (let i = 0; i < 60; i++) peer.send({ type: "message", content: `many ${i}` });
    await peer.match(({ content }) => content === "many 59");
    expect((await ann.history()).messages).toHaveLength(50);
    for (const limit of [0, 201, "x"]) {
      const { status, json } = await ann.request("GET", `/api/chat/messages?limit=${limit}`);
      expect([status, json.error.code]).toEqual([400, "bad_request"]);
    }
    expect((await request(here.url, "GET", "/api/chat/messages")).status).toBe(401);
  });

  test("holds no more of who has left for good", async () => {
    const [ann, ben] = [await guest(), await guest()];
    using peer = await ann.enter();
    await say(peer, "to be forgotten");
    expect((await ann.request("POST", "/api/auth/delete-account", { password: "SecurePass123" })).status).toBe(202);
    expect((await peer.ended()).code).toBe(4410);
    await waitUntil("what they said is gone", async () => {
      const { messages } = await ben.history();
      return messages.every(({ username }) => username !== ann.username);
    });
  });
});

describe("coming and going", () => {
  test("is shown once for a person, whatever their sockets and nodes", async () => {
    const [ann, ben] = [await guest(), await guest()];
    using here1 = await ann.enter();
    using watch = await ann.at(there.url).enter();
    const first = await ben.enter();
    const joined = await watch.match(isOf("join", ben));
    expect(joined).toEqual({ type: "join", username: ben.username, timestamp: expect.any(String) });
    await here1.match(isOf("join", ben));
    const second = await ben.enter();
    const third = await ben.at(there.url).enter();
    expect(presence(third, ben)).toEqual([]); // they were there already
    await first.close();
    await second.close();
    await say(third, "still one socket left");
    await watch.match(({ content }) => content === "still one socket left");
    clock.advance(6_000);
    await watch.settled();
    expect(presence(watch, ben)).toEqual(["join"]);
    await third.close();
    const left = await watch.match(isOf("leave", ben));
    expect(left).toEqual({ type: "leave", username: ben.username, timestamp: expect.any(String) });
    await here1.match(isOf("leave", ben));
    expect([presence(watch, ben), presence(here1, ben)]).toEqual([
      ["join", "leave"],
      ["join", "leave"],
    ]);
    expect(presence(watch, ann)).toEqual([]); // came before
    expect(presence(here1, ann)).toEqual(["join"]);
  });

  test("is not shown of who comes back within some seconds, at whichever node", async () => {
    const [ann, ben] = [await guest(), await guest()];
    using watch = await ann.enter();
    for (const url of [here.url, there.url, here.url]) {
      const peer = await ben.at(url).enter();
      await peer.close();
    }
    using back = await ben.at(there.url).enter();
    await say(back, "back for good");
    await watch.match(({ content }) => content === "back for good");
    expect(presence(watch, ben)).toEqual(["join"]);
  });
});

describe("the socket", () => {
  test("knows a person by first frame, and says so", async () => {
    const ann = await guest();
    using peer = await Peer.open(socketUrl());
    peer.send({ type: "authenticate", token: ann.token, ref: "a" });
    expect(await peer.next("welcome")).toMatchObject({ ref: "a", user_id: ann.id });
    await say(peer, "by frame");
  });

  test("shows nothing to who has not said who they are, and ends", async () => {
    using stranger = await Peer.open(socketUrl());
    stranger.send({ type: "message", content: "hello?" });
    expect(await stranger.ended()).toEqual({ code: 4401, reason: "unauthorized" });
    expect(stranger.frames).toEqual([]);
  });

  test("takes a one-time ticket in its address, once, and no access token", async () => {
    const ann = await guest();
    const { ticket } = (await ann.request("POST", "/api/auth/ws-ticket")).json;
    using peer = await Peer.open(socketUrl(`?token=${ticket}`));
    await say(peer, "by ticket");
    for (const token of [ticket, ann.token, "nonsense", ""]) {
      const { status } = await RawSocket.upgrade(socketUrl(`?token=${token}`));
      expect([token, status]).toEqual([token, 401]);
    }
    expect(here.logged()).not.toContain(ticket);
    expect(here.logged()).not.toContain(ann.token);
  });

  test("takes an access token in its address where ALLOW_QUERY_TOKEN says so", async () => {
    const ann = await guest();
    await using lax = await here.another({ clock, env: { ALLOW_QUERY_TOKEN: "true" } });
    const url = lax.url.replace("http", "ws");
    using peer = await Peer.open(`${url}/ws/chat?token=${ann.token}`);
    await say(peer, "by token");
    expect(lax.logged()).not.toContain(ann.token);
    expect((await RawSocket.upgrade(`${url}/ws/chat?token=${ann.token}x`)).status).toBe(401);
  });

  test("closes when its session ends, at the other node too, and when its token does", async () => {
    const ann = await guest();
    using peer = await ann.enter();
    using other = await ann.at(there.url).enter();
    expect((await ann.request("POST", "/api/auth/signout", {})).status).toBe(204);
    expect((await peer.ended()).code).toBe(4410);
    expect((await other.ended()).code).toBe(4410);
    let later = 0;
    // Only the date moves: the clock that silence is told by goes on.
    const dated = { now: () => Date.now() + later, steady: () => performance.now() };
    await using node = await here.another({ clock: dated });
    const ben = (await guest()).at(node.url);
    using short = await ben.enter();
    later = 30 * 60_000 + 1_000;
    expect((await short.ended()).code).toBe(4401);
    const { status } = await RawSocket.upgrade(`${node.url.replace("http", "ws")}/ws/chat`, {
      authorization: `Bearer ${ben.token}`,
    });
    expect(status).toBe(401);
  });

  test("of a session may be opened five times", async () => {
    const ann = await guest();
    const peers: Peer[] = [];
    for (let i = 0; i < 5; i++) peers.push(await ann.enter());
    using sixth = await Peer.open(socketUrl(), { authorization: `Bearer ${ann.token}` });
    expect(await sixth.ended()).toEqual({ code: 4409, reason: "too_many_sockets" });
    for (const peer of peers) peer[Symbol.dispose]();
  });

  test("of who does not read is cut, the others notice nothing, and history has it all", async () => {
    const [ann, ben] = [await guest(), await guest()];
    using speaking = await ann.enter();
    const socket = await RawSocket.open(socketUrl(), ben.token);
    await speaking.match(isOf("join", ben));
    socket.stopReading();
    const text = "x".repeat(9_000);
    const LINES = 1_200; // some 11 MB: more than the socket's buffers of both ends hold
    for (let i = 0; i < LINES; i += 40) {
      for (let n = i; n < i + 40; n++) speaking.send({ type: "message", content: `${n} ${text}` });
      await speaking.match(({ content }) => content === `${i + 39} ${text}`);
      clock.advance(400); // so that nobody's rate is exceeded
    }
    await waitUntil("the socket is closed for not reading", async () =>
      (await (await fetch(`${here.url}/metrics`)).text()).includes(
        'sotto_sockets_closed_total{reason="slow_reader"} 1',
      ),
    );
    socket[Symbol.dispose]();
    const { messages } = await ben.history("?limit=20");
    expect(messages.map(({ content }) => content.split(" ")[0])).toEqual(
      Array.from({ length: 20 }, (_, i) => String(LINES - 20 + i)),
    );
  }, 60_000);

  test("closes with 1012 when its node ends, once what was said is stored", async () => {
    const ann = await guest();
    const node = await here.another({ clock });
    using peer = await ann.at(node.url).enter();
    for (let i = 0; i < 20; i++) peer.send({ type: "message", content: `last words ${i}` });
    await peer.match(({ content }) => content === "last words 0");
    await node[Symbol.asyncDispose]();
    expect((await peer.ended()).code).toBe(1012);
    const { messages } = await ann.history("?limit=20");
    const refused = peer.frames.filter(({ code }) => code === "unavailable").length;
    const stored = messages.filter(({ content }) => content.startsWith("last words")).length;
    expect(stored + refused).toBe(20);
  });

  test("is refused to pages of elsewhere, and to what is no socket", async () => {
    const ann = await guest();
    const headers = { authorization: `Bearer ${ann.token}`, origin: "https://elsewhere.example" };
    expect((await RawSocket.upgrade(socketUrl(), headers)).status).toBe(403);
    expect((await ann.request("GET", "/ws/chat")).status).toBe(426);
  });
});

describe("registering", () => {
  const register = (url: string, body: object, address = "10.0.0.1") =>
    request(url, "POST", "/api/auth/register", body, undefined, { "x-forwarded-for": address });

  test("keeps the contract's rules for names and passwords", async () => {
    const good = { username: `john_${crypto.randomUUID().slice(0, 8)}`, password: "SecurePass123" };
    const made = await register(here.url, good);
    expect([made.status, made.json.username]).toEqual([201, good.username]);
    expect((await register(here.url, good)).json.error.code).toBe("username_taken");
    for (const username of ["ab", "x".repeat(51), "with space", "dot.ted", "", 5]) {
      expect([username, (await register(here.url, { ...good, username })).status]).toEqual([username, 400]);
    }
    const weak = [
      ["securepass123", 422],
      ["SECUREPASS123", 422],
      ["SecurePassword", 422],
      ["Short1a", 400],
      [`Aa1${"x".repeat(126)}`, 400],
    ] as const;
    for (const [password, status] of weak) {
      const answer = await register(here.url, { username: "somebody_else", password });
      expect([password, answer.status]).toEqual([password, status]);
    }
  });

  test("takes 5 and logging in 10 a minute for an address", async () => {
    await using strict = await startApp({ rates: { sign_up_everybody: { perMinute: 100, burst: 100 } } });
    const outcomes: number[] = [];
    for (let i = 0; i < 6; i++) {
      outcomes.push((await register(strict.url, { username: `person_${i}`, password: "SecurePass123" })).status);
    }
    expect(outcomes).toEqual([201, 201, 201, 201, 201, 429]);
    const logins: number[] = [];
    for (let i = 0; i < 11; i++) {
      const body = { username: `person_${i % 5}`, password: "SecurePass123" };
      logins.push((await request(strict.url, "POST", "/api/auth/login", body)).status);
    }
    expect(logins).toEqual([...Array.from({ length: 10 }, () => 200), 429]);
    expect(NO_RATES.room_login_address).toBeDefined();
  });

  test("gives a token of 30 minutes that opens the main API too", async () => {
    const ann = await guest();
    const { json } = await request(here.url, "POST", "/api/auth/login", {
      ...{ username: ann.username, password: "SecurePass123" },
    });
    expect(json).toEqual({ access_token: expect.any(String), token_type: "bearer", expires_in: expect.any(Number) });
    expect(json.expires_in).toBeWithin(1_790, 1_801);
    const wrong = await request(here.url, "POST", "/api/auth/login", { username: ann.username, password: "wrong" });
    expect([wrong.status, wrong.json.error.code]).toEqual([401, "invalid_credentials"]);
    expect((await request(here.url, "GET", "/api/auth/me", undefined, json.access_token)).status).toBe(200);
  });

  test("as the room's keeper is not possible, nor is signing in or finding it", async () => {
    const ann = await guest();
    using _ = await ann.enter();
    for (const path of ["/api/auth/login", "/api/auth/signin"]) {
      const answer = await request(here.url, "POST", path, { username: "public room", password: "SecurePass123" });
      expect(answer.status).toBe(401);
    }
    expect((await ann.request("GET", "/api/users?q=public")).json.users).toEqual([]);
  });
});

describe("between nodes that hear nothing of each other", () => {
  test("what is said arrives all the same, once and in order", async () => {
    await using one = await here.another({ bus: deafBus() });
    await using two = await here.another({ bus: deafBus() });
    const [ann, ben] = [await guest(), await guest()];
    using speaking = await ann.at(one.url).enter();
    using listening = await ben.at(two.url).enter();
    const texts = Array.from({ length: 150 }, (_, i) => `unheard ${i}`);
    for (let i = 0; i < texts.length; i += 50) {
      for (const content of texts.slice(i, i + 50)) speaking.send({ type: "message", content });
      await speaking.match(({ content }) => content === texts[i + 49]);
    }
    await listening.match(({ content }) => content === texts.at(-1));
    expect(said(listening).filter((content) => content.startsWith("unheard"))).toEqual(texts);
  });
});
