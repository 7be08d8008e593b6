/** Links by mail, through a real SMTP server: to sign in, to choose a password, to verify and change an address. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { purgeSessions } from "../../src/accounts/mod.ts";
import { createApp } from "../../src/app.ts";
import { createLog } from "../../src/platform/log.ts";
import { LIMITS } from "../../src/protocol/mod.ts";
import {
  type HttpAnswer,
  NO_RATES,
  Person,
  request,
  startApp,
  type TestApp,
  type TestAppOptions,
  testConfig,
} from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { freePort } from "../support/free_port.ts";
import { readMail, silentServer, TestMailServer } from "../support/mail_server.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
const NEW = "violet harbour 93 lantern";
const MINUTE_MS = 60_000;
const BASE = "https://chat.example.org/sotto";

const clock = movableClock();
let mails: TestMailServer;
let server: TestApp;
beforeAll(async () => {
  mails = await TestMailServer.start();
  const env = { SMTP_URL: mails.url, MAIL_FROM: "Sotto <chat@example.org>", BASE_URL: BASE };
  server = await startApp({ env, clock, slowPasswords: true });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await mails[Symbol.asyncDispose]();
});

const nodes: AsyncDisposable[] = [];
async function node(options: TestAppOptions): Promise<TestApp> {
  const another = await server.another({ clock, ...options });
  nodes.push(another);
  return another;
}
afterEach(async () => {
  for (const each of nodes.splice(0).reverse()) await each[Symbol.asyncDispose]();
});

const post = (path: string, body: object, url = server.url) => request(url, "POST", `/api/auth/${path}`, body);
const codeOf = ({ status, json }: HttpAnswer) => `${status} ${json?.error?.code ?? "ok"}`;
const signIn = async (body: object) => codeOf(await post("signin", { password: PASSWORD, ...body }));
const ask = async (path: "magic-link" | "password-reset", email: string, subject: string) => {
  const before = mails.mails.length;
  expect((await post(path, { email })).status).toBe(202);
  return mails.tokenTo(email, subject, before);
};
const askMagicLink = (email: string) => ask("magic-link", email, "Your link to sign in");
const askReset = (email: string) => ask("password-reset", email, "Choose a new password");

let people = 0;
/** Somebody with an address that is not verified yet. */
async function somebody(more: object = {}) {
  const name = `mail_${++people}`;
  const email = `${name}@example.org`;
  const { status, json } = await post("signup", { username: name, email, password: PASSWORD, ...more });
  if (status !== 201) throw new Error(JSON.stringify(json));
  const me = async () => (await request(server.url, "GET", "/api/auth/me", undefined, json.access_token)).json;
  const send = (path: string, body?: object) =>
    request(server.url, "POST", `/api/auth/${path}`, body, json.access_token);
  return { name, email, me, send, answer: json, id: json.user.id as string, token: json.access_token as string };
}

/** Waits until every mail that was asked for has come to its end. */
const settled = (url = server.url) =>
  waitUntil("no mail is under way", async () =>
    /^sotto_mail_depth 0$/m.test(await (await fetch(`${url}/metrics`)).text()),
  );
const countOf = (email: string, subject: string) =>
  mails.mails.filter(({ to, headers }) => to.includes(email) && headers.get("subject") === subject).length;

/** One of many at once succeeded; on a slow machine some of the others may have waited too long for their turn. */
function expectOneOf(codes: readonly string[], success: string): void {
  expect(codes).toHaveLength(100);
  expect(codes.filter((code) => code === success)).toHaveLength(1);
  for (const code of codes) expect([success, "401 link_invalid", "503 overloaded", "503 unavailable"]).toContain(code);
  expect(codes).toContain("401 link_invalid");
}

describe("verifying an address", () => {
  test("signing up sends a link, and redeeming it verifies the address once", async () => {
    const person = await somebody();
    expect(await person.me()).toMatchObject({ email: person.email, email_verified: false });
    const token = await mails.tokenTo(person.email, "Confirm your e-mail address");
    const answer = await post("email/verify", { token });
    expect([answer.status, answer.json]).toEqual([200, { email: person.email, email_verified: true }]);
    expect(await person.me()).toMatchObject({ email: person.email, email_verified: true });
    expect(codeOf(await post("email/verify", { token }))).toBe("401 link_invalid");
  });

  test("can be asked for again until it is done, and then nothing is sent", async () => {
    const person = await somebody();
    const first = await mails.tokenTo(person.email);
    const before = mails.mails.length;
    const asked = await person.send("email/verification");
    expect([asked.status, asked.json]).toEqual([202, { expires_in: 86_400 }]);
    const second = await mails.tokenTo(person.email, "", before);
    expect(second).not.toBe(first);
    expect((await post("email/verify", { token: second })).status).toBe(200);
    expect(codeOf(await post("email/verify", { token: first }))).toBe("401 link_invalid");
    expect((await person.send("email/verification")).status).toBe(202);
    await settled();
    expect(countOf(person.email, "Confirm your e-mail address")).toBe(2);
  });

  test("works for 24 hours", async () => {
    const [early, late] = [await somebody(), await somebody()];
    const tokens = [await mails.tokenTo(early.email), await mails.tokenTo(late.email)];
    clock.advance(LIMITS.verifyLinkMs - MINUTE_MS);
    expect((await post("email/verify", { token: tokens[0] })).status).toBe(200);
    clock.advance(MINUTE_MS);
    expect(codeOf(await post("email/verify", { token: tokens[1] }))).toBe("401 link_invalid");
  });
});

describe("a link in a mail", () => {
  test("leads to the configured address, with the token after #, and only its hash is stored", async () => {
    const { name, email } = await somebody();
    const token = await askMagicLink(email);
    expect(token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    const { text } = await mails.mailTo(email, "Your link to sign in");
    expect(text.split("\n")).toContain(`${BASE}/auth/magic-link#token=${token}`);
    expect(text).not.toContain(name); // whoever registers another's address cannot have us send a text of theirs
    const rows = await server.db.query<{ hash: Buffer }>("select * from mail_links where email = $1", [email]);
    expect(rows.map(({ hash }) => hash.toString("hex"))).toContain(createHash("sha256").update(token).digest("hex"));
    expect(JSON.stringify(rows)).not.toContain(token);
    expect(server.logged()).not.toContain(token);
    expect(server.logged()).not.toContain(email);
  });

  test("is redeemed by POST only, for what it is for, and as it was given out", async () => {
    const { email } = await somebody();
    const token = await askMagicLink(email);
    for (const path of ["magic-link/verify", "password-reset/verify", "email/verify"]) {
      expect((await request(server.url, "GET", `/api/auth/${path}?token=${token}`)).status).toBe(405);
    }
    expect(codeOf(await post("email/verify", { token }))).toBe("401 link_invalid");
    expect(codeOf(await post("password-reset/verify", { token, new_password: NEW }))).toBe("401 link_invalid");
    const wrong = [
      "x",
      "null",
      token.slice(0, 42),
      `${token}=`,
      `${token}A`,
      ` ${token}`,
      token.toLowerCase(),
      "A".repeat(43),
    ];
    for (const each of wrong) expect(codeOf(await post("magic-link/verify", { token: each }))).toBe("401 link_invalid");
    for (const body of [{}, { token: 7 }, { token: [token] }, { token: "x".repeat(129) }]) {
      expect([400, 413]).toContain((await post("magic-link/verify", body)).status);
    }
    expect((await post("magic-link/verify", { token })).status).toBe(200);
  });

  test("leads to the app where MAIL_LINK_URL names one, and comes in the caller's language", async () => {
    const other = await node({
      env: { SMTP_URL: mails.url, MAIL_FROM: "chat@example.org", MAIL_LINK_URL: "https://app.example.org/" },
    });
    const { email } = await somebody();
    await fetch(`${other.url}/api/auth/password-reset`, {
      method: "POST",
      headers: { "content-type": "application/json", "accept-language": "de-CH, en;q=0.5" },
      body: JSON.stringify({ email }),
    });
    const { text } = await mails.mailTo(email, "Wähle ein neues Passwort");
    expect(text).toContain("https://app.example.org/auth/password-reset#token=");
  });

  test("is sent three times in ten minutes at most, whoever asks, and nobody is told", async () => {
    const { email } = await somebody();
    for (let i = 0; i < 5; i++) {
      const answer = await post("magic-link", { email });
      expect([answer.status, answer.json]).toEqual([202, { expires_in: 600 }]);
      await settled();
    }
    expect(countOf(email, "Your link to sign in")).toBe(LIMITS.linksPerTenMinutes);
    clock.advance(10 * MINUTE_MS + 1);
    await askMagicLink(email);
    expect(await purgeSessions({ db: server.db, clock })).toBeGreaterThanOrEqual(LIMITS.linksPerTenMinutes);
  });

  test("is asked for slowly from one address", async () => {
    const env = { SMTP_URL: mails.url, MAIL_FROM: "chat@example.org" };
    const slow = await node({ env, rates: { ...NO_RATES, mail_name_address: { perMinute: 1, burst: 2 } } });
    const statuses: number[] = [];
    for (let i = 0; i < 3; i++) {
      statuses.push((await post("magic-link", { email: "nobody@example.org" }, slow.url)).status);
    }
    expect(statuses).toEqual([202, 202, 429]);
  });
});

describe("signing in by a link", () => {
  test("gives tokens, on the device that it names, and verifies the address", async () => {
    const person = await somebody();
    const token = await askMagicLink(person.email);
    const { device_id } = person.answer;
    const answer = await post("magic-link/verify", { token, device_id, device_name: "Phone" });
    expect(answer.status).toBe(200);
    expect(answer.json).toMatchObject({ token_type: "bearer", device_id });
    const me = await request(server.url, "GET", "/api/auth/me", undefined, answer.json.access_token);
    expect(me.json).toMatchObject({ id: person.id, email_verified: true, session_id: answer.json.session_id });
    expect(codeOf(await post("refresh", { refresh_token: answer.json.refresh_token }))).toBe("200 ok");
    // The device had a session already.
    expect((await person.me()).error.code).toBe("unauthorized");
  });

  test("takes an address in any case, and sends to it as it was registered", async () => {
    const { email } = await somebody();
    const before = mails.mails.length;
    await post("magic-link", { email: email.toUpperCase() });
    expect((await mails.mailTo(email, "Your link", before)).to).toEqual([email]);
  });

  test("answers the same for an address that nobody has, and sends nothing", async () => {
    const { email } = await somebody();
    const unknown = await post("magic-link", { email: "nobody-at-all@example.org" });
    const known = await post("magic-link", { email });
    const without = (headers: Headers) =>
      [...headers].filter(([name]) => !["date", "x-request-id"].includes(name)).toSorted();
    expect([unknown.status, unknown.json, without(unknown.headers)]).toEqual([
      known.status,
      known.json,
      without(known.headers),
    ]);
    await settled();
    expect(mails.named).not.toContain("nobody-at-all@example.org");
  });

  test("works for ten minutes", async () => {
    const { email } = await somebody();
    const token = await askMagicLink(email);
    clock.advance(10 * MINUTE_MS);
    expect(codeOf(await post("magic-link/verify", { token }))).toBe("401 link_invalid");
  });

  test("of a hundred at once, on two nodes, opens one session", async () => {
    const person = await somebody();
    const token = await askMagicLink(person.email);
    const other = await node({});
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => post("magic-link/verify", { token }, i % 2 === 0 ? server.url : other.url)),
    );
    expectOneOf(answers.map(codeOf), "200 ok");
    const live = "select 1 from sessions where account = $1 and ended_at is null";
    expect(await server.db.query(live, [person.id])).toHaveLength(2); // that of the sign-up, and this one
  });

  test("voids the other links to sign in, and a refused device leaves it as it was", async () => {
    const [person, other] = [await somebody(), await somebody()];
    const first = await askMagicLink(person.email);
    const second = await askMagicLink(person.email);
    const stolen = await post("magic-link/verify", { token: second, device_id: other.answer.device_id });
    expect(codeOf(stolen)).toBe("400 bad_request");
    expect((await post("magic-link/verify", { token: second })).status).toBe(200);
    expect(codeOf(await post("magic-link/verify", { token: first }))).toBe("401 link_invalid");
  });
});

describe("choosing a new password by a link", () => {
  test("ends every session and its sockets, voids every other link, tells the owner, and leaves the keys", async () => {
    const person = await Person.signUp(server.url, `reset_${crypto.randomUUID().slice(0, 8)}`);
    const email = `${person.name}@example.org`;
    await server.db.query("update accounts set email = $2, email_key = $2, email_verified_at = now() where id = $1", [
      person.id,
      email,
    ]);
    const { publicKey } = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
    const der = Buffer.from(await crypto.subtle.exportKey("spki", publicKey)).toString("base64");
    const public_key = `-----BEGIN PUBLIC KEY-----\n${der.slice(0, 64)}\n${der.slice(64)}\n-----END PUBLIC KEY-----\n`;
    expect((await person.request("PUT", "/update-key", { public_key })).status).toBe(200);
    using socket = await person.live();
    const magic = await askMagicLink(email);
    const token = await askReset(email);

    expect((await post("password-reset/verify", { token, new_password: NEW })).status).toBe(204);
    expect((await socket.ended()).code).toBe(4410);
    expect((await person.request("GET", "/api/auth/me")).status).toBe(401);
    expect(codeOf(await post("refresh", { refresh_token: person.refreshToken }))).toBe("401 unauthorized");
    expect(await signIn({ username: person.name })).toBe("401 invalid_credentials");
    const again = await post("signin", { username: person.name, password: NEW });
    expect(again.status).toBe(200);
    expect(codeOf(await post("magic-link/verify", { token: magic }))).toBe("401 link_invalid");
    expect(codeOf(await post("password-reset/verify", { token, new_password: `${NEW}!` }))).toBe("401 link_invalid");
    const me = await request(server.url, "GET", "/api/auth/me", undefined, again.json.access_token);
    expect(me.json.public_key).toBe(public_key);
    await mails.mailTo(email, "Your password was changed");
    for (const secret of [token, magic, NEW, email]) expect(server.logged()).not.toContain(secret);
  });

  test("a password that is refused leaves the link, and its owner's name is no password", async () => {
    const { name, email } = await somebody({ username: `margaret_${Date.now()}` });
    const token = await askReset(email);
    const { json } = await post("password-reset/verify", { token, new_password: "letmein123" });
    expect(json.error.code).toBe("weak_password");
    expect(json.error.details.advice.length).toBeGreaterThan(0);
    expect(codeOf(await post("password-reset/verify", { token, new_password: "short" }))).toBe("400 bad_request");
    expect(await signIn({ email })).toBe("200 ok");
    expect(codeOf(await post("password-reset/verify", { token, new_password: `${email}1` }))).toBe("422 weak_password");
    expect(name).not.toBe("");
    expect((await post("password-reset/verify", { token, new_password: NEW })).status).toBe(204);
  });

  test("verifies an address that was not, and shuts out who registered it without being its owner", async () => {
    const stranger = await somebody();
    const token = await askReset(stranger.email);
    expect((await post("password-reset/verify", { token, new_password: NEW })).status).toBe(204);
    expect((await stranger.me()).error.code).toBe("unauthorized");
    expect(await signIn({ email: stranger.email })).toBe("401 invalid_credentials");
    const owner = await post("signin", { email: stranger.email, password: NEW });
    const me = await request(server.url, "GET", "/api/auth/me", undefined, owner.json.access_token);
    expect(me.json.email_verified).toBe(true);
  });

  test("of a hundred at once, each with a password of its own, one is chosen", async () => {
    const { email } = await somebody();
    const token = await askReset(email);
    const passwords = Array.from({ length: 100 }, (_, i) => `copper meadow ${i} window`);
    const codes = await Promise.all(
      passwords.map(async (new_password) => codeOf(await post("password-reset/verify", { token, new_password }))),
    );
    expectOneOf(codes, "204 ok");
    const chosen = passwords[codes.indexOf("204 ok")] ?? "";
    expect(codeOf(await post("signin", { email, password: chosen }))).toBe("200 ok");
  });

  test("a change of the password voids links that were sent before", async () => {
    const person = await somebody();
    const token = await askReset(person.email);
    const changed = await person.send("change-password", { current_password: PASSWORD, new_password: NEW });
    expect(changed.status).toBe(204);
    expect(codeOf(await post("password-reset/verify", { token, new_password: PASSWORD }))).toBe("401 link_invalid");
  });
});

describe("another e-mail address", () => {
  test("needs the password, and the link that was sent to it; the old one is told and loses its links", async () => {
    const person = await somebody();
    expect((await post("email/verify", { token: await mails.tokenTo(person.email) })).status).toBe(200);
    const email = `new-${person.email}`;
    expect(codeOf(await person.send("email", { email, password: "wrong pass phrase" }))).toBe("403 wrong_password");
    const oldLink = await askReset(person.email);
    const asked = await person.send("email", { email, password: PASSWORD });
    expect([asked.status, asked.json]).toEqual([202, { expires_in: 86_400 }]);
    const token = await mails.tokenTo(email, "Confirm your e-mail address");
    expect(await person.me()).toMatchObject({ email: person.email, email_verified: true });

    expect((await post("email/verify", { token })).json).toEqual({ email, email_verified: true });
    expect(await person.me()).toMatchObject({ email, email_verified: true });
    await mails.mailTo(person.email, "Your e-mail address was changed");
    expect(await signIn({ email })).toBe("200 ok");
    expect(await signIn({ email: person.email })).toBe("401 invalid_credentials");
    expect(codeOf(await post("password-reset/verify", { token: oldLink, new_password: NEW }))).toBe("401 link_invalid");
    await post("magic-link", { email: person.email });
    await settled();
    expect(countOf(person.email, "Your link to sign in")).toBe(0);
  });

  test("that another account has gets no mail, and the answer does not tell", async () => {
    const [person, other] = [await somebody(), await somebody()];
    await settled();
    const answer = await person.send("email", { email: other.email.toUpperCase(), password: PASSWORD });
    expect([answer.status, answer.json]).toEqual([202, { expires_in: 86_400 }]);
    await settled();
    expect(mails.named.filter((name) => name.toLowerCase() === other.email)).toHaveLength(1); // that of its own sign-up
    expect((await person.me()).email).toBe(person.email);
  });

  test("that two accounts ask for goes to the first who shows to read it", async () => {
    const [person, other] = [await somebody(), await somebody()];
    const email = `shared-${person.email}`;
    const tokens: string[] = [];
    for (const each of [person, other]) {
      const before = mails.mails.length;
      await each.send("email", { email, password: PASSWORD });
      tokens.push(await mails.tokenTo(email, "", before));
    }
    const codes = await Promise.all(tokens.map(async (token) => codeOf(await post("email/verify", { token }))));
    expect(codes.toSorted()).toEqual(["200 ok", "409 email_taken"]);
    const owners = await Promise.all([person, other].map(async (each) => (await each.me()).email === email));
    expect(owners).toEqual(codes.map((code) => code === "200 ok"));
  });

  test("a hundred verifications at once do it once", async () => {
    const person = await somebody();
    const token = await mails.tokenTo(person.email);
    const codes = await Promise.all(
      Array.from({ length: 100 }, async () => codeOf(await post("email/verify", { token }))),
    );
    expectOneOf(codes, "200 ok");
  });
});

describe("a mail server", () => {
  const from = { MAIL_FROM: "chat@example.org" };

  test("that is down or silent delays no answer and fails no request", async () => {
    await using silent = await silentServer();
    for (const port of [await freePort(), silent.port]) {
      const other = await node({ env: { ...from, SMTP_URL: `smtp://127.0.0.1:${port}` } });
      const begun = performance.now();
      const name = `down_${port}`;
      const body = { username: name, email: `${name}@example.org`, password: PASSWORD };
      expect((await post("signup", body, other.url)).status).toBe(201);
      expect((await post("magic-link", { email: body.email }, other.url)).status).toBe(202);
      expect((await post("password-reset", { email: body.email }, other.url)).status).toBe(202);
      expect(performance.now() - begun).toBeLessThan(BUSY_MS); // a silent server is waited for longer than that
      await waitUntil(
        "the log says so",
        () => other.logged().includes("Mails cannot be sent now") || port === silent.port,
      );
      expect(other.logged()).not.toContain(body.email);
    }
  });

  test("that refuses an address is noted without it", async () => {
    await using refusing = await TestMailServer.start();
    refusing.judge = () => 550;
    const other = await node({ env: { ...from, SMTP_URL: refusing.url } });
    const { email } = await somebody();
    expect((await post("magic-link", { email }, other.url)).status).toBe(202);
    await waitUntil("the log says so", () => other.logged().includes("A mail was given up"));
    expect(other.logged()).toContain("EENVELOPE 550");
    expect(other.logged()).not.toContain(email);
    const metrics = await (await fetch(`${other.url}/metrics`)).text();
    expect(metrics).toContain('sotto_mails_total{outcome="failed"} 1');
  });

  test("that is missing in production makes the routes say so; signing up goes on", async () => {
    const hex = "3f1c9ab27d5e80416c2b9f0e8d7a5c3b1e2f4a6d8c0b9e7f5a3d1c2b4e6f8091";
    const env = {
      ...{ NODE_ENV: "production", HOST: "127.0.0.1", BASE_URL: "https://chat.example.org" },
      ...{ SECRET_KEY: "q8Zr2LwX0v7JmT4sKd1yNfGhUc5bEaPo9iRt", ENCRYPTION_KEYS: `k1:${hex}` },
    };
    const other = await node({ env });
    const body = { username: "no_mails", email: "no_mails@example.org", password: PASSWORD };
    const { status, json } = await post("signup", body, other.url);
    expect(status).toBe(201);
    const own = (path: string, sent: object = {}) =>
      request(other.url, "POST", `/api/auth/${path}`, sent, json.access_token);
    for (const answer of [
      await post("magic-link", { email: body.email }, other.url),
      await post("magic-link", { email: "nobody@example.org" }, other.url),
      await post("password-reset", { email: body.email }, other.url),
      await own("email/verification"),
      await own("email", { email: "new@example.org", password: PASSWORD }),
    ]) {
      expect(codeOf(answer)).toBe("501 mail_disabled");
    }
  });

  test("is a folder in development: every mail is a file whose path is logged", async () => {
    const folder = await mkdtemp(join(tmpdir(), "sotto-mailbox-"));
    await chmod(folder, 0o700);
    const lines: string[] = [];
    const log = createLog({ level: "info", pretty: false, write: (line) => void lines.push(line) });
    const path = join(folder, "mail");
    const config = { ...testConfig(), mail: { kind: "folder", path, from: "Sotto <sotto@localhost>" } as const };
    const app = await createApp(config, { databaseUrl: server.database.url, log });
    try {
      const body = { username: "in_a_folder", email: "in_a_folder@example.org", password: PASSWORD };
      await post("signup", body, app.url);
      await post("magic-link", { email: body.email }, app.url);
      await waitUntil("two mails are written", async () => (await readdir(path)).length === 2);
      await waitUntil("the log names them", () => lines.join("").split("A mail was written").length === 3);
      const files = (await readdir(path)).map((name) => join(path, name));
      for (const file of files) expect(lines.join("")).toContain(file);
      const read = await Promise.all(files.map(async (file) => readMail(await readFile(file, "utf8"))));
      const magic = read.find(({ headers }) => headers.get("subject") === "Your link to sign in");
      const token = /#token=(\S+)/.exec(magic?.text ?? "")?.[1] ?? "";
      expect((await post("magic-link/verify", { token }, app.url)).status).toBe(200);
    } finally {
      await app[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
