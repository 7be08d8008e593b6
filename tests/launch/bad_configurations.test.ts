/** The program itself, started with what is wrong: one sentence that names the variable, no secret, no stack, no server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import type { Environment } from "../../src/config.ts";

/** In every secret that is given here, so that one which is repeated shows. */
const CANARY = "hunter2";
const SECRET = `q8Zr2LwX0v7JmT4sKd1y-${CANARY}-NfGhUc5b`;
const HEX = "3f1c9ab27d5e80416c2b9f0e8d7a5c3b1e2f4a6d8c0b9e7f5a3d1c2b4e6f8091";
/** Complete, but for a database that is there: none of these may get as far as asking for it. */
const PRODUCTION = {
  NODE_ENV: "production",
  SECRET_KEY: SECRET,
  ENCRYPTION_KEY: HEX,
  BASE_URL: "https://chat.sotto.test",
  DATABASE_URL: `postgres://app:${CANARY}@127.0.0.1:1/sotto`,
};
const without = (name: keyof typeof PRODUCTION) => ({ ...PRODUCTION, [name]: undefined });

/** What is wrong, the variables, and the beginning of the sentence. */
const BAD: readonly [what: string, env: Environment, sentence: string][] = [
  ["no secret in production", without("SECRET_KEY"), "Set SECRET_KEY in production"],
  ["a short secret in production", { ...PRODUCTION, SECRET_KEY: CANARY }, "Set SECRET_KEY to at least 32 characters"],
  [
    "the published example of a secret in production",
    { ...PRODUCTION, SECRET_KEY: "your-secret-key-change-this-in-production" },
    "Set SECRET_KEY to a value of your own",
  ],
  ["no encryption key in production", without("ENCRYPTION_KEY"), "Set ENCRYPTION_KEY in production"],
  ["an encryption key of another length", { ENCRYPTION_KEY: CANARY }, "Set ENCRYPTION_KEY to 32 bytes"],
  ["an encryption key and a ring", { ENCRYPTION_KEY: HEX, ENCRYPTION_KEYS: `1:${HEX}` }, "Set ENCRYPTION_KEY or"],
  ["one value for two secrets", { ...PRODUCTION, SECRET_KEY: HEX }, "Set SECRET_KEY and ENCRYPTION_KEY to different"],
  ["signing keys without ids", { SIGNING_KEYS: `${HEX},${CANARY}` }, "Set SIGNING_KEYS to id:key pairs"],
  ["a signing key of another length", { SIGNING_KEYS: `a:${CANARY}` }, "Set SIGNING_KEYS to 32 bytes"],
  ["an unknown algorithm", { ALGORITHM: "none" }, "Set ALGORITHM to one of HS256, EdDSA: current value is none"],
  ["no address in production", without("BASE_URL"), "Set BASE_URL to the address"],
  ["plain http in production", { ...PRODUCTION, BASE_URL: "http://chat.sotto.test" }, "Set BASE_URL to an https"],
  ["an address with a password", { BASE_URL: `https://ada:${CANARY}@chat.sotto.test` }, "Set BASE_URL to the address"],
  [
    "links with a password",
    { MAIL_LINK_URL: `https://ada:${CANARY}@a.sotto.test` },
    "Set MAIL_LINK_URL to the address",
  ],
  [
    "a database address and its parts",
    { DATABASE_URL: PRODUCTION.DATABASE_URL, DATABASE_HOST: "db", DATABASE_PASSWORD: CANARY },
    "Set DATABASE_URL or its parts, not both: DATABASE_HOST, DATABASE_PASSWORD",
  ],
  ["half a database address", { DATABASE_PASSWORD: CANARY }, "Set DATABASE_HOST and DATABASE_NAME and DATABASE_USER"],
  ["another kind of database", { DATABASE_URL: `mysql://app:${CANARY}@db/x` }, "Set DATABASE_URL to an address as"],
  [
    "a database address that is none",
    { DATABASE_URL: `postgres://app:${CANARY}#@db/x` },
    "Set DATABASE_URL to an address as",
  ],
  ["another kind of Redis", { REDIS_URL: `http://:${CANARY}@redis:6379` }, "Set REDIS_URL to an address as redis://"],
  ["workers without Redis", { CLUSTER_WORKERS: "2", PORT: "18000" }, "Set REDIS_URL too"],
  ["a port out of range", { PORT: "65536" }, "Set PORT to a whole number from 0 to 65535: current value is 65536"],
  ["every origin", { CORS_ORIGINS: "*" }, "List CORS_ORIGINS one by one"],
  ["an origin with a password", { CORS_ORIGINS: `https://ada:${CANARY}@a.sotto.test` }, "Set CORS_ORIGINS to origins"],
  ["a proxy that is no network", { TRUSTED_PROXIES: "10.0.0.0/8, 10.0.0.0/33" }, "Set TRUSTED_PROXIES to addresses"],
  [
    "a mail server without a sender",
    { SMTP_URL: `smtp://ada:${CANARY}@mail.sotto.test:587` },
    "Set MAIL_FROM to the address",
  ],
  [
    "another kind of mail server",
    { SMTP_URL: `http://ada:${CANARY}@mail.sotto.test`, MAIL_FROM: "chat@sotto.test" },
    "Set SMTP_URL to an address as smtp://",
  ],
  ["a short token for metrics", { METRICS_TOKEN: CANARY }, "Set METRICS_TOKEN to at least 16 visible characters"],
  ["an unknown password hash", { PASSWORD_HASH: "md5" }, "Set PASSWORD_HASH to one of argon2id, bcrypt"],
  ["an environment of no kind", { NODE_ENV: "prod" }, "Set NODE_ENV to one of production, development, test"],
  ["a data folder that is a file", { DATA_DIR: "/dev/null" }, "Set DATA_DIR to a folder that can be written"],
];

/** How the program ended. */
interface End {
  readonly code: number;
  readonly out: string;
  readonly error: string;
}

const ROOT = join(import.meta.dir, "../..");
const ALL_MS = 120_000;

describe("src/main.ts refuses", () => {
  let folder: string;
  const ends = new Map<string, End>();
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "sotto-bad-"));
    const waiting = [...BAD];
    const work = async () => {
      for (let bad = waiting.shift(); bad !== undefined; bad = waiting.shift())
        ends.set(bad[0], await start(folder, bad[1]));
    };
    await Promise.all(Array.from({ length: availableParallelism() }, work));
  }, ALL_MS);
  afterAll(() => rm(folder, { recursive: true, force: true }));

  for (const [what, , sentence] of BAD) {
    test(`${what}, in one sentence`, () => {
      const { code, out, error } = ends.get(what) ?? { code: 0, out: "", error: "" };
      expect([code, out]).toEqual([1, ""]);
      expect(error).toStartWith(sentence);
      expect(error.trimEnd().split("\n")).toHaveLength(1);
      for (const secret of [CANARY, HEX, SECRET, "your-secret-key"]) expect(error).not.toContain(secret);
    });
  }
});

/** Starts the program with nothing but these variables; whatever serves all the same is ended. */
async function start(folder: string, env: Environment): Promise<End> {
  const child = Bun.spawn([process.execPath, "src/main.ts"], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], HOME: folder, DATA_DIR: folder, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: ALL_MS / 4,
    killSignal: "SIGKILL",
  });
  const [out, error, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, out, error };
}
