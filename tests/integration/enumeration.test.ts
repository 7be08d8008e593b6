/**
 * Nobody learns from an answer or its time whether there is an account. Times are compared as medians of
 * tries in turns, against the time of one password hash: that is what a server saves which looks first and
 * hashes only where it found somebody. Other things run on the machine, so what differs is compared again:
 * what a server saves it saves each time.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { startApp, type TestApp } from "../support/app.ts";
import { TestMailServer } from "../support/mail_server.ts";
import { waitUntil } from "../support/wait.ts";

const TRIES = 13;
const ROUNDS = 5;
const PASSWORD = "correct horse battery staple";

let mails: TestMailServer;
let server: TestApp;
let hashMs: number;
beforeAll(async () => {
  mails = await TestMailServer.start();
  const env = { SMTP_URL: mails.url, MAIL_FROM: "chat@example.org" };
  server = await startApp({ env, slowPasswords: true });
  for (let i = 0; i < TRIES; i++) await ask("/api/auth/signup", person(i));
  // Signing up hashes once, and so does a sign-in.
  hashMs = median(await times(TRIES, (i) => ask("/api/auth/signin", { username: `known_${i}`, password: "wrong" })));
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await mails[Symbol.asyncDispose]();
});

const person = (i: number) => ({ username: `known_${i}`, email: `known_${i}@example.org`, password: PASSWORD });

async function ask(path: string, body: object): Promise<string> {
  const answer = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await answer.text();
  const headers = [...answer.headers].filter(([name]) => !["date", "x-request-id"].includes(name)).toSorted();
  return `${answer.status} ${JSON.stringify(headers)} ${text.replace(/"requestId":"[^"]*"/, "")}`;
}

/** What the mails are about goes on after the answer; it must not slow down the next one. */
const settled = () =>
  waitUntil("no mail is under way", async () =>
    /^sotto_mail_depth 0$/m.test(await (await fetch(`${server.url}/metrics`)).text()),
  );

async function times(count: number, work: (i: number) => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) {
    const begun = performance.now();
    await work(i);
    all.push(performance.now() - begun);
  }
  return all;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function compare(path: string, bodyOf: (name: string) => object) {
  const taken: Record<"known" | "unknown", number[]> = { known: [], unknown: [] };
  const answers = new Set<string>();
  for (let i = 0; i < TRIES * 2; i++) {
    const which = i % 2 === 0 ? "known" : "unknown";
    await settled();
    const begun = performance.now();
    answers.add(await ask(path, bodyOf(`${which}_${i >> 1}`)));
    taken[which].push(performance.now() - begun);
  }
  return { known: median(taken.known), unknown: median(taken.unknown), answers };
}

const CASES: readonly (readonly [what: string, path: string, bodyOf: (name: string) => object])[] = [
  ["sign-in by name", "/api/auth/signin", (username) => ({ username, password: "wrong pass phrase" })],
  [
    "sign-in by address",
    "/api/auth/signin",
    (name) => ({ email: `${name}@example.org`, password: "wrong pass phrase" }),
  ],
  ["sign-in to the relay", "/login", (name) => ({ name, password: "wrong pass phrase" })],
  ["a link to sign in", "/api/auth/magic-link", (name) => ({ email: `${name}@example.org` })],
  ["a link to choose a password", "/api/auth/password-reset", (name) => ({ email: `${name}@example.org` })],
];

describe("known and unknown get one answer in one time:", () => {
  test.each(CASES)(
    "%s",
    async (_, path, bodyOf) => {
      const differences: number[] = [];
      do {
        const { known, unknown, answers } = await compare(path, bodyOf);
        expect(answers.size).toBe(1);
        differences.push(Math.abs(known - unknown));
      } while (Math.min(...differences) >= 0.6 * hashMs && differences.length < ROUNDS);
      expect(Math.min(...differences)).toBeLessThan(0.6 * hashMs);
    },
    120_000,
  );

  test("while the mails go to the known only", async () => {
    await settled();
    // Of their own sign-up, to sign in and to choose a password; again where the times were compared again.
    for (let i = 0; i < TRIES; i++) {
      const own = mails.named.filter((name) => name === person(i).email);
      expect(own.length).toBeGreaterThanOrEqual(3);
    }
    expect(mails.named.filter((name) => name.startsWith("unknown_"))).toHaveLength(0);
  });
});
