/** Whose password changes is signed out everywhere: two nodes, one Redis, open sockets. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { STARTING_MS } from "../spec/support.ts";
import { type Person, request, startApp, type TestApp } from "../support/app.ts";
import { TestMailServer } from "../support/mail_server.ts";
import { describeWithRedis, TestRedis } from "../support/redis.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
const NEW = "violet harbour 93 lantern";
/** What is promised. */
const CLOSED_MS = 2_000;

describeWithRedis("two nodes and Redis", () => {
  let redis: TestRedis;
  let mails: TestMailServer;
  let nodes: readonly [TestApp, TestApp];
  beforeAll(async () => {
    [redis, mails] = await Promise.all([TestRedis.start(), TestMailServer.start()]);
    const options = { env: { REDIS_URL: redis.url, SMTP_URL: mails.url, MAIL_FROM: "chat@example.org" } };
    const first = await startApp({ ...options, slowPasswords: true });
    nodes = [first, await first.another(options)];
    await waitUntil("both busses are up", async () => {
      const answers = await Promise.all(nodes.map(({ url }) => request(url, "GET", "/health")));
      return answers.every(({ json }) => json.bus === "up");
    });
  }, STARTING_MS);
  afterAll(async () => {
    await nodes[1][Symbol.asyncDispose]();
    await nodes[0][Symbol.asyncDispose]();
    await mails[Symbol.asyncDispose]();
    await redis[Symbol.asyncDispose]();
  }, STARTING_MS);

  /** One person with a session whose socket is at each node, and a third one. */
  async function everywhere(): Promise<{ caller: Person; others: readonly Person[] }> {
    const caller = await nodes[0].person();
    const others = await Promise.all(nodes.map(async ({ url }) => (await caller.signIn()).at(url)));
    return { caller, others };
  }

  /** Runs `work`, and gives how long after it the sockets closed. */
  async function closing(people: readonly Person[], work: () => Promise<number>) {
    const peers = await Promise.all(people.map((person) => person.live()));
    const begun = performance.now();
    expect(await work()).toBe(204);
    const codes = await Promise.all(peers.map(async (peer) => (await peer.ended()).code));
    return { codes, ms: performance.now() - begun };
  }

  test("changing the password closes the sockets of the other sessions at both, and not the caller's own", async () => {
    const { caller, others } = await everywhere();
    using own = await caller.at(nodes[1].url).live();
    const { codes, ms } = await closing(others, async () => {
      const body = { current_password: PASSWORD, new_password: NEW };
      return (await caller.request("POST", "/api/auth/change-password", body)).status;
    });
    expect(codes).toEqual([4410, 4410]);
    expect(ms).toBeLessThan(CLOSED_MS + BUSY_MS);
    await own.settled();
    expect(own.closed).toBeNull();
    for (const { url } of nodes) {
      const body = { username: caller.name, password: PASSWORD };
      expect((await request(url, "POST", "/api/auth/signin", body)).status).toBe(401);
      await waitUntil("the ended sessions are refused there too", async () => {
        const answers = await Promise.all(others.map((other) => other.at(url).request("GET", "/api/auth/me")));
        return answers.every(({ status }) => status === 401);
      });
      expect((await caller.at(url).request("GET", "/api/auth/me")).status).toBe(200);
    }
  });

  test("choosing a new one by a link closes all of them, the link being redeemed at the other node", async () => {
    const { caller, others } = await everywhere();
    const email = `${caller.name}@example.org`;
    await nodes[0].db.query("update accounts set email = $2, email_key = $2 where id = $1", [caller.id, email]);
    expect((await request(nodes[0].url, "POST", "/api/auth/password-reset", { email })).status).toBe(202);
    const token = await mails.tokenTo(email);
    const { codes, ms } = await closing([caller, ...others], async () => {
      const body = { token, new_password: NEW };
      return (await request(nodes[1].url, "POST", "/api/auth/password-reset/verify", body)).status;
    });
    expect(codes).toEqual([4410, 4410, 4410]);
    expect(ms).toBeLessThan(CLOSED_MS + BUSY_MS);
  });
});
