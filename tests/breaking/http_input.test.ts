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
