import { describe, expect, test } from "bun:test";
import { ConfigError, type Environment, parseConfig, workerEnvironment } from "../../src/config.ts";

const MACHINE = {
  dataDir: "/data",
  secretKey: "s".repeat(64),
  encryptionKey: Buffer.alloc(32, 7).toString("base64url"),
};
const HEX = "3f1c9ab27d5e80416c2b9f0e8d7a5c3b1e2f4a6d8c0b9e7f5a3d1c2b4e6f8091";
const PRODUCTION = {
  NODE_ENV: "production",
  SECRET_KEY: "q8Zr2LwX0v7JmT4sKd1yNfGhUc5bEaPo9iRt",
  ENCRYPTION_KEY: HEX,
  BASE_URL: "https://chat.sotto.test",
  DATABASE_URL: "postgres://app:pw@db/sotto",
};

function problemsOf(env: Environment): readonly string[] {
  try {
    parseConfig(env, MACHINE);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

describe("parseConfig()", () => {
  test("needs nothing outside production", () => {
    const config = parseConfig({}, MACHINE);
    expect(config).toMatchObject({
      production: false,
      host: "127.0.0.1",
      port: 8000,
      baseUrl: "http://localhost:8000",
      database: { kind: "embedded" },
    });
    expect(config).toMatchObject({
      accessTokenMinutes: 30,
      refreshTokenDays: 7,
      heartbeatMs: 30_000,
      connectionTimeoutMs: 300_000,
      lanes: 2,
      allowQueryToken: false,
    });
    expect(config.secretKey).toBe(MACHINE.secretKey);
    expect(config.encryptionKeys[0]?.key).toEqual(new Uint8Array(32).fill(7));
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("accepts a complete production environment", () => {
    const config = parseConfig(PRODUCTION, MACHINE);
    expect(config).toMatchObject({
      production: true,
      host: "0.0.0.0",
      database: { kind: "url", url: PRODUCTION.DATABASE_URL },
    });
  });

  test("puts the parts of a database address together", () => {
    const parts = {
      DATABASE_HOST: "db",
      DATABASE_PORT: "5433",
      DATABASE_NAME: "chat",
      DATABASE_USER: "app",
      DATABASE_PASSWORD: "p@ss/word",
    };
    expect(parseConfig(parts, MACHINE).database).toEqual({
      kind: "url",
      url: "postgres://app:p%40ss%2Fword@db:5433/chat",
    });
  });

  test("reads an encryption key as hex, base64 and 32 characters, and a ring in its order", () => {
    const bytes = new Uint8Array(Buffer.from(HEX, "hex"));
    const keyOf = (text: string) => parseConfig({ ENCRYPTION_KEY: text }, MACHINE).encryptionKeys[0]?.key;
    expect(keyOf(HEX)).toEqual(bytes);
    expect(keyOf(Buffer.from(bytes).toString("base64"))).toEqual(bytes);
    expect(keyOf("abcdefghijklmnopqrstuvwxyz012345")).toEqual(
      new TextEncoder().encode("abcdefghijklmnopqrstuvwxyz012345"),
    );
    const ring = parseConfig(
      { ENCRYPTION_KEYS: `2026:${HEX},1:abcdefghijklmnopqrstuvwxyz012345` },
      MACHINE,
    ).encryptionKeys;
    expect(ring.map(({ id }) => id)).toEqual(["2026", "1"]);
  });

  test("makes a ring of one of SECRET_KEY, which a longer ring may name", () => {
    const keysOf = (env: Environment) => parseConfig({ SECRET_KEY: "x".repeat(40), ...env }, MACHINE).signingKeys;
    const [lone] = keysOf({});
    expect(lone).toMatchObject({ id: "1", algorithm: "HS256" });
    expect(keysOf({ SIGNING_KEYS: `b:${HEX},1:SECRET_KEY` })[1]).toEqual(lone as never);
    const [pair] = keysOf({ ALGORITHM: "EdDSA" });
    expect(pair).toMatchObject({ id: "1", algorithm: "EdDSA" });
    expect(pair?.key).not.toEqual(lone?.key as never);
  });

  test("reads a ring of signing keys in its order, each with ALGORITHM or with its own", () => {
    const ring = parseConfig({ SIGNING_KEYS: `new:EdDSA:${HEX}, old:${HEX}` }, MACHINE).signingKeys;
    const key = new Uint8Array(Buffer.from(HEX, "hex"));
    expect(ring).toEqual([
      { id: "new", algorithm: "EdDSA", key },
      { id: "old", algorithm: "HS256", key },
    ]);
    expect(parseConfig({ ALGORITHM: "EdDSA", SIGNING_KEYS: `k:${HEX}` }, MACHINE).signingKeys[0]?.algorithm).toBe(
      "EdDSA",
    );
  });

  test("counts an empty variable as unset", () => {
    expect(parseConfig({ PORT: "", DATABASE_URL: "", SECRET_KEY: "" }, MACHINE)).toMatchObject({
      port: 8000,
      database: { kind: "embedded" },
    });
  });

  const without = (name: string) => ({ ...PRODUCTION, [name]: undefined });
  const bad: readonly [string, Environment, string][] = [
    ["no secret in production", without("SECRET_KEY"), "Set SECRET_KEY in production"],
    [
      "a short secret in production",
      { ...PRODUCTION, SECRET_KEY: "short" },
      "at least 32 characters in production: current length is 5",
    ],
    [
      "an example secret in production",
      { ...PRODUCTION, SECRET_KEY: "your-secret-key-change-this-in-production" },
      "Set SECRET_KEY to a value of your own",
    ],
    ["no encryption key in production", without("ENCRYPTION_KEY"), "Set ENCRYPTION_KEY in production"],
    [
      "an encryption key of zeros in production",
      { ...PRODUCTION, ENCRYPTION_KEY: "0".repeat(64) },
      "Set ENCRYPTION_KEY to a value of your own",
    ],
    ["an encryption key of another length", { ENCRYPTION_KEY: "abc" }, "Set ENCRYPTION_KEY to 32 bytes"],
    ["one encryption key and a ring", { ENCRYPTION_KEY: HEX, ENCRYPTION_KEYS: `1:${HEX}` }, "not both"],
    ["a ring with an id twice", { ENCRYPTION_KEYS: `1:${HEX},1:${HEX}` }, "every id occurs once"],
    ["a ring without ids", { ENCRYPTION_KEYS: HEX }, "id:key pairs"],
    ["a signing key of another length", { SIGNING_KEYS: "a:abc" }, "Set SIGNING_KEYS to 32 bytes"],
    ["signing keys with an id twice", { SIGNING_KEYS: `1:${HEX},1:SECRET_KEY` }, "every id occurs once"],
    ["a signing key without an id", { SIGNING_KEYS: HEX }, "Set SIGNING_KEYS to id:key pairs"],
    ["a signing key with an id of no kind", { SIGNING_KEYS: `../x:${HEX}` }, "Set SIGNING_KEYS to id:key pairs"],
    ["a signing key of an unknown algorithm", { SIGNING_KEYS: `1:RS256:${HEX}` }, "with HS256 or EdDSA"],
    [
      "a signing key of zeros in production",
      { ...PRODUCTION, SIGNING_KEYS: `1:${"0".repeat(64)}` },
      "Set SIGNING_KEYS to values of your own",
    ],
    [
      "one value for signing and encryption",
      { ...PRODUCTION, SIGNING_KEYS: `1:${HEX}` },
      "Set SIGNING_KEYS and ENCRYPTION_KEY to different values",
    ],
    ["one value for two secrets", { ...PRODUCTION, SECRET_KEY: HEX }, "different values"],
    [
      "a proxy that is no network",
      { TRUSTED_PROXIES: "10.0.0.0/8,proxy" },
      "Set TRUSTED_PROXIES to addresses or networks",
    ],
    [
      "a network that is too narrow",
      { TRUSTED_PROXIES: "10.0.0.0/33" },
      "Set TRUSTED_PROXIES to addresses or networks",
    ],
    ["neither yes nor no", { ALLOW_QUERY_TOKEN: "yes" }, "Set ALLOW_QUERY_TOKEN to one of true, false"],
    ["a short metrics token", { METRICS_TOKEN: "short" }, "at least 16 visible characters"],
    ["wildcard CORS", { CORS_ORIGINS: "*" }, "List CORS_ORIGINS one by one"],
    ["an origin with a path", { CORS_ORIGINS: "https://app.sotto.test/" }, "without path or slash"],
    [
      "plain http in production",
      { ...PRODUCTION, BASE_URL: "http://chat.sotto.test" },
      "Set BASE_URL to an https address in production",
    ],
    ["no address in production", without("BASE_URL"), "Set BASE_URL to the address that clients use"],
    [
      "a database address and its parts",
      { DATABASE_URL: "postgres://db/x", DATABASE_HOST: "db" },
      "not both: DATABASE_HOST also has a value",
    ],
    ["half a database address", { DATABASE_HOST: "db" }, "Set DATABASE_NAME and DATABASE_USER too"],
    ["another kind of database", { DATABASE_URL: "mysql://db/x" }, "Set DATABASE_URL to an address as postgres://"],
    ["a port that is none", { PORT: "80000" }, "Set PORT to a whole number from 0 to 65535: current value is 80000"],
    [
      "a number that is none",
      { ACCESS_TOKEN_EXPIRE_MINUTES: "30m" },
      "Set ACCESS_TOKEN_EXPIRE_MINUTES to a whole number",
    ],
    ["an unknown algorithm", { ALGORITHM: "none" }, "Set ALGORITHM to one of HS256, EdDSA: current value is none"],
    ["an unknown password hash", { PASSWORD_HASH: "md5" }, "Set PASSWORD_HASH to one of argon2id, bcrypt"],
    ["a password length below eight", { PASSWORD_MIN_LENGTH: "7" }, "Set PASSWORD_MIN_LENGTH to a whole number from 8"],
    [
      "another kind of mail server",
      { SMTP_URL: "mail.sotto.test:25", MAIL_FROM: "a@sotto.test" },
      "Set SMTP_URL to an address as smtp://",
    ],
    [
      "a mail server without a sender",
      { SMTP_URL: "smtp://mail.sotto.test" },
      "Set MAIL_FROM to the address that mails come from",
    ],
    [
      "a sender of two lines",
      { MAIL_FROM: "Sotto\r\nBcc: <eve@sotto.test>" },
      "Set MAIL_FROM to an address as Sotto <",
    ],
    ["a sender that is two", { MAIL_FROM: "a@sotto.test, b@sotto.test" }, "Set MAIL_FROM to an address as Sotto <"],
    [
      "links to plain http in production",
      { ...PRODUCTION, MAIL_LINK_URL: "http://app.sotto.test" },
      "Set MAIL_LINK_URL to the https address",
    ],
    ["links to no address", { MAIL_LINK_URL: "app.sotto.test" }, "Set MAIL_LINK_URL to the address of the app"],
    [
      "links with a fragment of their own",
      { MAIL_LINK_URL: "https://app.sotto.test/#/login" },
      "Set MAIL_LINK_URL to the address of the app",
    ],
    ["an unknown log level", { LOG_LEVEL: "loud" }, "Set LOG_LEVEL to one of trace"],
    ["a time-out shorter than the heartbeat", { WS_CONNECTION_TIMEOUT: "20" }, "Set WS_CONNECTION_TIMEOUT above"],
    ["another kind of Redis", { REDIS_URL: "http://redis:6379" }, "Set REDIS_URL to an address as redis://"],
    [
      "a Redis database that is no number",
      { REDIS_URL: "redis://redis/sotto" },
      "Set REDIS_URL to an address as redis://",
    ],
    ["workers that cannot meet", { CLUSTER_WORKERS: "2" }, "Set REDIS_URL too"],
    ["workers on any port", { CLUSTER_WORKERS: "2", REDIS_URL: "redis://r", PORT: "0" }, "Set PORT to the port that"],
    ["too many workers", { CLUSTER_WORKERS: "65" }, "Set CLUSTER_WORKERS to a whole number from 1 to 64"],
    ["an environment of no kind", { NODE_ENV: "prod" }, "Set NODE_ENV to one of production"],
  ];
  for (const [what, env, sentence] of bad) {
    test(`refuses ${what} in one sentence`, () => {
      const problems = problemsOf(env);
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(sentence);
    });
  }

  test("takes the address of Redis in all its forms, and runs one process unless told", () => {
    for (const url of ["redis://r", "redis://:pw@r:6380/3", "rediss://user:pw@r.example.org/"]) {
      expect(parseConfig({ REDIS_URL: url }, MACHINE).redisUrl).toBe(url);
    }
    expect(parseConfig({}, MACHINE)).toMatchObject({ redisUrl: null, clusterWorkers: 1, isWorker: false });
    expect(parseConfig({ REDIS_URL: "redis://r", CLUSTER_WORKERS: "4" }, MACHINE).clusterWorkers).toBe(4);
    expect(problemsOf({ REDIS_URL: "http://:hunter2@r" }).join()).not.toContain("hunter2");
  });

  test("sends mails by SMTP where it is set, into a folder while developing, and not at all in production", () => {
    const smtp = { SMTP_URL: "smtp://sotto:pw@mail.sotto.test:587", MAIL_FROM: "Sotto Übung <chat+mail@sotto.test>" };
    const mail = { kind: "smtp", url: smtp.SMTP_URL, from: smtp.MAIL_FROM };
    expect(parseConfig(smtp, MACHINE).mail as object).toEqual(mail);
    expect(parseConfig({ ...PRODUCTION, ...smtp }, MACHINE).mail as object).toEqual(mail);
    expect(parseConfig({}, MACHINE).mail as object).toEqual({
      ...{ kind: "folder", path: "/data/mail", from: "Sotto <sotto@localhost>" },
    });
    expect(parseConfig(PRODUCTION, MACHINE).mail as object).toEqual({ kind: "none" });
    expect(problemsOf({ SMTP_URL: "smtp://u:hunter2@mail/x" }).join()).not.toContain("hunter2");
  });

  test("leads links in mails to BASE_URL unless an app of its own opens them", () => {
    expect(parseConfig({ ...PRODUCTION, BASE_URL: "https://chat.sotto.test/api/" }, MACHINE).mailLinkUrl).toBe(
      "https://chat.sotto.test/api",
    );
    const env = { ...PRODUCTION, MAIL_LINK_URL: "https://app.sotto.test/" };
    expect(parseConfig(env, MACHINE).mailLinkUrl).toBe("https://app.sotto.test");
    expect(parseConfig({}, MACHINE)).toMatchObject({ mailLinkUrl: "http://localhost:8000", passwordMinLength: 8 });
  });

  test("workerEnvironment() passes everything on except how the parent found its database", () => {
    const env = { PORT: "80", DATABASE_HOST: "db", DATABASE_PASSWORD: "x", EMPTY: undefined };
    expect(workerEnvironment("postgres://db/x", env)).toEqual({
      PORT: "80",
      DATABASE_URL: "postgres://db/x",
      SOTTO_WORKER: "1",
      SOTTO_LAUNCHER_PID: String(process.pid),
    });
  });

  test("names every fault at once, and no secret", () => {
    const problems = problemsOf({
      NODE_ENV: "production",
      SECRET_KEY: "hunter2",
      PORT: "x",
      DATABASE_URL: "mysql://u:hunter2@h",
    });
    expect(problems).toHaveLength(5);
    expect(problems.join()).not.toContain("hunter2");
  });
});
