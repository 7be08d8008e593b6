/** Input over HTTP that once made the server fail instead of refusing it. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";

let server: TestApp;
let ada: Person;
beforeAll(async () => {
  server = await startApp();
  ada = await server.person();
});
afterAll(() => server[Symbol.asyncDispose]());

const PASSWORD = "correct horse battery staple";

test.each([
  ["/api/auth/signin", "username"],
  ["/api/auth/signin", "email"],
  ["/login", "name"],
  ["/login", "username"],
])("POST %s answers a %s with U+0000, which Postgres takes in no text, as one that nobody has", async (path, field) => {
  const answer = await request(server.url, "POST", path, { [field]: "a\0b", password: PASSWORD });
  expect(answer.status).toBe(401);
  expect(answer.json.error.code).toBe("invalid_credentials");
});

test.each(["/api/conversations", "/messages"])(
  "GET %s refuses a cursor of a year that the database's driver cannot write",
  async (path) => {
    const answer = await ada.request("GET", `${path}?cursor=999999999999999_01890000-0000-7000-8000-000000000000`);
    expect(answer.status).toBe(400);
    expect(answer.json.error.details.fields.cursor).toBeString();
    const last = await ada.request("GET", `${path}?cursor=99999999999999_01890000-0000-7000-8000-000000000000`);
    expect(last.status).toBe(200);
  },
);

test("GET /api/users finds nobody by U+0000, which is in no name", async () => {
  const answer = await ada.request("GET", "/api/users?q=a%00");
  expect([answer.status, answer.json]).toEqual([200, { users: [], next: null }]);
});

test.each(["seal\0ed", "seal\ud800ed"])(
  "PUT of a sealed key refuses %j: the database could not give it back as it came",
  async (blob) => {
    const answer = await fetch(`${server.url}/api/users/${ada.id}/private-key`, {
      method: "PUT",
      headers: { authorization: `Bearer ${ada.token}`, "content-type": "application/json", "if-none-match": "*" },
      body: JSON.stringify({ private_key_encrypted: blob }),
    });
    expect([answer.status, (await answer.json()).error.code]).toEqual([400, "bad_request"]);
  },
);

test("a password of 100 emoji, which signs in, is long enough for no refusal where it is asked for again", async () => {
  const password = Array.from({ length: 100 }, (_, i) => String.fromCodePoint(0x1f300 + ((i * 37) % 251))).join("");
  const signedUp = await request(server.url, "POST", "/api/auth/signup", { username: "emoji", password });
  expect(signedUp.status).toBe(201);
  const left = await request(server.url, "POST", "/api/auth/delete-account", { password }, signedUp.json.access_token);
  expect(left.status).toBe(202);
});

test.each([
  ["a user name", { username: "ada\u3164" }, "username"],
  ["a user name of nothing that is seen", { username: "\u1160\u1160\u1160" }, "username"],
  ["a user name with a letter of another script that looks the same", { username: "\u0430da_lovelace" }, "username"],
  ["a display name of nothing that is seen", { username: "seen", display_name: "\u200b\u3164" }, "display_name"],
])("signing up refuses %s: nobody could tell it from another", async (_, names, field) => {
  const answer = await request(server.url, "POST", "/api/auth/signup", { password: PASSWORD, ...names });
  expect(answer.status).toBe(400);
  expect(Object.keys(answer.json.error.details.fields)).toEqual([field]);
});

test.each(["\u0430\u0434\u0430", "アダ_ada", "ada_10", "ελένη", "عايدة"])(
  "signing up takes the user name %s",
  async (username) => {
    const answer = await request(server.url, "POST", "/api/auth/signup", { username, password: PASSWORD });
    expect([answer.status, answer.json.user?.username]).toEqual([201, username]);
  },
);

test.each(["👩‍👩‍👧", "نمی‌خواهم", "Ada ✈️"])("signing up takes the display name %s", async (display_name) => {
  const username = `shown_${crypto.randomUUID().slice(0, 8)}`;
  const answer = await request(server.url, "POST", "/api/auth/signup", { username, password: PASSWORD, display_name });
  expect([answer.status, answer.json.user?.display_name]).toEqual([201, display_name]);
});
