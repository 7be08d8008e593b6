/** Passwords: which are taken, how they are kept, and how they are changed; over HTTP, on a real database. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import {
  type HttpAnswer,
  NO_RATES,
  type Person,
  request,
  startApp,
  type TestApp,
  type TestAppOptions,
} from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
const NEW = "violet harbour 93 lantern";

let server: TestApp;
beforeAll(async () => {
  server = await startApp({ slowPasswords: true });
});
afterAll(() => server[Symbol.asyncDispose]());

const nodes: TestApp[] = [];
/** A further node of the same server, with settings of its own. */
async function node(options: TestAppOptions): Promise<TestApp> {
  const another = await server.another(options);
  nodes.push(another);
  return another;
}
afterEach(async () => {
  for (const each of nodes.splice(0)) await each[Symbol.asyncDispose]();
});

const post = (path: string, body: object, url = server.url) => request(url, "POST", path, body);
const signIn = (username: string, password: string, url = server.url) =>
  post("/api/auth/signin", { username, password }, url);
const change = (person: Person, current_password: string, new_password: string) =>
  person.request("POST", "/api/auth/change-password", { current_password, new_password });
const codeOf = ({ status, json }: HttpAnswer) => `${status} ${json?.error?.code ?? "ok"}`;
const isSignedIn = async (person: Person) => (await person.request("GET", "/api/auth/me")).status === 200;
const refresh = async ({ refreshToken }: Person) =>
  codeOf(await post("/api/auth/refresh", { refresh_token: refreshToken }));
async function hashOf(name: string): Promise<string> {
  const [row] = await server.db.query<{ password_hash: string }>(
    "select password_hash from accounts where username = $1",
    [name],
  );
  return row?.password_hash ?? "";
}

describe("POST /api/auth/change-password", () => {
  test("sets another password, ends every other session, and lets the caller's go on", async () => {
    const person = await server.person();
    const others = [await person.signIn(), await person.signIn()];
    const { ticket } = (await others[0]?.request("POST", "/api/auth/ws-ticket"))?.json ?? {};
    const answer = await change(person, PASSWORD, NEW);
    expect([answer.status, answer.json]).toEqual([204, null]);
    for (const other of others) {
      expect(await isSignedIn(other)).toBe(false);
      expect(await refresh(other)).toBe("401 unauthorized");
    }
    const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws?ticket=${ticket}`);
    const ended = Promise.withResolvers<boolean>();
    socket.onopen = () => socket.close();
    socket.onclose = ({ code }) => ended.resolve(code === 1000);
    socket.onerror = () => ended.resolve(false);
    expect(await ended.promise).toBe(false);
    expect(await isSignedIn(person)).toBe(true);
    expect(await refresh(person)).toBe("200 ok");
    expect(codeOf(await signIn(person.name, PASSWORD))).toBe("401 invalid_credentials");
    expect(codeOf(await signIn(person.name, NEW))).toBe("200 ok");
  });

  test("without the current password changes nothing and ends nothing", async () => {
    const person = await server.person();
    const other = await person.signIn();
    expect(codeOf(await change(person, `${PASSWORD}!`, NEW))).toBe("403 wrong_password");
    expect(await isSignedIn(other)).toBe(true);
    expect(codeOf(await signIn(person.name, PASSWORD))).toBe("200 ok");
  });

  test("refuses a weak password, says why, repeats none of the two, and ends nothing", async () => {
    const person = await server.person("margaret_hamilton");
    const other = await person.signIn();
    for (const weak of ["margaret_hamilton1", "letmein123", "20.11.1991"]) {
      const answer = await change(person, PASSWORD, weak);
      expect(codeOf(answer)).toBe("422 weak_password");
      expect(answer.json.error.details.advice.length).toBeGreaterThan(0);
      const said = `${JSON.stringify(answer.json)}${server.logged()}`;
      for (const secret of [weak, PASSWORD]) expect(said).not.toContain(secret);
    }
    expect(codeOf(await change(person, PASSWORD, "short"))).toBe("400 bad_request");
    expect(await isSignedIn(other)).toBe(true);
  });

  test("of two at once one changes it, and the other no longer knows the password", async () => {
    const person = await server.person();
    const wishes = [NEW, "copper meadow 17 window"];
    const codes = (await Promise.all(wishes.map((wish) => change(person, PASSWORD, wish)))).map(codeOf);
    expect(codes.toSorted()).toEqual(["204 ok", "403 wrong_password"]);
    const works = await Promise.all(wishes.map(async (wish) => codeOf(await signIn(person.name, wish))));
    expect(works.map((code) => code === "200 ok")).toEqual(codes.map((code) => code === "204 ok"));
  });

  test("guessing the password with a stolen access token is as slow as at sign-in", async () => {
    const slow = await node({ rates: { ...NO_RATES, password_account: { perMinute: 1, burst: 2 } } });
    const person = await slow.person();
    const codes: string[] = [];
    for (let i = 0; i < 4; i++) codes.push(codeOf(await change(person, `guess number ${i}`, NEW)));
    expect(codes).toEqual(["403 wrong_password", "403 wrong_password", "429 rate_limited", "429 rate_limited"]);
  });

  test("a sign-in with the old password that it overtakes opens no session", async () => {
    const person = await server.person();
    const waiting = async () =>
      (await server.db.query("select 1 from pg_locks where not granted and locktype in ('tuple', 'transactionid')"))
        .length;
    let answer: Promise<HttpAnswer> | undefined;
    await server.db.transaction(async (tx) => {
      await tx.query("select 1 from accounts where id = $1 for no key update", [person.id]);
      answer = signIn(person.name, PASSWORD);
      await waitUntil("the sign-in has checked the password and waits", async () => (await waiting()) >= 1);
      await tx.query("update accounts set password_version = password_version + 1 where id = $1", [person.id]);
    });
    expect(answer === undefined ? "" : codeOf(await answer)).toBe("401 invalid_credentials");
  });
});

describe("which password is taken", () => {
  test("length counts in NFKC: 8 to 128, and one of either form signs in", async () => {
    const name = `forms_${crypto.randomUUID().slice(0, 8)}`;
    const composed = "naïve façade übergrößé ".repeat(6).slice(0, 128);
    const decomposed = composed.normalize("NFD");
    expect([composed.length, decomposed.length > 128]).toEqual([128, true]);
    expect(codeOf(await post("/api/auth/signup", { username: name, password: decomposed }))).toBe("201 ok");
    expect(codeOf(await signIn(name, composed))).toBe("200 ok");
    expect(codeOf(await signIn(name, decomposed))).toBe("200 ok");
    // A single sign that stands for eighteen letters: long enough in NFKC, and strong only as they are.
    for (const [password, status] of [
      ["\u0065\u0301".repeat(7), 400],
      ["\ufdfa", 201],
      ["\ufdfa".repeat(8), 400],
    ] as const) {
      const username = `forms_${crypto.randomUUID().slice(0, 8)}`;
      expect([password.length, (await post("/api/auth/signup", { username, password })).status]).toEqual([
        password.length,
        status,
      ]);
    }
  });

  test("PASSWORD_MIN_LENGTH raises the least, for every family", async () => {
    const strict = await node({ env: { PASSWORD_MIN_LENGTH: "16" } });
    const username = `length_${crypto.randomUUID().slice(0, 8)}`;
    const short = await post("/api/auth/signup", { username, password: "qX7#mP2vK&z9wLt" }, strict.url);
    expect(codeOf(short)).toBe("422 weak_password");
    expect(short.json.error.details).toEqual({ advice: ["Use at least 16 characters"] });
    const relay = { name: username, password: "qX7#mP2vK&z9wLt", public_key: await pem() };
    expect(codeOf(await post("/register", relay, strict.url))).toBe("422 weak_password");
    expect(codeOf(await post("/api/auth/signup", { username, password: "qX7#mP2vK&z9wLtB" }, strict.url))).toBe(
      "201 ok",
    );
    const person = await server.person();
    const change = { current_password: PASSWORD, new_password: "qX7#mP2vK&z9wLt" };
    expect(codeOf(await person.at(strict.url).request("POST", "/api/auth/change-password", change))).toBe(
      "422 weak_password",
    );
  });

  test("strength is a rule in the main API and advice in the relay: john with SecurePass123", async () => {
    const refused = await post("/api/auth/signup", { username: "john", password: "SecurePass123" });
    expect(codeOf(refused)).toBe("422 weak_password");
    const taken = await post("/register", { name: "john", password: "SecurePass123", public_key: await pem() });
    expect(taken.status).toBe(201);
    expect(taken.json.password_advice).toEqual(refused.json.error.details.advice);
  });
});

describe("how a password is kept", () => {
  test("by bcrypt where the setting says so, and two of 100 bytes that differ in the last are two", async () => {
    const bcrypt = await node({ env: { PASSWORD_HASH: "bcrypt" } });
    const username = `bcrypt_${crypto.randomUUID().slice(0, 8)}`;
    const long = "a long phrase of many words, ".repeat(4).slice(0, 99);
    expect(codeOf(await post("/api/auth/signup", { username, password: `${long}x` }, bcrypt.url))).toBe("201 ok");
    expect(await hashOf(username)).toStartWith("sotto:$2b$12$");
    expect(codeOf(await signIn(username, `${long}y`, bcrypt.url))).toBe("401 invalid_credentials");
    expect(codeOf(await signIn(username, `${long}x`, bcrypt.url))).toBe("200 ok");
  });

  test("anew at sign-in where the setting changed, in both directions, and not at a wrong password", async () => {
    const bcrypt = await node({ env: { PASSWORD_HASH: "bcrypt" } });
    const { name } = await server.person();
    const first = await hashOf(name);
    expect(first).toStartWith("$argon2id$v=19$m=19456,t=2,p=1$");
    expect(codeOf(await signIn(name, "wrong pass phrase", bcrypt.url))).toBe("401 invalid_credentials");
    expect(await hashOf(name)).toBe(first);
    expect(codeOf(await signIn(name, PASSWORD, bcrypt.url))).toBe("200 ok");
    expect(await hashOf(name)).toStartWith("sotto:$2b$12$");
    expect(codeOf(await signIn(name, PASSWORD))).toBe("200 ok");
    expect(await hashOf(name)).toStartWith("$argon2id$");
    expect(codeOf(await signIn(name, PASSWORD))).toBe("200 ok");
  });

  test("a bcrypt hash from elsewhere signs in, and is a better one afterwards", async () => {
    const { name } = await server.person();
    const plain = (await Bun.password.hash(NEW, { algorithm: "bcrypt", cost: 4 })).replace("$2b$", "$2y$");
    await server.db.query("update accounts set password_hash = $2 where username = $1", [name, plain]);
    expect(codeOf(await signIn(name, `${NEW}!`))).toBe("401 invalid_credentials");
    expect(codeOf(await signIn(name, NEW))).toBe("200 ok");
    expect(await hashOf(name)).toStartWith("$argon2id$");
    expect(codeOf(await signIn(name, NEW))).toBe("200 ok");
  });
});

async function pem(): Promise<string> {
  const { publicKey } = await crypto.subtle.generateKey({ name: "ECDH", namedCurve: "P-256" }, true, ["deriveBits"]);
  const der = Buffer.from(await crypto.subtle.exportKey("spki", publicKey)).toString("base64");
  return `-----BEGIN PUBLIC KEY-----\n${der.replace(/(.{64})(?=.)/g, "$1\n")}\n-----END PUBLIC KEY-----\n`;
}
