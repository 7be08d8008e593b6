/**
 * A secret in every field of every route and frame, and what is left of it: nothing in any answer but
 * the ones it belongs in, nothing in the log, in the metrics or in Redis.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { ClientFrame, newMessageId } from "../../src/protocol/mod.ts";
import type { Person, TestApp } from "../support/app.ts";
import { Peer } from "../support/peer.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { ROUTES } from "./matrix.ts";
import { castOf, startWorld, type World, worldFor } from "./world.ts";

/** In clear, and as it may be written in an address or in base64. */
const SECRET = "canary-5e1c7f-stays-unseen";
const FORMS = [SECRET, Buffer.from(SECRET).toString("base64"), Buffer.from(SECRET).toString("base64url")];

/** Fields whose value a client gets back, because it is theirs: of a name, a key, a message. */
const SHOWN = new Set([
  "username",
  "name",
  "display_name",
  "device_name",
  "email",
  "encrypted_content",
  "content",
  "encrypted_data",
  "encryption_iv",
]);

interface Described {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
}

/** Every field of an object's schema by its path, also within others. */
function fieldsOf(schema: Described, path: readonly string[] = []): (readonly string[])[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
    [...path, name],
    ...fieldsOf(field, [...path, name]),
  ]);
}

/** The body with something else at the path. */
function planted(body: object, [name = "", ...deeper]: readonly string[], value: unknown): object {
  const inner = (body as Record<string, unknown>)[name];
  if (deeper.length === 0) return { ...body, [name]: value };
  return { ...body, [name]: planted(typeof inner === "object" && inner !== null ? inner : {}, deeper, value) };
}

describeWithRedis("a secret in every field", () => {
  let redis: TestRedis;
  let server: TestApp;
  let world: World;
  let ada: Person;
  let document: {
    paths: Record<
      string,
      Record<
        string,
        { requestBody?: { content: Record<string, { schema: Described }> }; parameters: { name: string; in: string }[] }
      >
    >;
  };
  /** All that anybody was answered. */
  let answers = "";
  beforeAll(async () => {
    redis = await TestRedis.start();
    server = await startWorld({ env: { REDIS_URL: redis.url, LOG_LEVEL: "trace" } });
    world = await worldFor(await castOf(server), "admin");
    if (world.self === null) throw new Error("Plant it as somebody");
    ada = world.self;
    document = await (await fetch(`${server.url}/openapi.json`)).json();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  });

  async function send(
    method: string,
    path: string,
    body: unknown,
    headers: Record<string, string> = {},
  ): Promise<void> {
    const answer = await fetch(server.url + path, {
      method,
      headers: {
        authorization: `Bearer ${ada.token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body),
    });
    expect([method, path, answer.status < 500]).toEqual([method, path, true]);
    const ends = path === "/api/auth/signout" || path === `/api/auth/sessions/${ada.sessionId}`;
    if (ends) ada = await ada.signIn({ deviceId: ada.deviceId });
    // It ended the group that all this is about.
    if (method === "DELETE" && path === `/api/conversations/${world.group}` && answer.status === 204) {
      const { member, bystander } = world.cast.people;
      world = { ...world, group: await ada.group([member, bystander]) };
    }
    answers += `${JSON.stringify([...answer.headers])}${await answer.text()}\n`;
  }

  test("of the bodies, parameters and headers of every route is in no answer that it does not belong in", async () => {
    let count = 0;
    for (const [route, row] of Object.entries(ROUTES)) {
      const [method = "", pattern = ""] = route.split(" ");
      const described = document.paths[pattern]?.[method.toLowerCase()];
      const { path, body = {} } = row.send(world);
      const schema = described?.requestBody?.content["application/json"]?.schema;
      for (const field of schema === undefined ? [] : fieldsOf(schema)) {
        for (const value of [SECRET, [SECRET], { [SECRET]: SECRET }, SECRET.repeat(4_000)]) {
          // What is shown back is checked by its refusals only: as itself it may come back.
          if (SHOWN.has(field.at(-1) ?? "") && value === SECRET) continue;
          await send(method, path, planted(body, field, value));
          count++;
        }
      }
      if (schema !== undefined) {
        await send(method, path, { ...body, [SECRET]: SECRET });
        await send(method, path, `{"${SECRET}":"${SECRET}"`);
        await send(method, path, SECRET, { "content-type": SECRET });
      }
      for (const { name, in: place } of described?.parameters ?? []) {
        if (place === "query") await send(method, `${path}?${name}=${SECRET}`, method === "GET" ? undefined : body);
        if (place === "header") await send(method, path, body, { [name]: `${SECRET}\t${SECRET}` });
      }
      if (pattern.includes("{"))
        await send(method, pattern.replace(/\{\w+\}/g, SECRET), method === "GET" ? undefined : body);
      for (const header of [
        "authorization",
        "x-request-id",
        "x-forwarded-for",
        "origin",
        "cookie",
        "user-agent",
        "referer",
      ]) {
        await send(method, path, method === "GET" ? undefined : body, { [header]: `${SECRET} ${SECRET}` });
      }
    }
    expect(count).toBeGreaterThan(80);
    for (const form of FORMS) expect(answers).not.toContain(form);
    // All of it was sent by somebody who is signed in.
    expect((await ada.request("GET", "/api/auth/me")).status).toBe(200);
  }, 120_000);

  test("of every frame is in no answer, and none of them fails", async () => {
    using peer = await Peer.open(`${server.url.replace("http", "ws")}/ws`, { authorization: `Bearer ${ada.token}` });
    await peer.next("caught_up");
    for (const option of ClientFrame.options) {
      const types =
        "values" in option.shape.type ? [...option.shape.type.values] : Object.values(option.shape.type.enum);
      for (const type of types) {
        for (const field of Object.keys(option.shape)) {
          for (const value of [[SECRET], { [SECRET]: SECRET }, SECRET.repeat(3)]) {
            const frame = { type, id: newMessageId(), conversation_id: world.group, seq: 1, token: SECRET };
            // A mark is repeated in the answer, which is what it is for; a type that is unknown is not.
            if (field === "ref" && typeof value === "string") continue;
            if (SHOWN.has(field) && typeof value === "string") continue;
            peer.send({ ...frame, [field]: value });
          }
        }
      }
    }
    peer.send(`{"${SECRET}`);
    await peer.settled();
    const heard = peer.frames.map((frame) => JSON.stringify(frame)).filter((text) => text.includes(SECRET));
    expect(peer.frames.filter(({ type }) => type === "error").length).toBeGreaterThan(30);
    expect(heard).toEqual([]);
    expect(peer.frames.filter(({ code }) => code === "internal")).toEqual([]);
  });

  test("of a password, a message and a key is where it belongs, and in no log, metric or key of Redis", async () => {
    const person = { username: "canary-bird", password: `${SECRET} 91!`, display_name: "Bird" };
    const signedUp = await fetch(`${server.url}/api/auth/signup`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(person),
    });
    expect(signedUp.status).toBe(201);
    expect(await signedUp.text()).not.toContain(SECRET);
    using peer = await Peer.open(`${server.url.replace("http", "ws")}/ws`, { authorization: `Bearer ${ada.token}` });
    await peer.next("caught_up");
    const said = await peer.say(world.group, FORMS[1] ?? "");
    expect(said.type).toBe("receipt");
    const read = await ada.request("GET", `/api/conversations/${world.group}/messages`);
    expect(JSON.stringify(read.json)).toContain(FORMS[1] ?? "");

    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    const keys = (await redis.command("KEYS", "*")) as string[];
    expect(keys.length).toBeGreaterThan(0);
    const kept = await Promise.all(keys.map((key) => redis.command("DUMP", key).catch(() => "")));
    const everything = { log: server.logged(), metrics, keys: keys.join("\n"), values: kept.map(String).join("\n") };
    expect(everything.log).toContain("A request was answered");
    expect(metrics).toContain("sotto_http_seconds");
    for (const [place, text] of Object.entries(everything)) {
      for (const form of [...FORMS, "canary-bird", ada.token, ada.refreshToken]) {
        expect([place, text.includes(form)]).toEqual([place, false]);
      }
    }
  });
});
