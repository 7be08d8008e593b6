/** Family C of the contracts ("chat room"), row by row, against servers that were started with `npm start`. */
import { expect, test } from "bun:test";
import { type Frame, Peer } from "../support/peer.ts";
import { type Answered, ask, newAddress, onOneNodeAndOnTwo } from "./servers.ts";

const PASSWORD = "SecurePass123";
const newName = () => `room_${crypto.randomUUID().slice(0, 13)}`;

interface Person {
  readonly username: string;
  readonly token: string;
}

const register = (url: string, body: unknown, headers = {}) =>
  ask(url, "POST", "/api/auth/register", { body, headers });
const login = (url: string, body: unknown, headers = {}) => ask(url, "POST", "/api/auth/login", { body, headers });
const history = (url: string, { token }: Person, query = "") =>
  ask(url, "GET", `/api/chat/messages${query}`, { token });
const socketUrl = (url: string, query = "") => `${url.replace("http", "ws")}/ws/chat${query}`;

async function person(url: string, username = newName()): Promise<Person> {
  expect((await register(url, { username, password: PASSWORD })).status).toBe(201);
  const { status, json } = await login(url, { username, password: PASSWORD });
  expect(status).toBe(200);
  return { username, token: json.access_token };
}

const enter = (url: string, { token }: Person) => Peer.open(socketUrl(url), { authorization: `Bearer ${token}` });
const joined = (peer: Peer, { username }: Person) => peer.match((f) => f.type === "join" && f.username === username);
const isSaid = (content: string) => (frame: Frame) => frame.type === "message" && frame.content === content;

function expectRefused({ status, json }: Answered, expected: number): void {
  expect([status, json.error]).toEqual([
    expected,
    expect.objectContaining({ code: expect.any(String), message: expect.any(String), requestId: expect.any(String) }),
  ]);
}

onOneNodeAndOnTwo("family C", (nodes) => {
  test("GET / tells what this is, with version and links", async () => {
    for (const url of Object.values(nodes())) {
      const { status, json } = await ask(url, "GET", "/");
      expect(status).toBe(200);
      expect(json).toMatchObject({ name: expect.any(String), version: expect.any(String), links: expect.any(Object) });
    }
  });

  test("POST /api/auth/register takes the names and passwords of its rule, and no others", async () => {
    for (const username of ["abc", "x".repeat(38), "with_under-dash9"]) {
      const free = `${username}_${crypto.randomUUID().slice(0, 8)}`;
      expect((await register(nodes().one, { username: free, password: PASSWORD })).status).toBe(201);
    }
    const username = newName();
    expect((await register(nodes().one, { username, password: PASSWORD })).status).toBe(201);
    expectRefused(await register(nodes().other, { username, password: PASSWORD }), 409);
    for (const wrong of ["ab", "x".repeat(51), "a name", "na!me", 7]) {
      expectRefused(await register(nodes().one, { username: wrong, password: PASSWORD }), 400);
    }
    for (const weak of ["securepass123", "SECUREPASS123", "SecurePassword"]) {
      expectRefused(await register(nodes().one, { username: newName(), password: weak }), 422);
    }
    for (const wrong of ["Aa1aaaa", `Aa1${"a".repeat(126)}`]) {
      expectRefused(await register(nodes().one, { username: newName(), password: wrong }), 400);
    }
    for (const body of [{}, { username: newName() }, "{", []]) expectRefused(await register(nodes().one, body), 400);
  });

  test("POST /api/auth/register is 5 a minute for an address, over all nodes", async () => {
    const { one, other } = nodes();
    const headers = { "x-forwarded-for": newAddress() };
    const outcomes: number[] = [];
    for (const url of [one, other, one, other, one, other]) {
      outcomes.push((await register(url, { username: newName(), password: PASSWORD }, headers)).status);
    }
    expect(outcomes).toEqual([201, 201, 201, 201, 201, 429]);
    expect((await register(one, { username: newName(), password: PASSWORD })).status).toBe(201);
  });

  test("POST /api/auth/login gives a bearer token of 30 minutes; 10 a minute for an address", async () => {
    const { one, other } = nodes();
    const username = newName();
    await person(one, username);
    const headers = { "x-forwarded-for": newAddress() };
    const { status, json } = await login(other, { username, password: PASSWORD }, headers);
    expect([status, json.token_type]).toEqual([200, "bearer"]);
    const [, claims = ""] = json.access_token.split(".");
    const { iat, exp } = JSON.parse(Buffer.from(claims, "base64url").toString());
    expect(exp - iat).toBeWithin(30 * 60 - 2, 30 * 60 + 2);
    const outcomes: number[] = [];
    for (let i = 0; i < 10; i++) outcomes.push((await login(one, { username, password: PASSWORD }, headers)).status);
    expect(outcomes).toEqual([...Array.from({ length: 9 }, () => 200), 429]);
    expectRefused(await login(one, { username, password: "WrongPass123" }), 401);
    expectRefused(await login(one, { username: newName(), password: PASSWORD }), 401);
    expectRefused(await login(one, { username }), 400);
  });

  test("WS /ws/chat shows a message to everybody, and who came and went once for a person", async () => {
    const { one, other } = nodes();
    const [ann, ben] = [await person(one), await person(other)];
    using anns = await enter(one, ann);
    await joined(anns, ann);
    const bens = await enter(other, ben);
    const { timestamp, ...came } = await joined(anns, ben);
    expect(came).toEqual({ type: "join", username: ben.username });
    expect(Math.abs(Date.parse(timestamp) - Date.now())).toBeLessThan(60_000);
    using second = await enter(one, ben);
    bens.send({ type: "message", content: "Hello from Ben" });
    const shown = await Promise.all([anns, bens, second].map((peer) => peer.match(isSaid("Hello from Ben"))));
    for (const frame of shown) {
      expect(frame).toMatchObject({ type: "message", username: ben.username, content: "Hello from Ben" });
      expect(Math.abs(Date.parse(frame.timestamp) - Date.now())).toBeLessThan(60_000);
    }
    await bens.close();
    anns.send({ type: "message", content: "Ben still has a socket" });
    await second.match(isSaid("Ben still has a socket"));
    const ofBen = () => anns.frames.filter((f) => f.username === ben.username && f.type !== "message");
    expect(ofBen().map(({ type }) => type)).toEqual(["join"]);
    await second.close();
    await anns.match((f) => f.type === "leave" && f.username === ben.username);
    expect(ofBen().map(({ type }) => type)).toEqual(["join", "leave"]);
  }, 30_000);

  test("GET /api/chat/messages shows late comers what was said, the latest page first and each oldest first", async () => {
    const { one, other } = nodes();
    const ann = await person(one);
    using peer = await enter(one, ann);
    const texts = Array.from({ length: 60 }, (_, i) => `${ann.username} ${i}`);
    for (const content of texts) peer.send({ type: "message", content });
    await peer.match(isSaid(texts.at(-1) ?? ""));
    const late = await person(other);
    const standard = await history(other, late);
    expect(standard.status).toBe(200);
    expect(standard.json.messages).toHaveLength(50);
    for (const message of standard.json.messages) {
      expect(message).toMatchObject({ username: ann.username, content: expect.any(String) });
      expect(Number.isNaN(Date.parse(message.timestamp))).toBe(false);
    }
    const contents = ({ json }: Answered) => json.messages.map(({ content }: Frame) => content);
    expect(contents(standard)).toEqual(texts.slice(10));
    const latest = await history(one, late, "?limit=7");
    expect(contents(latest)).toEqual(texts.slice(-7));
    const before = await history(one, late, `?limit=7&before=${latest.json.previous}`);
    expect(contents(before)).toEqual(texts.slice(-14, -7));
    expect((await history(one, late, "?limit=200")).status).toBe(200);
    for (const limit of ["0", "201", "x"]) expectRefused(await history(one, late, `?limit=${limit}`), 400);
    expectRefused(await ask(one, "GET", "/api/chat/messages"), 401);
    expectRefused(await ask(one, "GET", "/api/chat/messages", { token: "nonsense" }), 401);
  });

  test("WS /ws/chat knows people by header, by first frame and by a one-time ticket, and by nothing else", async () => {
    const { one, other } = nodes();
    const ann = await person(one);
    using byFrame = await Peer.open(socketUrl(other));
    byFrame.send({ type: "authenticate", token: ann.token });
    byFrame.send({ type: "message", content: `by frame, ${ann.username}` });
    await byFrame.match(isSaid(`by frame, ${ann.username}`));
    const { json } = await ask(one, "POST", "/api/auth/ws-ticket", { token: ann.token });
    using byTicket = await Peer.open(socketUrl(other, `?token=${json.ticket}`));
    byTicket.send({ type: "message", content: `by ticket, ${ann.username}` });
    await byTicket.match(isSaid(`by ticket, ${ann.username}`));
    for (const token of [json.ticket, ann.token, "nonsense"]) {
      expect(await Peer.open(socketUrl(one, `?token=${token}`)).catch(() => "refused")).toBe("refused");
    }
    expect(await enter(one, { ...ann, token: "nonsense" }).catch(() => "refused")).toBe("refused");
    using nobody = await Peer.open(socketUrl(one));
    nobody.send({ type: "message", content: "from nobody" });
    expect((await nobody.ended()).code).toBe(4401);
  });

  test("WS /ws/chat refuses wrong frames clearly and goes on", async () => {
    const ann = await person(nodes().one);
    using peer = await enter(nodes().one, ann);
    await joined(peer, ann);
    for (const wrong of ["no JSON", { type: "message" }, { type: "message", content: 1 }, { type: "nonsense" }, []]) {
      peer.send(wrong);
      expect(await peer.next("error")).toMatchObject({ code: expect.any(String), message: expect.any(String) });
    }
    peer.send({ type: "message", content: "all is well" });
    await peer.match(isSaid("all is well"));
  });

  test("GET /docs and GET /health answer whoever asks", async () => {
    for (const url of Object.values(nodes())) {
      const docs = await ask(url, "GET", "/docs");
      expect([docs.status, docs.headers.get("content-type")]).toEqual([200, "text/html; charset=utf-8"]);
      const health = await ask(url, "GET", "/health");
      expect([health.status, health.json]).toEqual([200, { status: "ok", database: "up", bus: expect.any(String) }]);
    }
  });
});
