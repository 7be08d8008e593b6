/** Where somebody is signed in, over real HTTP and a real database: the list, and ending what is on it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { uuidv7 } from "../../src/protocol/mod.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";

const DAY_MS = 86_400_000;

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
  edge.clock.advance(DAY_MS - ((edge.clock.now() + DAY_MS / 2) % DAY_MS)); // to the next noon: no day ends in a test
});
afterAll(() => edge[Symbol.asyncDispose]());

const today = () => new Date(edge.clock.now()).toISOString().slice(0, 10);
const list = async (token: string) => (await edge.request("GET", "/api/auth/sessions", { token })).json.sessions;
const isLive = async (token: string) => (await edge.request("GET", "/api/auth/me", { token })).status === 200;
type Somebody = Awaited<ReturnType<typeof signUpSomebody>>;
const signIn = async ({ username, password }: Somebody, more: object = {}) =>
  (await edge.request("POST", "/api/auth/signin", { body: { username, password, ...more } })).json;

describe("the list", () => {
  test("shows what each device said of itself, the day it was seen, and which one asks; newest first", async () => {
    const somebody = await signUpSomebody(edge, { device_name: "Ada's laptop", platform: "linux" });
    edge.clock.advance(1);
    const phone = await signIn(somebody, { device_name: "  Telefon 📱 ", platform: "android" });
    edge.clock.advance(1);
    const nameless = await signIn(somebody);
    const sessions = await list(phone.access_token);
    expect(sessions).toEqual(
      [
        { id: nameless.session_id, device_id: nameless.device_id, device_name: null, platform: null },
        { id: phone.session_id, device_id: phone.device_id, device_name: "Telefon 📱", platform: "android" },
        { id: somebody.session_id, device_id: somebody.device_id, device_name: "Ada's laptop", platform: "linux" },
      ].map((row) => ({
        ...row,
        created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
        last_seen: today(),
        current: row.id === phone.session_id,
      })) as never,
    );
  });

  test("is derived from nothing that a request carries beside", async () => {
    const somebody = await signUpSomebody(edge);
    const { username, password } = somebody;
    const headers = { "user-agent": "CanaryBrowser/7.3 (Machine)", "x-forwarded-for": "203.0.113.77" };
    await edge.request("POST", "/api/auth/signin", { body: { username, password }, headers });
    const rows = await edge.db.query("select sessions.*, devices.* from sessions join devices on devices.id = device");
    expect(JSON.stringify([rows, await list(somebody.access_token)])).not.toMatch(/Canary|203\.0\.113|127\.0\.0\.1/);
  });

  test("keeps the name and platform of a device that signs in again without them, and takes new ones", async () => {
    const somebody = await signUpSomebody(edge, { device_name: "Old", platform: "ios" });
    const { device_id } = somebody;
    const again = await signIn(somebody, { device_id });
    expect(await list(again.access_token)).toMatchObject([{ device_id, device_name: "Old", platform: "ios" }]);
    const renamed = await signIn(somebody, { device_id, device_name: "New" });
    expect(await list(renamed.access_token)).toMatchObject([{ device_id, device_name: "New", platform: "ios" }]);
  });

  test.each([
    [{ device_name: "x".repeat(101) }],
    [{ device_name: "" }],
    [{ device_name: "a\u202eb" }],
    [{ device_name: 7 }],
    [{ platform: "Mozilla/5.0 (X11; Linux x86_64)" }],
    [{ platform: "" }],
    [{ platform: ["web"] }],
  ])("refuses a device that says %p of itself", async (more) => {
    const { username, password } = await signUpSomebody(edge);
    const answer = await edge.request("POST", "/api/auth/signin", { body: { username, password, ...more } });
    expect([answer.status, Object.keys(answer.json.error.details?.["fields"] ?? {})]).toEqual([400, Object.keys(more)]);
  });

  test("holds only what is live: not what ended, nor what expired", async () => {
    const somebody = await signUpSomebody(edge);
    const out = await signIn(somebody);
    await edge.request("POST", "/api/auth/signout", { token: out.access_token });
    edge.clock.advance(6 * DAY_MS);
    const fresh = await signIn(somebody);
    expect(await list(fresh.access_token)).toHaveLength(2);
    edge.clock.advance(1 * DAY_MS); // the first one's refresh token ends
    const { access_token } = (
      await edge.request("POST", "/api/auth/refresh", { body: { refresh_token: fresh.refresh_token } })
    ).json;
    expect(await list(access_token)).toMatchObject([{ id: fresh.session_id }]);
  });
});

describe("last seen", () => {
  test("moves with the day of use, by one write a day, whatever is asked", async () => {
    const somebody = await signUpSomebody(edge);
    let { access_token, refresh_token } = somebody;
    const versionOf = async () =>
      (
        await edge.db.query<{ xmin: string; seen: string }>(
          "select xmin::text, seen_on::text as seen from sessions where id = $1",
          [somebody.session_id],
        )
      )[0];
    for (const _ of [1, 2, 3]) {
      edge.clock.advance(DAY_MS);
      ({ access_token, refresh_token } = (
        await edge.request("POST", "/api/auth/refresh", { body: { refresh_token } })
      ).json);
      expect((await versionOf())?.seen).not.toBe(today()); // a refresh alone is not written twice
      expect(await isLive(access_token)).toBe(true);
      const noted = await versionOf();
      expect(noted?.seen).toBe(today());
      for (let i = 0; i < 5; i++) {
        edge.clock.advance(1_001); // so that the database is asked again
        expect(await isLive(access_token)).toBe(true);
      }
      expect(await versionOf()).toEqual(noted as never);
    }
    expect(await list(access_token)).toMatchObject([{ last_seen: today() }]);
  });

  test("is what the last refresh says for a session that an older version opened", async () => {
    const somebody = await signUpSomebody(edge);
    const other = await signIn(somebody);
    await edge.db.query("update sessions set seen_on = null, rotated_at = '2026-01-02T03:04:05Z' where id = $1", [
      somebody.session_id,
    ]);
    const sessions = await list(other.access_token);
    expect(sessions.find(({ id }) => id === somebody.session_id)?.last_seen).toBe("2026-01-02");
  });
});

describe("ending", () => {
  test("one of mine ends it at once, with its tokens, and no other", async () => {
    const somebody = await signUpSomebody(edge);
    const phone = await signIn(somebody);
    const token = somebody.access_token;
    expect((await edge.request("DELETE", `/api/auth/sessions/${phone.session_id}`, { token })).status).toBe(204);
    expect(edge.ended.at(-1) as string).toBe(phone.session_id);
    expect(await isLive(phone.access_token)).toBe(false);
    const refreshed = await edge.request("POST", "/api/auth/refresh", { body: { refresh_token: phone.refresh_token } });
    expect(refreshed.status).toBe(401);
    expect(await list(token)).toMatchObject([{ id: somebody.session_id, current: true }]);
  });

  test("the one that asks is a sign-out", async () => {
    const { session_id, access_token: token } = await signUpSomebody(edge);
    expect((await edge.request("DELETE", `/api/auth/sessions/${session_id}`, { token })).status).toBe(204);
    expect(await isLive(token)).toBe(false);
  });

  test("somebody else's, an ended one, one that never was and no id at all look the same", async () => {
    const [mine, theirs] = [await signUpSomebody(edge), await signUpSomebody(edge)];
    const gone = await signIn(mine);
    await edge.request("POST", "/api/auth/signout", { token: gone.access_token });
    const answers = new Set<string>();
    for (const id of [theirs.session_id, gone.session_id, uuidv7(), "x", "' or true --"]) {
      const path = `/api/auth/sessions/${encodeURIComponent(id)}`;
      const answer = await edge.request("DELETE", path, { token: mine.access_token });
      answers.add(`${answer.status} ${answer.text.replace(answer.json.error.requestId, "")}`);
    }
    expect([...answers]).toEqual([expect.stringContaining("404 ")]);
    expect(await isLive(theirs.access_token)).toBe(true);
  });

  test("all others leaves the one that asks", async () => {
    const somebody = await signUpSomebody(edge);
    const others = await Promise.all([signIn(somebody), signIn(somebody), signIn(somebody)]);
    const answer = await edge.request("DELETE", "/api/auth/sessions", { token: somebody.access_token });
    expect([answer.status, answer.json.ended]).toEqual([200, 3]);
    expect(new Set<string>(edge.ended.slice(-3))).toEqual(new Set(others.map(({ session_id }) => session_id)));
    for (const other of others) expect(await isLive(other.access_token)).toBe(false);
    expect(await isLive(somebody.access_token)).toBe(true);
    const again = await edge.request("DELETE", "/api/auth/sessions", { token: somebody.access_token });
    expect(again.json.ended).toBe(0);
  });

  test("all others, asked by every one of them at once, leaves exactly one", async () => {
    for (let round = 0; round < 5; round++) {
      const somebody = await signUpSomebody(edge);
      const all = [somebody, ...(await Promise.all(Array.from({ length: 7 }, () => signIn(somebody))))];
      const answers = await Promise.all(
        all.map(({ access_token: token }) => edge.request("DELETE", "/api/auth/sessions", { token })),
      );
      expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 7 }, () => 401)]);
      edge.clock.advance(1_001);
      const live = await Promise.all(all.map(({ access_token }) => isLive(access_token)));
      expect(live.filter(Boolean)).toHaveLength(1);
    }
  });
});
