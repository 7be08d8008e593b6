/** Tokens against a real server: what happens when they end, and when answers are lost. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Session, SottoClient, systemTiming } from "../../src/client/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { arrive, keysFor, watch } from "./people.ts";

let app: TestApp;

beforeAll(async () => {
  app = await startApp();
});

afterAll(() => app[Symbol.asyncDispose]());

/** A session whose access token is of no use; `expiresAt` says whether the client knows. */
async function spent(expiresAt: number): Promise<{ session: Session; name: string }> {
  const { client, name } = await arrive(app.url);
  await client.close();
  return { session: { ...client.session, accessToken: "no.longer.valid", expiresAt }, name };
}

describe("SessionKeeper", () => {
  test("refreshes once for all callers, and stores the new tokens before it uses them", async () => {
    const { session } = await spent(0);
    const seen: string[] = [];
    let refreshes = 0;
    const client = await SottoClient.resume(app.url, session, {
      fetch: (url, init) => {
        if (url.endsWith("/refresh")) refreshes++;
        else expect(seen).toHaveLength(2); // the old session, then the new one
        return fetch(url, init);
      },
      onSession: ({ refreshToken }) => void seen.push(refreshToken),
    });
    const all = await Promise.all(Array.from({ length: 20 }, () => client.api.me()));
    expect(all).toHaveLength(20);
    expect(refreshes).toBe(1);
    expect(seen[0]).toBe(session.refreshToken);
    expect(seen[1]).not.toBe(session.refreshToken);
    await client.close();
  });

  test("refreshes when the server refuses a token that seemed good, over HTTP and over the socket [CLS-1]", async () => {
    const { session, name } = await spent(Number.MAX_SAFE_INTEGER);
    const person = await watch(name, { keys: await keysFor(0) }, (options) =>
      SottoClient.resume(app.url, session, options),
    );
    await person.reaches("live");
    expect(person.client.session.accessToken).not.toBe(session.accessToken);
    await person.client.close();
    const second = await spent(Number.MAX_SAFE_INTEGER);
    const client = await SottoClient.resume(app.url, second.session);
    expect((await client.api.me()).username).toBe(second.name);
    await client.close();
  });

  test("sends the same refresh token again when the answer was lost", async () => {
    const { session } = await spent(0);
    let lost = 0;
    const sent: string[] = [];
    const client = await SottoClient.resume(app.url, session, {
      timing: { ...systemTiming, random: () => 0.01 },
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        if (!url.endsWith("/refresh")) return response;
        sent.push(JSON.parse(String(init.body)).refresh_token);
        if (lost++ > 0) return response;
        await response.arrayBuffer();
        throw new TypeError("connection reset");
      },
    });
    expect((await client.api.me()).id).toBe(session.userId);
    expect(sent).toEqual([session.refreshToken, session.refreshToken]);
    await client.close();
  });

  test("stops, and does not retry, when the session has ended", async () => {
    const { session, name } = await spent(0);
    const other = await SottoClient.resume(app.url, session);
    await other.api.signOut();
    const person = await watch(name, {}, (options) => SottoClient.resume(app.url, session, options));
    const status = await person.reaches("stopped");
    expect(status).toMatchObject({ reason: { code: expect.stringMatching(/^(unauthorized|refresh_reused)$/) } });
    await expect(person.client.api.me()).rejects.toMatchObject({ status: 401 });
  });

  test("gives up an answer that does not come, and says so", async () => {
    const client = await SottoClient.resume(app.url, (await arrive(app.url)).client.session, {
      deadlineMs: 50,
      fetch: (_url, init) =>
        new Promise((_resolve, reject) => init.signal?.addEventListener("abort", () => reject(new Error("aborted")))),
    });
    await expect(client.api.me()).rejects.toMatchObject({ code: "timeout", retryable: true });
  });

  test("names what is no answer of this server", async () => {
    const { session } = (await arrive(app.url)).client;
    const answers: [Response, object][] = [
      [new Response("<html>", { status: 502 }), { code: "bad_answer", status: 502, retryable: true }],
      [new Response("<html>"), { code: "bad_answer", retryable: false }],
      [Response.json({ hello: 1 }), { code: "bad_answer" }],
    ];
    for (const [answer, expected] of answers) {
      const client = await SottoClient.resume(app.url, session, { fetch: () => Promise.resolve(answer) });
      await expect(client.api.me()).rejects.toMatchObject(expected);
    }
  });
});
