/** Refresh tokens: rotation, the lost answer, reuse, and races (src/accounts/refresh_session.ts). */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { FORGIVENESS_MS } from "../../src/accounts/refresh_session.ts";
import { SESSION_DAYS } from "../../src/accounts/start_session.ts";
import { type Edge, signUpSomebody, startEdge } from "../support/edge_server.ts";

let edge: Edge;
beforeAll(async () => {
  edge = await startEdge();
});
afterAll(() => edge[Symbol.asyncDispose]());

const DAY_MS = 86_400_000;
const refresh = (refresh_token: string) => edge.request("POST", "/api/auth/refresh", { body: { refresh_token } });
const isLive = async (token: string) => (await edge.request("GET", "/api/auth/me", { token })).status === 200;
const codeOf = async (refresh_token: string) => {
  const answer = await refresh(refresh_token);
  return answer.status === 200 ? "ok" : `${answer.status} ${answer.json.error.code}`;
};

test("a refresh gives new tokens of the same session and device", async () => {
  const somebody = await signUpSomebody(edge);
  const answer = await refresh(somebody.refresh_token);
  expect(answer.status).toBe(200);
  const { session_id, device_id } = somebody;
  expect(answer.json).toMatchObject({ session_id, device_id, token_type: "bearer" });
  expect(answer.json.refresh_token).not.toBe(somebody.refresh_token);
  expect(await isLive(answer.json.access_token)).toBe(true);
});

test("only hashes of refresh tokens are stored", async () => {
  const somebody = await signUpSomebody(edge);
  const next = (await refresh(somebody.refresh_token)).json.refresh_token;
  const [row] = await edge.db.query("select * from sessions where id = $1", [somebody.session_id]);
  const stored = JSON.stringify(row, (_, value) => (Buffer.isBuffer(value) ? value.toString("base64url") : value));
  for (const token of [somebody.refresh_token, next]) {
    const bytes = Buffer.from(token, "base64url");
    expect(stored).not.toContain(token);
    expect(stored).not.toContain(bytes.subarray(20, 52).toString("hex"));
  }
});

describe("a lost answer", () => {
  test("is given again once, then nobody's session ends for asking", async () => {
    const { refresh_token } = await signUpSomebody(edge);
    const first = (await refresh(refresh_token)).json;
    const repeated = (await refresh(refresh_token)).json;
    expect(repeated.refresh_token).toBe(first.refresh_token);
    expect(await codeOf(refresh_token)).toBe("409 refresh_raced");
    expect(await codeOf(refresh_token)).toBe("409 refresh_raced");
    expect(await codeOf(first.refresh_token)).toBe("ok");
  });

  test(`is not given again after ${FORGIVENESS_MS / 1_000} s: the session ends`, async () => {
    const somebody = await signUpSomebody(edge);
    const next = (await refresh(somebody.refresh_token)).json;
    edge.clock.advance(FORGIVENESS_MS + 1);
    expect(await codeOf(somebody.refresh_token)).toBe("401 refresh_reused");
    expect(edge.ended.at(-1) as string).toBe(somebody.session_id);
    expect(await codeOf(next.refresh_token)).toBe("401 unauthorized");
    expect(await isLive(next.access_token)).toBe(false);
  });

  test("is not given again once the next token was used", async () => {
    const somebody = await signUpSomebody(edge);
    const next = (await refresh(somebody.refresh_token)).json;
    const after = (await refresh(next.refresh_token)).json;
    expect(await codeOf(somebody.refresh_token)).toBe("401 refresh_reused");
    expect(await isLive(after.access_token)).toBe(false);
    expect(await codeOf(after.refresh_token)).toBe("401 unauthorized");
  });

  test("is forgiven anew for each generation", async () => {
    let token = (await signUpSomebody(edge)).refresh_token;
    for (let i = 0; i < 5; i++) {
      const lost = await refresh(token);
      const given = await refresh(token);
      expect(given.json.refresh_token).toBe(lost.json.refresh_token);
      token = given.json.refresh_token;
    }
  });
});

describe("races", () => {
  test("fifty parallel refreshes leave one live token and one live session", async () => {
    const somebody = await signUpSomebody(edge);
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(somebody.refresh_token)));
    const given = answers.filter((answer) => answer.status === 200);
    const refused = answers.filter((answer) => answer.status !== 200);
    expect(new Set(given.map((answer) => answer.json.refresh_token)).size).toBe(1);
    expect(given).toHaveLength(2); // the rotation and the one forgiven repeat
    expect(new Set(refused.map((answer) => answer.json.error.code))).toEqual(new Set(["refresh_raced"]));
    expect(await codeOf(given[0]?.json.refresh_token ?? "")).toBe("ok");
  });

  test("a stolen older token among good ones ends the session for both, whatever the order", async () => {
    for (let round = 0; round < 5; round++) {
      const somebody = await signUpSomebody(edge);
      const second = (await refresh(somebody.refresh_token)).json;
      const third = (await refresh(second.refresh_token)).json;
      const answers = await Promise.all([refresh(somebody.refresh_token), refresh(third.refresh_token)]);
      expect(answers[0]?.status).toBe(401);
      // Whether the good one came before or after, nothing of the family lives now.
      const last = answers[1]?.status === 200 ? answers[1].json : third;
      expect(await codeOf(last.refresh_token)).toBe("401 unauthorized");
      expect(await isLive(third.access_token)).toBe(false);
    }
  });

  test("sign-out and refresh at once leave no live session", async () => {
    for (let round = 0; round < 5; round++) {
      const somebody = await signUpSomebody(edge);
      const [, answer] = await Promise.all([
        edge.request("POST", "/api/auth/signout", { token: somebody.access_token }),
        refresh(somebody.refresh_token),
      ]);
      expect([200, 401]).toContain(answer.status);
      const last = answer.status === 200 ? answer.json.refresh_token : somebody.refresh_token;
      expect(await codeOf(last)).toBe("401 unauthorized");
    }
  });
});

describe("an end", () => {
  test("comes when the token was not used for refreshTokenDays", async () => {
    const { refresh_token } = await signUpSomebody(edge);
    edge.clock.advance(7 * DAY_MS);
    expect(await codeOf(refresh_token)).toBe("401 unauthorized");
  });

  test(`comes ${SESSION_DAYS} days after sign-in however often it was used, and access tokens end with it`, async () => {
    const somebody = await signUpSomebody(edge);
    let { refresh_token } = somebody;
    for (let day = 6; day < SESSION_DAYS; day += 6) {
      edge.clock.advance(6 * DAY_MS);
      refresh_token = (await refresh(refresh_token)).json.refresh_token;
    }
    edge.clock.advance(6 * DAY_MS - 60_000);
    const last = await refresh(refresh_token);
    expect(last.status).toBe(200);
    expect(last.json.expires_in).toBeLessThanOrEqual(60);
    edge.clock.advance(60_000);
    expect(await codeOf(last.json.refresh_token)).toBe("401 unauthorized");
  });
});

describe("a token that this server did not make", () => {
  test("is unauthorized and ends nobody's session", async () => {
    const somebody = await signUpSomebody(edge);
    const bytes = Buffer.from(somebody.refresh_token, "base64url");
    const session = bytes.subarray(0, 16);
    const forged = [
      Buffer.concat([session, randomBytes(52)]).toString("base64url"), // the right session, all else made up
      Buffer.concat([bytes.subarray(0, 51), randomBytes(17)]).toString("base64url"),
      Buffer.concat([bytes.subarray(0, 67), Buffer.from([(bytes[67] ?? 0) ^ 1])]).toString("base64url"),
      somebody.refresh_token.slice(0, -1),
      `${somebody.refresh_token}=`,
      `${somebody.refresh_token}A`,
      ` ${somebody.refresh_token}`,
      somebody.access_token,
      "null",
      "0".repeat(91),
      "é".repeat(91),
    ];
    for (const token of forged) expect(await codeOf(token)).toBe("401 unauthorized");
    expect(await isLive(somebody.access_token)).toBe(true);
    expect(await codeOf(somebody.refresh_token)).toBe("ok");
  });
});
