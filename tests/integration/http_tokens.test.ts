/** Access tokens at the edge: what is accepted is pinned, and nothing that is not makes the server fail. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac, generateKeyPairSync } from "node:crypto";
import { SignJWT } from "jose";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { type Edge, signUpSomebody, startEdge, TEST_SECRET } from "../support/edge_server.ts";

let edge: Edge;
let good: string;
let claims: Record<string, unknown>;
beforeAll(async () => {
  edge = await startEdge();
  const somebody = await signUpSomebody(edge);
  good = somebody.access_token;
  claims = JSON.parse(Buffer.from(good.split(".")[1] ?? "", "base64url").toString());
});
afterAll(() => edge[Symbol.asyncDispose]());

/** The key that the server signs with: the test knows the secret, an attacker does not. */
const serverKey = new Uint8Array(createHmac("sha256", TEST_SECRET).update("sotto access token").digest());
const encode = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");

interface Forgery {
  readonly alg?: string;
  readonly typ?: string;
  readonly key?: Uint8Array;
  readonly change?: Record<string, unknown>;
}

async function sign({ alg = "HS256", typ = "at+jwt", key = serverKey, change = {} }: Forgery = {}): Promise<string> {
  const payload = Object.fromEntries(Object.entries({ ...claims, ...change }).filter(([, value]) => value !== undefined));
  return new SignJWT(payload).setProtectedHeader({ alg, typ }).sign(key);
}

async function me(token: string): Promise<string> {
  const answer = await edge.request("GET", "/api/auth/me", { token });
  return answer.status === 200 ? "ok" : `${answer.status} ${answer.json.error.code}`;
}

test("the claims are those of RFC 9068 with session and device, and last 30 minutes", () => {
  expect(claims).toMatchObject({ iss: "sotto", aud: "sotto" });
  for (const name of ["sub", "sid", "device", "jti", "iat", "exp"]) expect(claims[name]).toBeDefined();
  expect(JSON.parse(Buffer.from(good.split(".")[0] ?? "", "base64url").toString())).toEqual({ alg: "HS256", typ: "at+jwt" });
  const seconds = Number(claims["exp"]) - Number(claims["iat"]);
  expect(seconds).toBeGreaterThan(29 * 60 + 57);
  expect(seconds).toBeLessThanOrEqual(30 * 60);
});

test("a token that the test signs as the server does is accepted, so the refusals below are for their one fault", async () => {
  expect(await me(await sign())).toBe("ok");
});

test.each<[string, Forgery]>([
  ["HS384", { alg: "HS384", key: new Uint8Array(Buffer.concat([serverKey, serverKey])) }],
  ["HS384 with the server's key", { alg: "HS384" }],
  ["HS512 with the server's key", { alg: "HS512" }],
  ["another type", { typ: "JWT" }],
  ["a refresh type", { typ: "rt+jwt" }],
  ["another issuer", { change: { iss: "elsewhere" } }],
  ["no issuer", { change: { iss: undefined } }],
  ["another audience", { change: { aud: "elsewhere" } }],
  ["no audience", { change: { aud: undefined } }],
  ["no end", { change: { exp: undefined } }],
  ["an end that is a text", { change: { exp: "tomorrow" } }],
  ["no time of issue", { change: { iat: undefined } }],
  ["no session", { change: { sid: undefined } }],
  ["a session that does not exist", { change: { sid: uuidv7() } }],
  ["a session that is no id", { change: { sid: "1" } }],
  ["no device", { change: { device: undefined } }],
  ["no subject", { change: { sub: undefined } }],
  ["a subject that is no id", { change: { sub: "root" } }],
  ["a start in the future", { change: { nbf: Math.floor(Date.now() / 1_000) + 3_600 } }],
  ["another key", { key: new TextEncoder().encode("another secret of thirty-two chars") }],
  ["the secret itself as key", { key: new TextEncoder().encode(TEST_SECRET) }],
])("a token with %s is unauthorized", async (_, forgery) => {
  const token = await sign(forgery).catch(async () => signByHand(forgery));
  expect(await me(token)).toBe("401 unauthorized");
});

/** For what the library refuses to sign. */
function signByHand({ alg = "HS256", typ = "at+jwt", key = serverKey, change = {} }: Forgery): string {
  const input = `${encode({ alg, typ })}.${encode({ ...claims, ...change })}`;
  return `${input}.${createHmac("sha256", key).update(input).digest("base64url")}`;
}

test("an expired token of ours is token_expired, so that the client refreshes", async () => {
  expect(await me(await sign({ change: { exp: Math.floor(Date.now() / 1_000) - 1 } }))).toBe("401 token_expired");
  expect(await me(await sign({ change: { exp: 1 } }))).toBe("401 token_expired");
});

test("an expired token with a bad signature is unauthorized: it tells a stranger nothing", async () => {
  expect(await me(await sign({ change: { exp: 1 }, key: new Uint8Array(32) }))).toBe("401 unauthorized");
});

/** Texts that are no valid token, of every sort. */
async function badTokens(): Promise<string[]> {
  const [header = "", payload = "", signature = ""] = good.split(".");
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2_048 });
  const rsa = await new SignJWT(claims).setProtectedHeader({ alg: "RS256", typ: "at+jwt" }).sign(privateKey);
  const none = encode({ alg: "none", typ: "at+jwt" });
  const flipped = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
  return [
    await sign({ alg: "HS512" }),
    await sign({ alg: "HS384" }),
    await sign({ typ: "JWT" }),
    await sign({ change: { exp: 1 } }),
    await sign({ change: { sid: uuidv7() } }),
    await sign({ change: { sub: { $ne: null } } }),
    await sign({ change: { sid: ["x"] } }),
    await sign({ key: new Uint8Array(32) }),
    rsa,
    `${none}.${payload}.`,
    `${none}.${payload}`,
    `${none}.${payload}.${signature}`,
    `${encode({ alg: "None", typ: "at+jwt" })}.${payload}.`,
    `${header}.${payload}.`,
    `${header}.${payload}`,
    `${header}.${payload}.${flipped}`,
    `${header}.${payload}.${signature}.${signature}`,
    `${header}.${encode({ ...claims, sub: uuidv7() })}.${signature}`,
    `${header}..${signature}`,
    `.${payload}.${signature}`,
    "..",
    "...",
    ".",
    "a.b.c",
    "x",
    "null",
    "undefined",
    "[object%20Object]",
    "0".repeat(200),
    "A".repeat(4_097),
    `${encode("{")}.${payload}.${signature}`,
    `${encode("null")}.${payload}.${signature}`,
    `${encode("[]")}.${payload}.${signature}`,
    `${header}.${encode("null")}.${signature}`,
    `${header}.${encode("{".repeat(1_000))}.${signature}`,
    `${encode({ alg: "HS256", typ: "at+jwt", crit: ["exp"] })}.${payload}.${signature}`,
    `${encode({ alg: "HS256", typ: "at+jwt", b64: false, crit: ["b64"] })}.${payload}.${signature}`,
    `${encode({ alg: "dir", enc: "A256GCM" })}.${payload}.${signature}.a.b`,
    `${encode({ alg: "HS256", typ: "at+jwt", kid: "../../etc/passwd" })}.${payload}.${signature}`,
    `${encode({ alg: "HS256", typ: "at+jwt", jku: "https://elsewhere.example/keys" })}.${payload}.${signature}`,
    `'%20or%201=1--`,
    `${good}%00`,
  ];
}

describe("every authenticated route", () => {
  const routes = [
    ["GET", "/api/auth/me"],
    ["POST", "/api/auth/ws-ticket"],
    ["POST", "/api/auth/signout"],
    ["GET", `/api/users/${uuidv7()}/public-key`],
  ] as const;

  test.each(routes)("%s %s refuses each of forty bad tokens with 401", async (method, path) => {
    const tokens = await badTokens();
    expect(tokens.length).toBeGreaterThanOrEqual(40);
    for (const token of tokens) {
      const answer = await edge.request(method, path, { token });
      expect([token.slice(0, 40), answer.status]).toEqual([token.slice(0, 40), 401]);
      expect(["unauthorized", "token_expired"]).toContain(answer.json.error.code);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
  });

  test.each(routes)("%s %s refuses no token, and other schemes", async (method, path) => {
    for (const authorization of [undefined, "", "Bearer", "Bearer ", `Basic ${encode("a:b")}`, good, `Token ${good}`, `Bearer ${good} ${good}`]) {
      const headers: Record<string, string> = authorization === undefined ? {} : { authorization };
      const answer = await edge.request(method, path, { headers });
      expect([authorization, answer.status]).toEqual([authorization, 401]);
    }
  });
});

test("the scheme is read without regard to case (RFC 9110 section 11.1)", async () => {
  const answer = await edge.request("GET", "/api/auth/me", { headers: { authorization: `bearer ${good}` } });
  expect(answer.status).toBe(200);
});
