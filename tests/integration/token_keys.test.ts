/** The ring of keys that sign access tokens: both algorithms, public keys, rotation, and keys that are gone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createLocalJWKSet, jwtVerify } from "jose";
import { STARTING_MS } from "../spec/support.ts";
import { type Person, request, startApp, TEST_SECRET, type TestApp } from "../support/app.ts";
import { freePort } from "../support/free_port.ts";
import { tokenForge } from "../support/token_forge.ts";
import { waitUntil } from "../support/wait.ts";

const KEY = { a: "a1".repeat(32), b: "b2".repeat(32), c: "c3".repeat(32) };
const headerOf = (token: string) => JSON.parse(Buffer.from(token.split(".")[0] ?? "", "base64url").toString());
const me = async (server: { readonly url: string }, token: string) =>
  (await request(server.url, "GET", "/api/auth/me", undefined, token)).status;

describe("ALGORITHM=EdDSA", () => {
  let server: TestApp;
  let ann: Person;
  beforeAll(async () => {
    server = await startApp({ env: { ALGORITHM: "EdDSA" } });
    ann = await server.person();
  }, STARTING_MS);
  afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

  test("signs with Ed25519, and every bad token is refused", async () => {
    expect(headerOf(ann.token)).toEqual({ alg: "EdDSA", kid: "1", typ: "at+jwt" });
    const forge = tokenForge(ann.token, TEST_SECRET);
    expect(await me(server, forge.sign())).toBe(200); // so each bad one is refused for its one fault
    for (const token of forge.badTokens()) expect([token, await me(server, token)]).toEqual([token, 401]);
    expect(server.logged()).not.toContain('"level":"error"');
  });

  test("shows its public keys, with which others can read a token, and nothing of the private ones", async () => {
    const answer = await request(server.url, "GET", "/.well-known/jwks.json");
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toBe("public, max-age=300");
    const [key] = answer.json.keys;
    expect(Object.keys(key).sort()).toEqual(["alg", "crv", "kid", "kty", "use", "x"]);
    const options = { issuer: "sotto", audience: "sotto", typ: "at+jwt", algorithms: ["EdDSA"] };
    const { payload } = await jwtVerify(ann.token, createLocalJWKSet(answer.json), options);
    expect(payload.sub).toBe(ann.id);
  });

  test("opens sockets, and answers a bad token on one as HS256 does", async () => {
    using peer = await ann.live();
    for (const token of tokenForge(ann.token, TEST_SECRET).badTokens().slice(0, 40)) {
      peer.send({ type: "authenticate", token });
      const answer = await peer.next("error");
      expect([token, ["unauthorized", "bad_frame"].includes(answer.code)]).toEqual([token, true]);
    }
    await peer.settled();
  });
});

test("with HS256 there are no public keys to show", async () => {
  await using server = await startApp();
  expect((await request(server.url, "GET", "/.well-known/jwks.json")).status).toBe(404);
});

test("a token of a key that is gone is refused, and its session goes on by its refresh token", async () => {
  await using server = await startApp({ env: { SIGNING_KEYS: `a:${KEY.a},b:${KEY.b}` } });
  const ann = await server.person();
  expect(headerOf(ann.token).kid).toBe("a");
  await using without = await server.another({ env: { SIGNING_KEYS: `b:${KEY.b}` } });
  await using other = await server.another({ env: { SIGNING_KEYS: `a:${KEY.c}` } });
  expect(await me(server, ann.token)).toBe(200);
  expect(await me(without, ann.token)).toBe(401);
  expect(await me(other, ann.token)).toBe(401); // the same id for another key
  const { json } = await request(without.url, "POST", "/api/auth/refresh", { refresh_token: ann.refreshToken });
  expect(headerOf(json.access_token).kid).toBe("b");
  expect(await me(server, json.access_token)).toBe(200);
});

test("an id belongs to one algorithm: the same bytes under the same id do not read the other's tokens", async () => {
  await using mac = await startApp({ env: { SIGNING_KEYS: `a:${KEY.a}` } });
  await using pair = await mac.another({ env: { SIGNING_KEYS: `a:EdDSA:${KEY.a}` } });
  const [ann, ben] = [await mac.person(), await pair.person()];
  expect(await me(pair, ann.token)).toBe(401);
  expect(await me(mac, ben.token)).toBe(401);
});

/** A server of two nodes that are restarted one after the other, each at its own address. */
class TwoNodes implements AsyncDisposable {
  #nodes: [TestApp, TestApp];
  readonly #ports: readonly [number, number];

  private constructor(nodes: [TestApp, TestApp], ports: readonly [number, number]) {
    this.#nodes = nodes;
    this.#ports = ports;
  }

  static async start(env: Record<string, string>): Promise<TwoNodes> {
    const ports = [await freePort(), await freePort()] as const;
    const first = await startApp({ env: { ...env, PORT: String(ports[0]) } });
    return new TwoNodes([first, await first.another({ env: { ...env, PORT: String(ports[1]) } })], ports);
  }

  get urls(): readonly string[] {
    return this.#nodes.map(({ url }) => url);
  }

  person(): Promise<Person> {
    return this.#nodes[0].person();
  }

  /** Restarts both, one after the other. The first one owns the database, so a node of it takes its place. */
  async restart(env: Record<string, string>, onRestarted: () => Promise<void>): Promise<void> {
    for (const i of [0, 1] as const) {
      const before = this.#nodes[i];
      await before.app[Symbol.asyncDispose]();
      const after = await before.another({ env: { ...env, PORT: String(this.#ports[i]) } });
      this.#nodes[i] = { ...after, database: before.database };
      await onRestarted();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes) await node.app[Symbol.asyncDispose]();
    await this.#nodes[0].database[Symbol.asyncDispose]();
  }
}

/** Somebody who asks one node after the other, again and again, and refreshes now and then. */
async function ask(nodes: TwoNodes, person: Person, seen: Map<string, number>, over: () => boolean): Promise<void> {
  let { token, refreshToken }: { token: string; refreshToken: string } = person;
  for (let i = 0; !over(); i++) {
    const url = nodes.urls[i % 2] ?? "";
    const note = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1);
    try {
      if (i % 7 === 6) {
        const { status, json } = await request(url, "POST", "/api/auth/refresh", { refresh_token: refreshToken });
        note(`refresh ${status}`);
        if (status === 200) ({ access_token: token, refresh_token: refreshToken } = json);
      } else {
        const { status } = await request(url, "GET", "/api/auth/me", undefined, token);
        note(`me ${status} by ${headerOf(token).kid}`);
      }
    } catch {
      note("no answer"); // the node was just restarted; a client asks the other one
    }
  }
}

describe("rotation under load", () => {
  test.each([
    ["from one key to another", `a:${KEY.a}`, `a:${KEY.a},b:${KEY.b}`, `b:${KEY.b},a:${KEY.a}`, `b:${KEY.b}`],
    [
      "from SECRET_KEY to a pair of keys",
      "",
      `1:SECRET_KEY,b:EdDSA:${KEY.b}`,
      `b:EdDSA:${KEY.b},1:SECRET_KEY`,
      `b:EdDSA:${KEY.b}`,
    ],
  ])(
    "%s refuses nobody: first every node knows the new key, then the nodes sign with it",
    async (_, ...rings) => {
      const [before = "", known = "", active = "", after = ""] = rings;
      await using nodes = await TwoNodes.start({ SIGNING_KEYS: before });
      const people = await Promise.all(Array.from({ length: 6 }, () => nodes.person()));
      const seen = new Map<string, number>();
      let over = false;
      const load = Promise.all(people.map((person) => ask(nodes, person, seen, () => over)));
      const count = (pattern: RegExp) =>
        [...seen].reduce((sum, [what, times]) => sum + (pattern.test(what) ? times : 0), 0);
      const more = async (pattern: RegExp) => {
        const enough = count(pattern) + 60;
        await waitUntil(`sixty more of ${pattern}`, () => count(pattern) >= enough, 30_000);
      };
      try {
        await more(/^me 200/);
        await nodes.restart({ SIGNING_KEYS: known }, () => more(/^me 200/));
        await nodes.restart({ SIGNING_KEYS: active }, () => more(/^me 200 by b/));
        // Tokens of the old key have been refreshed by now, as they would be after their time.
        await more(/^refresh 200/);
        await nodes.restart({ SIGNING_KEYS: after }, () => more(/^me 200 by b/));
      } finally {
        over = true;
        await load;
      }
      expect([...seen.keys()].filter((what) => !/ 200|no answer/.test(what))).toEqual([]);
    },
    120_000,
  );
});
