/** A hundred at once, over two nodes, with everything that works once: one wins, and what is left is whole. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type HttpAnswer, type Person, request, startApp, type TestApp } from "../support/app.ts";
import { RawSocket } from "../support/raw_socket.ts";

const AT_ONCE = 100;
const TIMEOUT_MS = 60_000;

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const one = await startApp({ slowPasswords: true });
  nodes = [one, await one.another()];
});
afterAll(async () => {
  for (const node of [...nodes].reverse()) await node[Symbol.asyncDispose]();
});

const at = (i: number): TestApp => nodes[i % 2 === 0 ? 0 : 1];
const atOnce = <T>(work: (i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: AT_ONCE }, (_, i) => work(i)));

function codes(answers: readonly HttpAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { status, json } of answers) {
    const code = status < 400 ? String(status) : `${status} ${json.error.code}`;
    counts[code] = (counts[code] ?? 0) + 1;
  }
  return counts;
}

async function liveSessions(person: Person): Promise<number> {
  const [row] = await nodes[0].db.query<{ live: number }>(
    "select count(*)::int as live from sessions where account = $1 and ended_at is null",
    [person.id],
  );
  return row?.live ?? -1;
}

test(
  "a socket ticket opens one socket",
  async () => {
    const ada = await nodes[0].person();
    const { ticket } = (await ada.request("POST", "/api/auth/ws-ticket", {})).json;
    const opened = await atOnce((i) => RawSocket.upgrade(`${at(i).url.replace("http", "ws")}/ws?ticket=${ticket}`));
    for (const { socket } of opened) socket[Symbol.dispose]();
    const statuses = opened.map(({ status }) => status).sort();
    expect(statuses).toEqual([101, ...Array.from({ length: AT_ONCE - 1 }, () => 401)]);
  },
  TIMEOUT_MS,
);

test(
  "a refresh token rotates once; its lost answer is given again once, and the session lives",
  async () => {
    const ada = await nodes[0].person();
    const body = { refresh_token: ada.refreshToken };
    const answers = await atOnce((i) => request(at(i).url, "POST", "/api/auth/refresh", body));
    expect(codes(answers)).toEqual({ 200: 2, "409 refresh_raced": AT_ONCE - 2 });
    const given = new Set(answers.filter(({ status }) => status === 200).map(({ json }) => json.refresh_token));
    expect(given.size).toBe(1);
    const [next] = given;
    expect((await request(nodes[1].url, "POST", "/api/auth/refresh", { refresh_token: next })).status).toBe(200);
    expect(await liveSessions(ada)).toBe(1);
  },
  TIMEOUT_MS,
);

test(
  "a refresh token that was used before ends the session, and gives nobody anything",
  async () => {
    const ada = await nodes[0].person();
    const refresh = (token: string) => request(nodes[0].url, "POST", "/api/auth/refresh", { refresh_token: token });
    const second = (await refresh(ada.refreshToken)).json.refresh_token;
    const third = (await refresh(second)).json.refresh_token;
    const body = { refresh_token: ada.refreshToken };
    const answers = await atOnce((i) => request(at(i).url, "POST", "/api/auth/refresh", body));
    expect(Object.keys(codes(answers)).sort()).toEqual(["401 refresh_reused", "401 unauthorized"]);
    expect((await refresh(third)).status).toBe(401);
    expect(await liveSessions(ada)).toBe(0);
  },
  TIMEOUT_MS,
);

test(
  "a user name makes one account",
  async () => {
    const body = { username: "the-only-one", password: "wind mill 1843" };
    const answers = await atOnce((i) => request(at(i).url, "POST", "/api/auth/signup", body));
    const { 201: made, "409 username_taken": taken = 0, "503 overloaded": turnedAway = 0 } = codes(answers);
    // On a slow machine some are turned away before their password is hashed.
    expect([made, taken + turnedAway]).toEqual([1, AT_ONCE - 1]);
  },
  TIMEOUT_MS,
);

test(
  "an Idempotency-Key stands for one message",
  async () => {
    const [ada, ben] = [await nodes[0].person(), await nodes[0].person()];
    const answers = await atOnce(async (i) => {
      const answer = await fetch(`${at(i).url}/messages`, {
        method: "POST",
        headers: {
          ...{ authorization: `Bearer ${ada.token}`, "content-type": "application/json" },
          "idempotency-key": "the-one-key",
        },
        body: JSON.stringify({ recipient_id: ben.id, encrypted_data: "QUJD" }),
      });
      return { status: answer.status, headers: answer.headers, json: await answer.json() };
    });
    expect(codes(answers)).toEqual({ 201: AT_ONCE });
    expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
    expect((await ben.request("GET", "/messages")).json.messages).toHaveLength(1);
  },
  TIMEOUT_MS,
);

test(
  "a device that signs in has one session afterwards",
  async () => {
    const ada = await nodes[0].person();
    const signedIn = await Promise.allSettled(
      Array.from({ length: AT_ONCE }, (_, i) => ada.signIn({ deviceId: ada.deviceId, url: at(i).url })),
    );
    const sessions = signedIn.flatMap((one) => (one.status === "fulfilled" ? [one.value.sessionId] : []));
    expect(sessions.length).toBeGreaterThan(1);
    expect(new Set(sessions).size).toBe(sessions.length);
    expect(await liveSessions(ada)).toBe(1);
  },
  TIMEOUT_MS,
);
