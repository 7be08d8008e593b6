/** Access tokens at the edge: what is accepted is pinned, and nothing that is not makes the server fail. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { TEST_SECRET } from "../support/app.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";
import { type Forgery, type TokenForge, tokenForge } from "../support/token_forge.ts";

let edge: Edge;
let good: string;
let forge: TokenForge;
beforeAll(async () => {
  edge = await startEdge();
  const somebody = await signUpSomebody(edge);
  good = somebody.access_token;
  forge = tokenForge(good, TEST_SECRET);
});
afterAll(() => edge[Symbol.asyncDispose]());

async function me(token: string): Promise<string> {
  const answer = await edge.request("GET", "/api/auth/me", { token });
  return answer.status === 200 ? "ok" : `${answer.status} ${answer.json.error.code}`;
}

test("the claims are those of RFC 9068 with session and device, and last 30 minutes", () => {
  expect(forge.claims).toMatchObject({ iss: "sotto", aud: "sotto" });
  for (const name of ["sub", "sid", "device", "jti", "iat", "exp"]) expect(forge.claims[name]).toBeDefined();
  expect(JSON.parse(Buffer.from(good.split(".")[0] ?? "", "base64url").toString())).toEqual({
    alg: "HS256",
    kid: "1",
    typ: "at+jwt",
  });
  const seconds = Number(forge.claims["exp"]) - Number(forge.claims["iat"]);
  expect(seconds).toBeGreaterThan(29 * 60 + 57);
  expect(seconds).toBeLessThanOrEqual(30 * 60);
});

test("a token that the test signs as the server does is accepted, so the refusals below are for their one fault", async () => {
  expect(await me(forge.sign())).toBe("ok");
});

test.each<[string, Forgery]>([
  ["HS384", { alg: "HS384", key: new Uint8Array(48) }],
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
  ["an issue a year from now", { change: { iat: Math.floor(Date.now() / 1_000) + 365 * 86_400 } }],
  [
    "an issue after its end",
    { change: { iat: Math.floor(Date.now() / 1_000) + 60, exp: Math.floor(Date.now() / 1_000) + 30 } },
  ],
  ["no token id", { change: { jti: undefined } }],
  ["no key id", { kid: null }],
  ["an unknown key id", { kid: "2" }],
  ["a key id that is a number", { kid: 1 }],
  ["another algorithm", { alg: "EdDSA" }],
  ["a start in the future", { change: { nbf: Math.floor(Date.now() / 1_000) + 3_600 } }],
  ["another key", { key: new TextEncoder().encode("another secret of thirty-two chars") }],
  ["the secret itself as key", { key: new TextEncoder().encode(TEST_SECRET) }],
])("a token with %s is unauthorized", async (_, forgery) => {
  expect(await me(forge.sign(forgery))).toBe("401 unauthorized");
});

test("an expired token of ours is token_expired, so that the client refreshes", async () => {
  const now = Math.floor(Date.now() / 1_000);
  expect(await me(forge.sign({ change: { iat: now - 60, exp: now - 1 } }))).toBe("401 token_expired");
  expect(await me(forge.sign({ change: { iat: 1, exp: 2 } }))).toBe("401 token_expired");
});

test("an expired token with a bad signature is unauthorized: it tells a stranger nothing", async () => {
  expect(await me(forge.sign({ change: { exp: 1 }, key: new Uint8Array(32) }))).toBe("401 unauthorized");
});

test("the scheme is read without regard to case (RFC 9110 section 11.1)", async () => {
  const answer = await edge.request("GET", "/api/auth/me", { headers: { authorization: `bearer ${good}` } });
  expect(answer.status).toBe(200);
});
