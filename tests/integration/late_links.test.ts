/** Links are made after they were asked for, when a mail's turn comes: what was changed in between counts. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { requirePassword } from "../../src/accounts/mod.ts";
import { OverloadedError } from "../../src/platform/overloaded.ts";
import type { AccountId } from "../../src/protocol/mod.ts";
import { request, startApp, type TestApp } from "../support/app.ts";
import { signUpSomebody, startEdge } from "../support/edge_server.ts";
import { TestMailServer } from "../support/mail_server.ts";
import { waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
const NEW = "violet harbour 93 lantern";
/** Mails that are under way at once. */
const AT_ONCE = 4;

let mails: TestMailServer;
let server: TestApp;
beforeAll(async () => {
  mails = await TestMailServer.start();
  server = await startApp({ env: { SMTP_URL: mails.url, MAIL_FROM: "Sotto <chat@example.org>" }, slowPasswords: true });
});
afterEach(() => {
  mails.judge = () => 250;
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await mails[Symbol.asyncDispose]();
});

let people = 0;
/** Somebody whose address is verified. */
async function somebody() {
  const name = `late_${++people}`;
  const email = `${name}@example.org`;
  const { json } = await request(server.url, "POST", "/api/auth/signup", { username: name, email, password: PASSWORD });
  const send = (path: string, body: object) =>
    request(server.url, "POST", `/api/auth/${path}`, body, json.access_token as string);
  const token = await mails.tokenTo(email);
  expect((await send("email/verify", { token })).status).toBe(200);
  return { name, email, id: json.user.id as string, send };
}

const settled = () =>
  waitUntil("no mail is under way", async () =>
    /^sotto_mail_depth 0$/m.test(await (await fetch(`${server.url}/metrics`)).text()),
  );

test("a change of address that waits for a slow mail server is void once the password is changed", async () => {
  const ann = await somebody();
  const others = await Promise.all(Array.from({ length: AT_ONCE }, somebody));
  const gate = Promise.withResolvers<void>();
  mails.judge = () => gate.promise.then(() => 250);
  const before = mails.named.length;
  for (const { email } of others) await request(server.url, "POST", "/api/auth/magic-link", { email });
  await waitUntil("the mail server is busy with others", () => mails.named.length === before + AT_ONCE);
  const theirs = `eve-${ann.email}`;
  expect((await ann.send("email", { email: theirs, password: PASSWORD })).status).toBe(202); // by who stole the password
  const changed = await ann.send("change-password", { current_password: PASSWORD, new_password: NEW });
  expect(changed.status).toBe(204);
  gate.resolve();
  await settled();
  expect(mails.named).not.toContain(theirs);
  expect(mails.named.at(-1)).toBe(ann.email); // who is told of the change
});

for (const path of ["magic-link", "password-reset"]) {
  test(`a ${path} is not sent to an address that the account has no longer`, async () => {
    const ann = await somebody();
    const before = mails.named.length;
    await server.db.transaction(async (tx) => {
      await tx.query("select 1 from accounts where id = $1 for no key update", [ann.id]);
      expect((await request(server.url, "POST", `/api/auth/${path}`, { email: ann.email })).status).toBe(202);
      await waitUntil("the link waits for the account", async () => {
        const rows = await server.db.query(
          "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        );
        return rows.length > 0;
      });
      const other = `new-${ann.email}`;
      await tx.query("update accounts set email = $2, email_key = $2 where id = $1", [ann.id, other]);
    });
    await settled();
    expect(mails.named.length).toBe(before);
  });
}

test("a step-up that was turned away because too many wait is no wrong password", async () => {
  await using edge = await startEdge();
  const { user, password } = await signUpSomebody(edge);
  const accountId = user.id as AccountId;
  const ask = () => requirePassword(edge.accounts, { accountId, password, address: "192.0.2.1" });
  await ask();
  const others = Array.from({ length: 110 }, () =>
    edge.accounts.passwords.hashPassword(password).catch(() => "too many"),
  );
  for (let i = 0; i < 3; i++) expect(await ask().catch((error) => error)).toBeInstanceOf(OverloadedError);
  await Promise.all(others);
  const charged = await edge.db.query("select 1 from password_guesses where paid_until > now() + interval '1 second'");
  expect(charged).toEqual([]);
});
