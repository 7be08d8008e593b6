/** Family B of the contracts ("messaging app"), row by row, against servers that were started with `npm start`. */
import { expect, test } from "bun:test";
import { generateKeyPairSync } from "node:crypto";
import { waitUntil } from "../support/wait.ts";
import { type Answered, ask, type Nodes, onOneNodeAndOnTwo } from "./servers.ts";

const PASSWORD = "violet-harbour-93-lantern";
const newName = () => `family_${crypto.randomUUID().slice(0, 13)}`;
const newPem = () => generateKeyPairSync("ed25519").publicKey.export({ type: "spki", format: "pem" }).toString();

interface Person {
  readonly id: string;
  readonly name: string;
  readonly token: string;
  readonly refresh: string;
  readonly session: string;
}

// biome-ignore lint/suspicious/noExplicitAny: what comes from outside is what the tests are about
type Frame = any;

async function person(url: string, more: object = {}): Promise<Person> {
  const name = newName();
  const { status, json } = await ask(url, "POST", "/api/auth/signup", {
    body: { username: name, password: PASSWORD, ...more },
  });
  expect(status).toBe(201);
  return { id: json.user.id, name, token: json.access_token, refresh: json.refresh_token, session: json.session_id };
}

/** Requests as somebody, at any node. */
function as({ token }: Person, url: string) {
  const call =
    (method: string) =>
    (path: string, body?: unknown, headers: Record<string, string> = {}) =>
      ask(url, method, path, { token, headers, ...(body === undefined ? {} : { body }) });
  return { get: call("GET"), post: call("POST"), put: call("PUT"), delete: call("DELETE") };
}

const refusal = ({ status, json }: Answered) => [status, json?.error?.code];

/** A socket of somebody that keeps what comes. */
class Socket implements Disposable {
  readonly frames: Frame[] = [];
  readonly #socket: WebSocket;
  closed: number | null = null;

  constructor(url: string, path: string, token?: string) {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    // Bun's own second argument: a client that may set headers.
    this.#socket = new WebSocket(url.replace("http", "ws") + path, { headers } as unknown as string[]);
    this.#socket.addEventListener("message", ({ data }) => void this.frames.push(JSON.parse(String(data))));
    this.#socket.addEventListener("close", ({ code }) => {
      this.closed = code;
    });
  }

  async open(): Promise<this> {
    await waitUntil("the socket is open", () => this.#socket.readyState === WebSocket.OPEN || this.closed !== null);
    return this;
  }

  send(frame: object): void {
    this.#socket.send(JSON.stringify(frame));
  }

  /** The first frame that fits, also of those that came before. */
  async next(type: string, fits: (frame: Frame) => boolean = () => true): Promise<Frame> {
    const find = () => this.frames.find((frame) => frame.type === type && fits(frame));
    await waitUntil(`a frame ${type} came`, () => find() !== undefined);
    return find();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

const live = async (url: string, { token }: Person): Promise<Socket> => {
  const socket = await new Socket(url, "/ws", token).open();
  await socket.next("caught_up");
  return socket;
};

onOneNodeAndOnTwo("family B", (nodes) => {
  const two = async (): Promise<readonly [Person, Person, Nodes]> => {
    const at = nodes();
    return [await person(at.one), await person(at.other), at];
  };
  const group = async (owner: Person, others: readonly Person[]): Promise<string> => {
    const body = {
      conversation_type: "group",
      name: "a group",
      participant_ids: others.map(({ id }) => id),
      encryption: "server",
    };
    const made = await as(owner, nodes().one).post("/api/conversations", body);
    expect(made.status).toBe(201);
    return made.json.id;
  };

  test("auth: signup, signin by name or e-mail, me, refresh rotation, signout", async () => {
    const { one, other } = nodes();
    const email = `${newName()}@example.org`;
    const ann = await person(one, { email, display_name: "Ann", public_key: newPem() });
    expect(
      refusal(await ask(other, "POST", "/api/auth/signup", { body: { username: ann.name, password: PASSWORD } })),
    ).toEqual([...[409, "username_taken"]]);
    for (const login of [{ username: ann.name }, { email }]) {
      const { status, json } = await ask(other, "POST", "/api/auth/signin", { body: { ...login, password: PASSWORD } });
      expect(status).toBe(200);
      expect(json).toMatchObject({ token_type: "bearer" });
      expect(json.expires_in).toBeWithin(30 * 60 - 5, 30 * 60 + 1);
    }
    expect(
      refusal(await ask(one, "POST", "/api/auth/signin", { body: { username: ann.name, password: "wrong" } })),
    ).toEqual([...[401, "invalid_credentials"]]);
    const me = await as(ann, other).get("/api/auth/me");
    expect(me.json).toMatchObject({ id: ann.id, username: ann.name, email, session_id: ann.session });
    expect(me.json.device_id).toBeString();

    const rotated = await ask(other, "POST", "/api/auth/refresh", { body: { refresh_token: ann.refresh } });
    expect(rotated.status).toBe(200);
    expect((await ask(one, "GET", "/api/auth/me", { token: rotated.json.access_token })).status).toBe(200);
    const again = await ask(one, "POST", "/api/auth/refresh", { body: { refresh_token: rotated.json.refresh_token } });
    expect(again.status).toBe(200);
    const out = await ask(one, "POST", "/api/auth/signout", { token: again.json.access_token, body: {} });
    expect(out.status).toBe(204);
    await waitUntil(
      "the session is over everywhere",
      async () => (await ask(other, "GET", "/api/auth/me", { token: again.json.access_token })).status === 401,
    );
  });

  test("auth: a weak password is refused with a sentence, change-password ends the others, magic-link answers 202 always", async () => {
    const { one, other } = nodes();
    const weak = await ask(one, "POST", "/api/auth/signup", { body: { username: newName(), password: "Password123" } });
    expect(refusal(weak)).toEqual([422, "weak_password"]);
    expect(weak.json.error.message.length).toBeGreaterThan(20);
    const ann = await person(one);
    const second = await ask(other, "POST", "/api/auth/signin", { body: { username: ann.name, password: PASSWORD } });
    const change = { current_password: PASSWORD, new_password: "another-lantern-17-harbour" };
    expect(
      refusal(await as(ann, one).post("/api/auth/change-password", { ...change, current_password: "no" })),
    ).toEqual([...[403, "wrong_password"]]);
    expect((await as(ann, one).post("/api/auth/change-password", change)).status).toBe(204);
    await waitUntil(
      "the other session is over",
      async () => (await ask(other, "GET", "/api/auth/me", { token: second.json.access_token })).status === 401,
    );
    expect((await as(ann, other).get("/api/auth/me")).status).toBe(200);
    for (const email of ["nobody@example.org", `${newName()}@example.org`]) {
      expect((await ask(one, "POST", "/api/auth/magic-link", { body: { email } })).status).toBe(202);
    }
    expect(refusal(await ask(one, "POST", "/api/auth/magic-link/verify", { body: { token: "nonsense" } }))).toEqual([
      ...[401, "link_invalid"],
    ]);
  });

  test("users: search in pages, a profile, changing one's own", async () => {
    const [ann, ben, { one, other }] = await two();
    const found = await as(ben, other).get(`/api/users?q=${ann.name}`);
    expect(found.json.users.map(({ id }: { id: string }) => id)).toEqual([ann.id]);
    expect(found.json.next).toBeNull();
    const first = await as(ben, other).get("/api/users?limit=1");
    expect([first.json.users.length, typeof first.json.next]).toEqual([1, "string"]);
    expect((await as(ann, one).put(`/api/users/${ann.id}`, { display_name: "Ann B.", status: "dnd" })).status).toBe(
      200,
    );
    expect((await as(ben, other).get(`/api/users/${ann.id}`)).json).toMatchObject({
      id: ann.id,
      display_name: "Ann B.",
    });
    expect((await as(ben, other).get(`/api/users/${ann.id}`)).json.email).toBeUndefined();
    expect(refusal(await as(ben, one).put(`/api/users/${ann.id}`, { display_name: "Mallory" }))).toEqual([
      403,
      "forbidden",
    ]);
    expect((await as(ann, one).put(`/api/users/${ann.id}`, { status: "asleep" })).status).toBe(400);
    expect(refusal(await as(ann, one).get(`/api/users/${crypto.randomUUID()}`))).toEqual([404, "user_not_found"]);
  });

  test("conversations: a dm exists once per pair; groups take and lose participants; lists; who may delete", async () => {
    const [ann, ben, { one, other }] = await two();
    const cem = await person(one);
    const dm = { conversation_type: "dm", participant_ids: [ben.id] };
    const made = await as(ann, one).post("/api/conversations", dm);
    expect(made.status).toBe(201);
    expect(made.json).toMatchObject({ conversation_type: "dm", encryption: "opaque", message_count: 0 });
    const again = await as(ben, other).post("/api/conversations", { ...dm, participant_ids: [ann.id] });
    expect([again.status, again.json.id]).toEqual([200, made.json.id]);

    const id = await group(ann, [ben]);
    const path = `/api/conversations/${id}`;
    expect((await as(ann, other).post(`${path}/participants`, { user_id: cem.id })).status).toBe(201);
    expect(refusal(await as(ben, one).post(`${path}/participants`, { user_id: cem.id }))).toEqual([403, "forbidden"]);
    expect((await as(cem, one).get(path)).json.participant_ids.toSorted()).toEqual([ann.id, ben.id, cem.id].toSorted());
    expect((await as(ann, one).put(path, { name: "another name" })).status).toBe(200);
    expect((await as(cem, other).get(path)).json.name).toBe("another name");
    expect(refusal(await as(ben, one).put(path, { name: "mine" }))).toEqual([403, "forbidden"]);
    expect((await as(ann, one).delete(`${path}/participants/${ben.id}`)).status).toBe(204);
    expect(refusal(await as(ben, other).get(path))).toEqual([404, "conversation_not_found"]);
    expect((await as(cem, one).delete(path)).json.error.code).toBe("use_leave");
    const list = await as(ann, other).get("/api/conversations");
    expect(list.json.conversations.map((each: { id: string }) => each.id).toSorted()).toEqual(
      [id, made.json.id].toSorted(),
    );
    expect((await as(ann, one).delete(path)).status).toBe(204);
    await waitUntil("it is gone for all", async () => (await as(cem, other).get(path)).status === 404);

    // In a dm it hides and clears what is mine.
    await as(ann, one).post(`/api/conversations/${made.json.id}/messages`, { encrypted_content: "AAAA" });
    expect((await as(ann, one).delete(`/api/conversations/${made.json.id}`)).status).toBe(204);
    const hidden = await as(ann, other).get("/api/conversations");
    expect(hidden.json.conversations).toEqual([]);
    expect(
      (await as(ben, other).get(`/api/conversations/${made.json.id}/messages`)).json.messages.at(-1).encrypted_content,
    ).toBe("AAAA");
    await as(ben, other).post(`/api/conversations/${made.json.id}/messages`, { encrypted_content: "BBBB" });
    const back = await as(ann, one).get(`/api/conversations/${made.json.id}/messages`);
    expect(back.json.messages.map((each: Frame) => each.encrypted_content)).toEqual(["BBBB"]);
    expect((await as(ann, one).get("/api/conversations")).json.conversations).toHaveLength(1);
  });

  test("messages: fields, keyset pages both ways, a retry by id, content only where the server may read", async () => {
    const [ann, ben, { one, other }] = await two();
    const id = await group(ann, [ben]);
    const path = `/api/conversations/${id}/messages`;
    const sent: Frame[] = [];
    for (let i = 0; i < 7; i++)
      sent.push((await as(ann, i % 2 ? one : other).post(path, { content: `text ${i}` })).json);
    expect(sent[0]).toMatchObject({ sender_id: ann.id, content: "text 0", message_type: "text" });
    const newest = await as(ben, one).get(`${path}?limit=3`);
    expect(newest.json.messages.map((each: Frame) => each.content)).toEqual(["text 4", "text 5", "text 6"]);
    const older = await as(ben, other).get(`${path}?limit=3&before_seq=${newest.json.previous}`);
    expect(older.json.messages.map((each: Frame) => each.content)).toEqual(["text 1", "text 2", "text 3"]);
    const newer = await as(ben, other).get(`${path}?limit=2&after_seq=${sent[1].seq}`);
    expect(newer.json.messages.map((each: Frame) => each.content)).toEqual(["text 2", "text 3"]);
    expect(newer.json.next).toBe(sent[3].seq);

    const [last] = newest.json.messages.slice(-1);
    const retry = await as(ann, one).post(path, { id: last.id, content: "text 6" });
    expect([retry.status, retry.json.seq]).toEqual([200, last.seq]);
    expect(refusal(await as(ann, one).post(path, { id: last.id, content: "other" }))).toEqual([
      409,
      "idempotency_conflict",
    ]);
    expect(refusal(await as(ann, one).post(path, { encrypted_content: "AAAA" }))).toEqual([422, "encryption_mismatch"]);
    const opaque = await as(ann, one).post("/api/conversations", {
      conversation_type: "dm",
      participant_ids: [ben.id],
    });
    const dm = `/api/conversations/${opaque.json.id}/messages`;
    expect(refusal(await as(ann, one).post(dm, { content: "readable" }))).toEqual([422, "encryption_mismatch"]);
    const body = { encrypted_content: "AAAA", encryption_iv: "aXY=", message_type: "image" };
    expect((await as(ann, one).post(dm, body)).json).toMatchObject(body);
    expect((await as(ann, one).post(dm, { ...body, message_type: "system" })).status).toBe(400);
  });

  test("messages: status goes from sent to delivered to read", async () => {
    const [ann, ben, { one, other }] = await two();
    const id = await group(ann, [ben]);
    const { json } = await as(ann, one).post(`/api/conversations/${id}/messages`, { content: "seen?" });
    const status = async () =>
      (await as(ann, one).get(`/api/conversations/${id}/messages`)).json.messages.find(
        (each: Frame) => each.id === json.id,
      ).status;
    expect(await status()).toBe("sent");
    using socket = await live(other, ben);
    await socket.next("message", (frame) => frame.id === json.id).catch(() => {});
    socket.send({ type: "message_ack", conversation_id: id, seq: json.seq });
    await waitUntil("it is delivered", async () => (await status()) === "delivered", 40_000);
    socket.send({ type: "message_read", conversation_id: id, seq: json.seq });
    await waitUntil("it is read", async () => (await status()) === "read", 40_000);
  }, 90_000);

  test("messages: edit, react, take a reaction back, delete, as pages and sockets show them", async () => {
    const [ann, ben, { one, other }] = await two();
    const id = await group(ann, [ben]);
    using socket = await live(other, ben);
    const { json: message } = await as(ann, one).post(`/api/conversations/${id}/messages`, { content: "first" });
    const shown = async () =>
      (await as(ben, other).get(`/api/conversations/${id}/messages`)).json.messages.find(
        (each: Frame) => each.id === message.id,
      );

    expect((await as(ann, one).put(`/api/messages/${message.id}`, { content: "second" })).status).toBe(200);
    expect((await shown()).content).toBe("second");
    expect(await socket.next("edit")).toMatchObject({ message_id: message.id, content: "second" });
    expect((await as(ben, other).put(`/api/messages/${message.id}`, { content: "mine" })).status).toBe(403);

    expect((await as(ben, other).post(`/api/messages/${message.id}/reactions`, { emoji: "👍" })).status).toBe(201);
    expect((await as(ben, one).post(`/api/messages/${message.id}/reactions`, { emoji: "👍" })).status).toBe(200);
    expect((await shown()).reactions).toEqual([{ user_id: ben.id, emoji: "👍" }]);
    expect(
      (await as(ben, one).delete(`/api/messages/${message.id}/reactions/${encodeURIComponent("👍")}`)).status,
    ).toBe(204);
    expect((await shown()).reactions).toEqual([]);

    expect((await as(ben, other).delete(`/api/messages/${message.id}`)).status).toBe(403);
    expect((await as(ann, other).delete(`/api/messages/${message.id}`)).status).toBe(204);
    expect(await shown()).toMatchObject({ type: "tombstone", reason: "deleted" });
    expect(await socket.next("deletion")).toMatchObject({ message_id: message.id });
    expect((await as(ann, one).put(`/api/messages/${message.id}`, { content: "third" })).status).toBe(410);
    const stranger = await person(one);
    expect(refusal(await as(stranger, other).delete(`/api/messages/${message.id}`))).toEqual([
      404,
      "message_not_found",
    ]);
  });

  test("the socket: /ws/{user_id}/{session_id} is the token's own; ping, message, typing, ack and read; resuming", async () => {
    const [ann, ben, { one, other }] = await two();
    const id = await group(ann, [ben]);
    const own = await new Socket(one, `/ws/${ann.id}/${ann.session}`, ann.token).open();
    expect(await own.next("welcome")).toMatchObject({ user_id: ann.id, session_id: ann.session });
    await own.next("caught_up");
    const wrong = await new Socket(one, `/ws/${ann.id}/${ben.session}`, ann.token).open();
    await waitUntil("it is refused", () => wrong.closed === 4403);
    const nobody = await new Socket(one, "/ws").open();

    own.send({ type: "ping", ref: 7 });
    expect(await own.next("pong")).toEqual({ type: "pong", ref: 7 });
    using socket = await live(other, ben);
    own.send({ type: "typing_start", conversation_id: id });
    expect(await socket.next("typing_start")).toMatchObject({ conversation_id: id, user_id: ann.id });
    own.send({ type: "typing_stop", conversation_id: id });
    await socket.next("typing_stop");

    const messageId = uuidv7();
    own.send({ type: "message", ref: "a", id: messageId, conversation_id: id, content: "over the socket" });
    const receipt = await own.next("receipt");
    expect(receipt).toMatchObject({ ref: "a", id: messageId });
    expect(await socket.next("message")).toMatchObject({ id: messageId, seq: receipt.seq, sender_id: ann.id });
    socket.send({ type: "message_read", conversation_id: id, seq: receipt.seq });
    expect(await own.next("message_read")).toMatchObject({ user_id: ben.id, seq: receipt.seq });
    own.send({ type: "reaction", id: uuidv7(), conversation_id: id, message_id: messageId, emoji: "🎉" });
    expect(await socket.next("reaction")).toMatchObject({ message_id: messageId, emoji: "🎉", change: "added" });
    const handed = { type: "key_exchange", id: uuidv7(), to_user_id: ben.id, payload: "a2V5" };
    own.send({ ...handed, ref: "k", to_session_id: ben.session });
    expect(await own.next("key_exchange_stored")).toEqual({ type: "key_exchange_stored", ref: "k", id: handed.id });
    const given = await socket.next("key_exchange");
    expect(given).toMatchObject({ id: handed.id, from_user_id: ann.id, from_session_id: ann.session, payload: "a2V5" });
    own.send({ type: "no such frame" });
    expect(await own.next("error", ({ code }) => code === "unknown_frame")).toMatchObject({ retryable: false });

    // Who comes back is given what it has not acknowledged, by any node.
    socket[Symbol.dispose]();
    own.send({ type: "message", id: uuidv7(), conversation_id: id, content: "while away" });
    await own.next("receipt", ({ seq }) => seq > receipt.seq + 1);
    using back = await live(one, ben);
    expect((await back.next("message", ({ content }) => content === "while away")).sender_id).toBe(ann.id);
    expect(await back.next("key_exchange")).toEqual(given); // it is there until it is acknowledged
    back.send({ type: "key_exchange_ack", seq: given.seq });
    own[Symbol.dispose]();
    await waitUntil("who does not say who they are is refused", () => nobody.closed === 4408);
  });

  test("the socket: contacts are told of presence", async () => {
    const [ann, ben, { one, other }] = await two();
    await group(ann, [ben]);
    using first = await live(one, ann);
    using _ = await live(other, ben);
    expect(await first.next("presence_update", ({ user_id }) => user_id === ben.id)).toMatchObject({
      status: "online",
    });
  });

  test("the public socket: announcements of a public channel without an account; after_seq pages", async () => {
    const { one, other } = nodes();
    const ann = await person(one);
    const channel = `news-${crypto.randomUUID().slice(0, 8)}`;
    const made = await as(ann, one).post("/api/conversations", {
      ...{ conversation_type: "channel", name: "News", channel, public: true, participant_ids: [] },
    });
    expect(made.status).toBe(201);
    const path = `/api/conversations/${made.json.id}/messages`;
    const first = await as(ann, one).post(path, { content: "before anybody came" });
    using reader = await new Socket(other, `/ws/public/${channel}`).open();
    reader.send({ type: "subscribe", after_seq: 0 });
    const page = await reader.next("page");
    expect(page.next).toBeNull();
    expect(page.announcements).toMatchObject([{ channel, seq: first.json.seq, content: "before anybody came" }]);
    await as(ann, one).post(path, { content: "to all" });
    expect(await reader.next("announcement", ({ content }) => content === "to all")).toMatchObject({ channel });
    const hidden = await as(ann, one).post("/api/conversations", {
      ...{ conversation_type: "channel", name: "Secret", channel: `${channel}-x`, participant_ids: [] },
    });
    expect(hidden.status).toBe(201);
    const stranger = await fetch(`${other}/ws/public/${channel}-x`);
    const unknown = await fetch(`${other}/ws/public/no-such-channel`);
    expect(stranger.status).toBe(unknown.status);
  });

  test("errors are JSON with a code, a sentence and the request's id, everywhere", async () => {
    const [ann, , { one }] = await two();
    const wrong = [
      await ask(one, "GET", "/api/no-such-thing"),
      await ask(one, "PATCH", "/api/auth/me", { token: ann.token }),
      await as(ann, one).post("/api/conversations", "{"),
      await as(ann, one).post("/api/conversations", { conversation_type: "party" }),
      await as(ann, one).get("/api/conversations/not-an-id"),
    ];
    for (const { status, json } of wrong) {
      expect(status).toBeWithin(400, 500);
      expect(json.error).toMatchObject({
        code: expect.any(String),
        message: expect.any(String),
        requestId: expect.any(String),
      });
    }
  });
});

/** A UUIDv7 of this moment (RFC 9562 section 5.7), as any client may make one. */
function uuidv7(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(now / 256 ** (5 - i)) % 256;
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x70;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Buffer.from(bytes).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
