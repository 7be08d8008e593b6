/** Every route that needs a token, and the socket in its three ways, against forty bad tokens: all refused, none fails. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { relayOperations } from "../../src/compat/relay/mod.ts";
import { OPERATIONS } from "../../src/protocol/mod.ts";
import { TEST_SECRET, type TestApp } from "../support/app.ts";
import { Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { tokenForge } from "../support/token_forge.ts";
import { ROUTES } from "./matrix.ts";
import { castOf, startWorld, type World, worldFor } from "./world.ts";

const PROTECTED = Object.entries({ ...OPERATIONS, ...relayOperations })
  // Signing out takes a refresh token in the place of an access token; without one it needs that.
  .filter(([route, { auth }]) => auth === "bearer" || route === "POST /api/auth/signout")
  .map(([route]) => route);

let server: TestApp;
let world: World;
let good: string;
let tokens: readonly string[];
beforeAll(async () => {
  server = await startWorld();
  world = await worldFor(await castOf(server), "member");
  good = world.token ?? "";
  tokens = tokenForge(good, TEST_SECRET).badTokens();
});
afterAll(() => server[Symbol.asyncDispose]());

async function send(route: string, headers: Record<string, string>) {
  const [method = "", row] = [route.split(" ")[0], new Map(Object.entries(ROUTES)).get(route)];
  if (row === undefined) throw new Error(`No row in the matrix: ${route}`);
  // What the member would send, so that nothing but the token can be refused.
  const { path, body } = row.send(world);
  const answer = await fetch(server.url + path, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { "content-type": "application/json" }) },
    body: body === undefined ? null : JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

describe("every route that needs a token refuses with 401", () => {
  test("forty bad ones are at hand, and most routes need one", () => {
    expect(tokens.length).toBeGreaterThanOrEqual(40);
    expect(PROTECTED.length).toBeGreaterThan(15);
  });

  test.each(PROTECTED)("%s: forty bad tokens, other schemes, none at all", async (route) => {
    const schemes = ["", "Bearer", "Bearer ", "Basic YTpi", good, `Token ${good}`, `Bearer ${good} ${good}`];
    const headers = [
      {},
      ...[...tokens.map((token) => `Bearer ${token}`), ...schemes].map((authorization) => ({ authorization })),
    ];
    for (const header of headers) {
      const answer = await send(route, header);
      expect([header, answer.status]).toEqual([header, 401]);
      expect(answer.text).toMatch(/"code":"(unauthorized|token_expired)"/);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
  });
});

describe("the socket", () => {
  const url = () => `${server.url.replace("http", "ws")}/ws`;

  test("refuses forty bad tokens in the header in place of the upgrade", async () => {
    for (const token of tokens) {
      const { status, body, socket } = await RawSocket.upgrade(url(), { Authorization: `Bearer ${token}` });
      socket[Symbol.dispose]();
      expect([token, status]).toEqual([token, 401]);
      expect(JSON.parse(body).error.code).toMatch(/^(unauthorized|token_expired)$/);
    }
  });

  test("refuses forty bad texts as tickets in place of the upgrade", async () => {
    for (const token of [...tokens, good, "A".repeat(43)]) {
      const { status, socket } = await RawSocket.upgrade(`${url()}?ticket=${encodeURIComponent(token)}`);
      socket[Symbol.dispose]();
      expect([token, status]).toEqual([token, 401]);
    }
  });

  test("closes with 4401 for forty bad tokens in the first frame", async () => {
    for (const token of tokens) {
      using peer = await Peer.open(url());
      peer.send({ type: "authenticate", token });
      expect([token, (await peer.ended()).code]).toEqual([token, 4401]);
      expect(peer.frames).toEqual([]);
    }
  });
});

test("the good token, afterwards, is still good, and nothing failed", async () => {
  expect((await send("GET /api/auth/me", { authorization: `Bearer ${good}` })).status).toBe(200);
  expect(server.logged()).not.toContain('"level":"error"');
});
