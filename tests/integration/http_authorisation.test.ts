/** Every authenticated route of the whole server, against forty bad tokens and other schemes: all refused, none fails. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { startApp, TEST_SECRET, type TestApp } from "../support/app.ts";
import { tokenForge } from "../support/token_forge.ts";

let server: TestApp;
let good: string;
beforeAll(async () => {
  server = await startApp();
  const body = { username: "owner", password: "wind mill 1843" };
  const answer = await send("POST", "/api/auth/signup", {}, body);
  good = (JSON.parse(answer.text) as { access_token: string }).access_token;
});
afterAll(() => server[Symbol.asyncDispose]());

const [id, other] = [uuidv7(), uuidv7()];
/** With a body that is right, so that nothing but the token can be refused. */
const ROUTES: readonly (readonly [method: string, path: string, body: object | null])[] = [
  ["GET", "/api/auth/me", null],
  ["POST", "/api/auth/ws-ticket", {}],
  ["POST", "/api/auth/signout", {}],
  ["POST", "/api/auth/change-password", { current_password: "x", new_password: "wind mill 1844" }],
  ["POST", "/api/auth/email", { email: "a@example.org", password: "x" }],
  ["POST", "/api/auth/email/verification", null],
  ["GET", "/api/auth/sessions", null],
  ["DELETE", "/api/auth/sessions", null],
  ["DELETE", `/api/auth/sessions/${id}`, null],
  ["GET", `/api/users/${id}/public-key`, null],
  ["GET", "/api/users", null],
  ["GET", `/api/users/${id}`, null],
  ["PUT", `/api/users/${id}`, { status: "away" }],
  ["GET", `/api/users/${id}/private-key`, null],
  ["PUT", `/api/users/${id}/private-key`, { private_key_encrypted: "x" }],
  ["POST", `/api/users/${id}/block`, null],
  ["DELETE", `/api/users/${id}/block`, null],
  ["GET", "/api/blocks", null],
  ["POST", "/api/auth/export", { password: "x" }],
  ["POST", "/api/auth/delete-account", { password: "x" }],
  ["GET", "/api/conversations", null],
  ["POST", "/api/conversations", { conversation_type: "dm", participant_ids: [id] }],
  ["GET", `/api/conversations/${id}`, null],
  ["POST", `/api/conversations/${id}/participants`, { user_id: other }],
  ["DELETE", `/api/conversations/${id}/participants/${other}`, null],
  ["GET", `/api/conversations/${id}/messages`, null],
  ["POST", `/api/conversations/${id}/messages`, { encrypted_content: "QUJD" }],
  ["GET", "/me", null],
  ["GET", "/messages", null],
  ["POST", "/messages", { recipient_id: id, encrypted_data: "QUJD" }],
  ["PUT", `/messages/${id}/delivered`, {}],
  ["GET", `/public-key/${id}`, null],
  ["PUT", "/update-key", { public_key: "x" }],
];

async function send(method: string, path: string, headers: Record<string, string>, body: object | null = null) {
  const json = body === null ? {} : { "content-type": "application/json" };
  const answer = await fetch(server.url + path, {
    method,
    headers: { ...headers, ...json },
    body: body === null ? null : JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

describe("every authenticated route refuses with 401", () => {
  test.each(ROUTES)("%s %s: forty bad tokens, other schemes, none at all", async (method, path, body) => {
    const tokens = tokenForge(good, TEST_SECRET).badTokens();
    expect(tokens.length).toBeGreaterThanOrEqual(40);
    const schemes = ["", "Bearer", "Bearer ", "Basic YTpi", good, `Token ${good}`, `Bearer ${good} ${good}`];
    const headers = [
      {},
      ...[...tokens.map((token) => `Bearer ${token}`), ...schemes].map((authorization) => ({ authorization })),
    ];
    for (const header of headers) {
      const answer = await send(method, path, header, body);
      expect([header, answer.status]).toEqual([header, 401]);
      expect(answer.text).toMatch(/"code":"(unauthorized|token_expired)"/);
      expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    }
  });

  test("and the good token, afterwards, is still good", async () => {
    expect((await send("GET", "/api/auth/me", { authorization: `Bearer ${good}` })).status).toBe(200);
    expect(server.logged()).not.toContain('"level":"error"');
  });
});
