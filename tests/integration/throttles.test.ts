/** Throttles over real HTTP: on two nodes with one Redis, without it, and against who wants to lock somebody out. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { ACCOUNT_RATES, createThrottle } from "../../src/accounts/mod.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { MemoryRateLimiter } from "../../src/platform/rate_limit.ts";
import { DomainError } from "../../src/protocol/mod.ts";
import { type HttpAnswer, NO_RATES, startApp, type TestApp, type TestAppOptions } from "../support/app.ts";
import { TestMailServer } from "../support/mail_server.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
/** The standard buckets, filled anew so slowly that the time a test takes does not matter. */
const SIGN_IN = Object.fromEntries(
  Object.entries(ACCOUNT_RATES)
    .filter(([name]) => name.startsWith("sign_in"))
    .map(([name, { burst }]) => [name, { perMinute: 1, burst }]),
);
const apps: TestApp[] = [];
afterEach(async () => {
  for (const app of apps.splice(0).reverse()) await app[Symbol.asyncDispose]();
});

async function start(options: TestAppOptions = {}): Promise<TestApp> {
  const app = await startApp(options);
  apps.push(app);
  return app;
}

async function alsoOn(app: TestApp, options: TestAppOptions): Promise<TestApp> {
  const other = await app.another(options);
  apps.push(other);
  return other;
}

/** What a request may say beside its body. */
interface From {
  /** The address that the proxy says it came from. */
  readonly address?: string;
  readonly token?: string;
}

async function send(url: string, method: string, path: string, body?: object, from: From = {}): Promise<HttpAnswer> {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...(from.address === undefined ? {} : { "x-forwarded-for": from.address }),
      ...(from.token === undefined ? {} : { authorization: `Bearer ${from.token}` }),
    },
    body: body === undefined ? null : JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, json: await response.json() };
}

const signIn = (url: string, body: object, from?: From) =>
  send(url, "POST", "/api/auth/signin", { password: PASSWORD, ...body }, from);
const wrong = (url: string, username: string, from?: From) => signIn(url, { username, password: "a wrong one" }, from);

function statuses(answers: readonly HttpAnswer[]): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
  return counts;
}

/** What a refusal by a throttle must say. */
function expectRefusal(answer: HttpAnswer, mostSeconds: number): void {
  expect([answer.status, answer.json.error.code]).toEqual([429, "rate_limited"]);
  const seconds = Number(answer.headers.get("retry-after"));
  expect(seconds).toBe(Math.max(1, Math.ceil(answer.json.error.details.retry_after_ms / 1_000)));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(seconds).toBeLessThanOrEqual(mostSeconds);
}

describeWithRedis("two nodes with one Redis", () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis[Symbol.asyncDispose]());
  afterEach(() => redis.command("FLUSHALL"));

  async function twoNodes(env: Record<string, string>, options: TestAppOptions = {}): Promise<[TestApp, TestApp]> {
    const both = { ...options, env: { REDIS_URL: redis.url, TRUSTED_PROXIES: "127.0.0.1", ...env } };
    const one = await start(both);
    return [one, await alsoOn(one, both)];
  }

  /**
   * Asks once both nodes count together, and again where one of them counted alone meanwhile: it does so
   * once Redis is late by 50 ms, as it is on a busy machine now and then.
   */
  async function together<T>(nodes: readonly TestApp[], ask: (round: number) => Promise<T>): Promise<T> {
    const faults = () => nodes.reduce((sum, node) => sum + node.logged().split('"part":"limits"').length, 0);
    for (let round = 1; ; round++) {
      await waitUntil("both nodes count together", async () => {
        const counts = await Promise.all(
          nodes.map(async ({ url }) => {
            await send(url, "GET", "/", undefined, { address: "192.0.2.99" }); // who is asked to count looks for Redis
            return (await fetch(`${url}/metrics`)).text();
          }),
        );
        return counts.every((text) => /^sotto_limits_shared 1$/m.test(text));
      });
      const before = faults();
      const answer = await ask(round);
      if (faults() === before) return answer;
    }
  }

  test("RATE_LIMIT_PER_MINUTE and RATE_LIMIT_BURST hold exactly for both together, by address and by account", async () => {
    const nodes = await twoNodes({ RATE_LIMIT_PER_MINUTE: "1", RATE_LIMIT_BURST: "30" });
    const ask = (path: string, from: From) =>
      Promise.all(
        Array.from({ length: 80 }, (_, i) => send(nodes[i % 2 === 0 ? 0 : 1].url, "GET", path, undefined, from)),
      );
    const { anonymous, hers } = await together(nodes, async (round) => {
      const ada = await nodes[0].person();
      const address = `203.0.113.${round}`;
      const anonymous = await ask("/", { address });
      // The account's are its own, from whichever address, and that one has none left.
      return { anonymous, hers: await ask("/api/auth/me", { address, token: ada.token }) };
    });
    for (const answers of [anonymous, hers]) {
      expect(statuses(answers)).toEqual({ 200: 30, 429: 50 });
      for (const refused of answers.filter(({ status }) => status === 429)) expectRefusal(refused, 60);
    }
    expect((await send(nodes[1].url, "GET", "/", undefined, { address: "198.51.100.2" })).status).toBe(200);
  }, 120_000);

  test("an address of IPv6 is counted by its /64", async () => {
    const nodes = await twoNodes({ RATE_LIMIT_PER_MINUTE: "1", RATE_LIMIT_BURST: "10" });
    const ask = (address: string, i: number) =>
      send(nodes[i % 2 === 0 ? 0 : 1].url, "GET", "/", undefined, { address });
    const within = await together(nodes, (round) =>
      Promise.all(Array.from({ length: 20 }, (_, i) => ask(`2001:db8:1:${round}:${i.toString(16)}::${i + 1}`, i))),
    );
    expect(statuses(within)).toEqual({ 200: 10, 429: 10 });
    expect((await ask("2001:db8:2:3::1", 0)).status).toBe(200);
    expect((await ask("::ffff:198.51.100.1", 0)).status).toBe(200);
  }, 120_000);

  test("wrong passwords at one node are known at the other", async () => {
    const nodes = await twoNodes({}, { rates: { ...NO_RATES, ...SIGN_IN } });
    const { guesses, right } = await together(nodes, async (round) => {
      const ada = await nodes[0].person();
      const from = { address: `203.0.113.${round}` };
      const guesses: number[] = [];
      for (let i = 0; i < 10; i++) guesses.push((await wrong(nodes[i % 2 === 0 ? 0 : 1].url, ada.name, from)).status);
      const right = nodes.map(({ url }) => signIn(url, { username: ada.name }, from));
      return { guesses, right: await Promise.all(right) };
    });
    expect(guesses).toEqual(Array.from({ length: 10 }, () => 401));
    for (const answer of right) expectRefusal(answer, 60);
  }, 120_000);

  test("Redis that is frozen, killed or new makes nobody wait, and nothing fail", async () => {
    const [one] = await twoNodes({ RATE_LIMIT_PER_MINUTE: "1", RATE_LIMIT_BURST: "40" });
    const ada = await one.person();
    const me = () => send(one.url, "GET", "/api/auth/me", undefined, { token: ada.token });
    expect((await me()).status).toBe(200);
    redis.freeze();
    try {
      const start = performance.now();
      expect(statuses(await Promise.all(Array.from({ length: 20 }, me)))).toEqual({ 200: 20 });
      expect(performance.now() - start).toBeLessThan(BUSY_MS);
    } finally {
      redis.thaw();
    }
    redis.kill();
    expect(statuses(await Promise.all(Array.from({ length: 60 }, me)))).toEqual({ 200: 19, 429: 41 });
    await redis.startAgain();
    // What this node counted it still knows.
    expectRefusal(await me(), 60);
  }, 60_000);
});

describe("an owner", () => {
  test("signs in from a device that is known after 1,000 wrong tries from elsewhere, and strangers do not", async () => {
    const server = await start({ rates: { ...NO_RATES, ...SIGN_IN }, env: { TRUSTED_PROXIES: "127.0.0.1" } });
    const ada = await server.person();
    const home = { address: "198.51.100.7" };
    const before = await signIn(server.url, { username: ada.name }, home);
    expect(before.status).toBe(200);
    const tries: HttpAnswer[] = [];
    // Few at once, so that no machine is too slow to judge those that it must.
    for (let round = 0; round < 100; round++) {
      const from = (i: number) => ({ address: `203.0.113.${(round * 10 + i) % 250}` });
      tries.push(...(await Promise.all(Array.from({ length: 10 }, (_, i) => wrong(server.url, ada.name, from(i))))));
    }
    expect(tries).toHaveLength(1_000);
    const counted = statuses(tries);
    expect(Object.keys(counted)).toEqual(["401", "429"]);
    // Only the 60 of the name were judged, and as many more as a slow machine's minutes let through.
    expect(counted[401]).toBeLessThanOrEqual(65);
    // From an address that nobody used, with the right password: strangers have used up what strangers have.
    expectRefusal(await signIn(server.url, { username: ada.name }, { address: "192.0.2.1" }), 60);
    const { device_id, device_token } = before.json;
    const owner = await signIn(server.url, { username: ada.name, device_id, device_token }, { address: "203.0.113.5" });
    expect([owner.status, owner.json.device_id]).toEqual([200, device_id]);
    // Others are not touched, from an address that was not used up either.
    const ben = await server.person();
    expect((await signIn(server.url, { username: ben.name }, home)).status).toBe(200);
  }, 120_000);

  test("is not slowed down by the wrong tries of others at the same address, on a device that is known", async () => {
    const server = await start({ rates: { ...NO_RATES, ...SIGN_IN } });
    const ada = await server.person();
    const { json } = await signIn(server.url, { username: ada.name });
    for (let i = 0; i < 40; i++) await wrong(server.url, `nobody-${i}`);
    expectRefusal(await signIn(server.url, { username: ada.name }), 60);
    const { device_token } = json;
    expect((await signIn(server.url, { username: ada.name, device_token })).status).toBe(200);
  });

  test("whose device is stolen is guessed at by ten a minute, and a token that is not the account's helps nobody", async () => {
    const server = await start({ rates: { ...NO_RATES, ...SIGN_IN } });
    const [ada, eve] = [await server.person(), await server.person()];
    const hers = (await signIn(server.url, { username: ada.name })).json.device_token as string;
    const evil = (await signIn(server.url, { username: eve.name })).json.device_token as string;
    const guess = (device_token: string) =>
      signIn(server.url, { username: ada.name, password: "a wrong one", device_token });
    for (let i = 0; i < 10; i++) expect((await guess(hers)).status).toBe(401);
    expectRefusal(await guess(hers), 60);
    // Of Eve's own device: counted as a stranger's too, of whom this address may try one name ten times.
    const codes: number[] = [];
    for (let i = 0; i < 12; i++) codes.push((await guess(evil)).status);
    expect(codes.slice(-2)).toEqual([429, 429]);
    const [account = "", device = "", mac = ""] = hers.split(".");
    const forged = [
      `${account}.${device}.${"A".repeat(mac.length)}`,
      `${account}.${device}`,
      `${account}.${crypto.randomUUID()}.${mac}`,
      `${hers}x`,
      "..",
      "x",
    ];
    for (const token of forged) expect([token, (await guess(token)).status]).toEqual([token, 429]);
  });
});

describe("wrong passwords", () => {
  test("are counted in Postgres: of 200 a hundred are judged, whatever Redis forgets and after a restart", async () => {
    const server = await start();
    const ada = await server.person();
    const at = async (url: string, name: string) => {
      const answers: HttpAnswer[] = [];
      for (let i = 0; i < 200; i += 10) {
        answers.push(...(await Promise.all(Array.from({ length: 10 }, () => wrong(url, name)))));
      }
      return answers;
    };
    expect(statuses(await at(server.url, ada.name))).toEqual({ 401: 100, 429: 100 });
    const restarted = await alsoOn(server, {});
    expectRefusal(await signIn(restarted.url, { username: ada.name }), 900);
    // A name that nobody has is counted alike, so it tells nothing.
    expect(statuses(await at(restarted.url, "nobody-has-this"))).toEqual({ 401: 100, 429: 100 });
    const rows = await server.db.query<{ subject: Buffer }>("select subject from password_guesses");
    expect(rows).toHaveLength(2);
    expect(rows.map(({ subject }) => subject.toString("latin1")).join()).not.toContain(ada.name);
  }, 120_000);

  test("of strangers keep no owner out on a new device: a link opens it, and from then on it is a known one", async () => {
    await using mails = await TestMailServer.start();
    const server = await start({ env: { SMTP_URL: mails.url, MAIL_FROM: "chat@example.org" } });
    const email = "ada@example.org";
    await send(server.url, "POST", "/api/auth/signup", { username: "ada", email, password: PASSWORD });
    for (let i = 0; i < 100; i += 10) await Promise.all(Array.from({ length: 10 }, () => wrong(server.url, "ada")));
    expectRefusal(await signIn(server.url, { username: "ada" }), 900);
    await send(server.url, "POST", "/api/auth/magic-link", { email });
    const token = await mails.tokenTo(email, "Your link to sign in");
    const opened = await send(server.url, "POST", "/api/auth/magic-link/verify", { token });
    expect(opened.status).toBe(200);
    const { device_id, device_token } = opened.json;
    expect((await signIn(server.url, { username: "ada", device_id, device_token })).status).toBe(200);
    expectRefusal(await signIn(server.url, { username: "ada" }), 900);
  }, 120_000);

  test("that were right do not count", async () => {
    const server = await start();
    const ada = await server.person();
    for (let i = 0; i < 105; i++) expect((await signIn(server.url, { username: ada.name })).status).toBe(200);
  }, 120_000);
});

describe("the other buckets", () => {
  const few = (count: number) => ({ perMinute: 1, burst: count });

  test("bound registrations, refreshes and tickets", async () => {
    const rates = { ...NO_RATES, sign_up_address: few(3), refresh_session: few(4), ticket_account: few(2) };
    const server = await start({ rates });
    const [ada, ben] = [await server.person(), await server.person()];
    await server.person();
    const fourth = { username: "the-fourth", password: "wind mill 1843" };
    expectRefusal(await send(server.url, "POST", "/api/auth/signup", fourth), 60);
    const refresh = (refresh_token: string) => send(server.url, "POST", "/api/auth/refresh", { refresh_token });
    let token = ada.refreshToken;
    for (let i = 0; i < 4; i++) token = (await refresh(token)).json.refresh_token;
    expectRefusal(await refresh(token), 60);
    expect((await refresh(ben.refreshToken)).status).toBe(200);
    const ticket = () => send(server.url, "POST", "/api/auth/ws-ticket", undefined, { token: ben.token });
    expect([(await ticket()).status, (await ticket()).status]).toEqual([200, 200]);
    expectRefusal(await ticket(), 60);
  });

  test.each([
    ["room_register_address", 5],
    ["room_login_address", 10],
    ["sign_up_address", 5],
    ["mail_name", 10],
  ] as const)("%s lets %i through, and says when the next may come", async (policy, most) => {
    const throttle = createThrottle({ limiter: new MemoryRateLimiter(systemClock), rates: ACCOUNT_RATES });
    for (let i = 0; i < most; i++) await throttle.take([policy, "203.0.113.1"]);
    const refusal = await throttle.take([policy, "203.0.113.1"]).catch((error) => error);
    expect(refusal).toBeInstanceOf(DomainError);
    expect(refusal.code).toBe("rate_limited");
    const interval = 60_000 / ACCOUNT_RATES[policy].perMinute;
    expect(refusal.details.retry_after_ms).toBeGreaterThan(interval - 10_000);
    expect(refusal.details.retry_after_ms).toBeLessThanOrEqual(interval + 1);
    await throttle.take([policy, "203.0.113.2"]);
  });
});
