/**
 * Configuration: the environment, read once, checked, frozen. Nothing else reads the environment.
 *
 * - An empty variable counts as unset.
 * - Every fault is named in one sentence, and all of them at once.
 * - In production (NODE_ENV=production) secrets must be given and sound; otherwise they are made
 *   once and kept in the data folder.
 */
import { isIP } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { prepareDataFolder } from "./platform/data_folder.ts";
import { readSmtpUrl } from "./platform/mail_transport.ts";
import { deriveKey, keepSecret } from "./platform/secrets.ts";

/** A key for what the server encrypts at rest. */
export interface EncryptionKey {
  /** Stored beside what it encrypted, so a later configuration finds it again. */
  readonly id: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** A key for access tokens. */
export interface SigningKey {
  /** What tokens name it by (`kid`). */
  readonly id: string;
  readonly algorithm: "HS256" | "EdDSA";
  /** 32 bytes: the key of HMAC, or the seed of an Ed25519 key pair. */
  readonly key: Uint8Array;
}

/** The whole configuration of one server. */
export interface Config {
  readonly production: boolean;
  readonly host: string;
  /** 0 asks for any free port. */
  readonly port: number;
  /** Absolute path. */
  readonly dataDir: string;
  /** What clients reach the server at, without a slash at its end. */
  readonly baseUrl: string;
  readonly database: { readonly kind: "url"; readonly url: string } | { readonly kind: "embedded" };
  /** For migrations and partitions, where the application's role may not change the schema. */
  readonly maintenanceDatabaseUrl: string | null;
  /** Where nodes meet; `null`: this one is alone. */
  readonly redisUrl: string | null;
  readonly secretKey: string;
  /** The first one signs access tokens, all of them read. */
  readonly signingKeys: readonly SigningKey[];
  /** The first one encrypts, all of them decrypt. */
  readonly encryptionKeys: readonly EncryptionKey[];
  readonly accessTokenMinutes: number;
  readonly refreshTokenDays: number;
  readonly passwordHash: "argon2id" | "bcrypt";
  /** Characters that a password to choose has at least. */
  readonly passwordMinLength: number;
  /** How mails leave: to a server, into a folder of this machine, or not at all. */
  readonly mail:
    | { readonly kind: "smtp"; readonly url: string; readonly from: string }
    | { readonly kind: "folder"; readonly path: string; readonly from: string }
    | { readonly kind: "none" };
  /** Where links in mails lead, without a slash at its end. */
  readonly mailLinkUrl: string;
  readonly corsOrigins: readonly string[];
  /** Proxies, by address or network, whose X-Forwarded-For counts. */
  readonly trustedProxies: readonly string[];
  /** Who sends it may read /metrics from anywhere; `null`: only from this machine. */
  readonly metricsToken: string | null;
  readonly rateLimitPerMinute: number;
  readonly rateLimitBurst: number;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  readonly logLevel: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  /** Connections that append to the log. */
  readonly lanes: number;
  /** Processes that share the port; 1: this one serves by itself. */
  readonly clusterWorkers: number;
  /** Whether this process is one of them: its parent looks after the database. */
  readonly isWorker: boolean;
  /** The launcher's process: when it is gone, the server ends in order. */
  readonly launcherPid: number | null;
}

/** Variables by name, as `process.env` gives them. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a machine adds to the environment. */
export interface MachineDefaults {
  /** Absolute path of a folder that can be written. */
  readonly dataDir: string;
  /** Secrets kept on this machine; used outside production only. */
  readonly secretKey: string;
  readonly encryptionKey: string;
}

/** The environment is wrong; `problems` holds one sentence each. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.problems = problems;
  }
}

/**
 * Reads the environment, prepares the data folder and the secrets kept there.
 *
 * @returns the configuration, and sentences that the operator should read
 * @throws {ConfigError} naming every wrong variable
 */
export async function loadConfig(
  env: Environment = process.env,
): Promise<{ readonly config: Config; readonly notices: readonly string[] }> {
  const folder = await prepareDataFolder({ asked: env["DATA_DIR"] || null, usual: usualDataDir(env) });
  const production = env["NODE_ENV"] === "production";
  // In production nothing is made up, so nothing is kept that could be mistaken for the real one.
  const machine: MachineDefaults = {
    dataDir: folder.path,
    secretKey: production ? "" : await keepSecret(join(folder.path, "secret_key"), 48),
    encryptionKey: production ? "" : await keepSecret(join(folder.path, "encryption_key"), 32),
  };
  const config = parseConfig(env, machine);
  return { config, notices: folder.notice === null ? [] : [folder.notice] };
}

/**
 * Judges the environment; pure.
 *
 * @throws {ConfigError} naming every wrong variable
 */
export function parseConfig(env: Environment, machine: MachineDefaults): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ""));
  const problems: string[] = [];
  const parsed = Variables.safeParse(given);
  for (const issue of parsed.error?.issues ?? []) {
    const name = String(issue.path[0]);
    const value = SECRET_NAMES.test(name) ? "" : `: current value is ${given[name]}`;
    problems.push(`Set ${name} to ${issue.message}${value}`);
  }
  // The parts below need the variables that were right; a wrong one was named already.
  const variables: Variables = parsed.data ?? Variables.parse(withoutWrong(given, parsed.error));
  const production = variables.NODE_ENV === "production";
  const baseUrl = readBaseUrl(variables, production, problems);
  const secretKey = readSecretKey(variables, production, machine, problems);
  const config: Partial<Config> = {
    production,
    dataDir: machine.dataDir,
    host: variables.HOST ?? (production ? "0.0.0.0" : "127.0.0.1"),
    port: variables.PORT ?? 8000,
    baseUrl,
    database: readDatabase(variables, problems),
    maintenanceDatabaseUrl: variables.MAINTENANCE_DATABASE_URL ?? null,
    redisUrl: variables.REDIS_URL ?? null,
    secretKey,
    signingKeys: readSigningKeys(variables, production, secretKey, problems),
    encryptionKeys: readEncryptionKeys(variables, production, machine, problems),
    accessTokenMinutes: variables.ACCESS_TOKEN_EXPIRE_MINUTES ?? 30,
    refreshTokenDays: variables.REFRESH_TOKEN_EXPIRE_DAYS ?? 7,
    passwordHash: variables.PASSWORD_HASH ?? "argon2id",
    passwordMinLength: variables.PASSWORD_MIN_LENGTH ?? 8,
    mail: readMail(variables, production, machine, problems),
    mailLinkUrl: readLinkUrl(variables, baseUrl, production, problems),
    corsOrigins: readOrigins(variables, problems),
    trustedProxies: readProxies(variables, problems),
    metricsToken: variables.METRICS_TOKEN ?? null,
    rateLimitPerMinute: variables.RATE_LIMIT_PER_MINUTE ?? 600,
    rateLimitBurst: variables.RATE_LIMIT_BURST ?? 100,
    heartbeatMs: (variables.WS_HEARTBEAT_INTERVAL ?? 30) * 1_000,
    connectionTimeoutMs: (variables.WS_CONNECTION_TIMEOUT ?? 300) * 1_000,
    logLevel: variables.LOG_LEVEL ?? "info",
    lanes: variables.LANES ?? 2,
    clusterWorkers: readWorkers(variables, problems),
    isWorker: variables.SOTTO_WORKER === "1",
    launcherPid: variables.SOTTO_LAUNCHER_PID ?? null,
  };
  if ((config.connectionTimeoutMs ?? 0) <= (config.heartbeatMs ?? 0)) {
    problems.push("Set WS_CONNECTION_TIMEOUT above WS_HEARTBEAT_INTERVAL, else every quiet socket is closed");
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return Object.freeze(config as Config);
}

/**
 * What a worker of this process reads: the same variables, the database that the parent looks
 * after, and whose child it is.
 */
export function workerEnvironment(databaseUrl: string, env: Environment = process.env): Record<string, string> {
  const kept = Object.entries(env).flatMap(([name, value]) =>
    value === undefined || /^DATABASE_/.test(name) ? [] : [[name, value] as const],
  );
  return {
    ...Object.fromEntries(kept),
    DATABASE_URL: databaseUrl,
    SOTTO_WORKER: "1",
    SOTTO_LAUNCHER_PID: String(process.pid),
  };
}

const SECRET_NAMES = /KEY|TOKEN$|PASSWORD$|DATABASE_URL|REDIS_URL|SMTP_URL/;
/** A name without quotes or angle brackets, and an address; or an address alone. One line, for it becomes a header. */
const MAIL_FROM = /^(?:[\p{L}\p{N} ._-]{1,80} <[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*>|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*)$/u;
const POSTGRES_URL = /^postgres(ql)?:\/\/[^/]+/;

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/, `a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `a whole number from ${least} to ${most}`)
    .optional();

const oneOf = <const Names extends readonly [string, ...string[]]>(names: Names) =>
  z.enum(names, `one of ${names.join(", ")}`).optional();

/** The variables by name; a message completes the sentence "Set NAME to …". */
const Variables = z.object({
  NODE_ENV: oneOf(["production", "development", "test"]),
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/, "a host name or an address")
    .optional(),
  PORT: whole(0, 65_535),
  BASE_URL: z.string().optional(),
  DATABASE_URL: z.string().regex(POSTGRES_URL, "an address as postgres://user:password@host:5432/name").optional(),
  DATABASE_HOST: z.string().optional(),
  DATABASE_PORT: whole(1, 65_535),
  DATABASE_NAME: z.string().optional(),
  DATABASE_USER: z.string().optional(),
  DATABASE_PASSWORD: z.string().optional(),
  MAINTENANCE_DATABASE_URL: z
    .string()
    .regex(POSTGRES_URL, "an address as postgres://user:password@host:5432/name")
    .optional(),
  REDIS_URL: z.string().refine(isRedisUrl, "an address as redis://:password@host:6379/0").optional(),
  SECRET_KEY: z.string().optional(),
  ENCRYPTION_KEY: z.string().optional(),
  ENCRYPTION_KEYS: z.string().optional(),
  ACCESS_TOKEN_EXPIRE_MINUTES: whole(1, 1_440),
  REFRESH_TOKEN_EXPIRE_DAYS: whole(1, 365),
  ALGORITHM: oneOf(["HS256", "EdDSA"]),
  SIGNING_KEYS: z.string().optional(),
  PASSWORD_HASH: oneOf(["argon2id", "bcrypt"]),
  PASSWORD_MIN_LENGTH: whole(8, 128),
  SMTP_URL: z
    .string()
    .refine((text) => readSmtpUrl(text) !== null, "an address as smtp://user:password@host:587 or smtps://…")
    .optional(),
  MAIL_FROM: z.string().regex(MAIL_FROM, "an address as Sotto <chat@example.org>").optional(),
  MAIL_LINK_URL: z.string().optional(),
  CORS_ORIGINS: z.string().optional(),
  TRUSTED_PROXIES: z.string().optional(),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, "at least 16 visible characters")
    .optional(),
  RATE_LIMIT_PER_MINUTE: whole(1, 1_000_000),
  RATE_LIMIT_BURST: whole(1, 1_000_000),
  WS_HEARTBEAT_INTERVAL: whole(1, 3_600),
  WS_CONNECTION_TIMEOUT: whole(2, 86_400),
  LOG_LEVEL: oneOf(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
  LANES: whole(1, 16),
  CLUSTER_WORKERS: whole(1, 64),
  SOTTO_WORKER: oneOf(["1"]),
  SOTTO_LAUNCHER_PID: whole(2, 999_999_999),
});

type Variables = z.infer<typeof Variables>;

function isRedisUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== "" && /^(\/\d{0,4})?$/.test(url.pathname);
}

function withoutWrong(
  given: Record<string, string | undefined>,
  error: z.ZodError | undefined,
): Record<string, string | undefined> {
  const wrong = new Set(error?.issues.map((issue) => String(issue.path[0])));
  return Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name)));
}

/** Root's data goes where services keep theirs, a person's below their home. */
function usualDataDir(env: Environment): string {
  if (process.getuid?.() === 0) return "/var/lib/sotto";
  return join(env["XDG_DATA_HOME"] || join(env["HOME"] || homedir(), ".local", "share"), "sotto");
}

function readBaseUrl(variables: Variables, production: boolean, problems: string[]): string {
  const text = variables.BASE_URL ?? (production ? "" : `http://localhost:${variables.PORT ?? 8000}`);
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "") {
    problems.push(
      `Set BASE_URL to the address that clients use, as https://chat.example.org: current value is ${text || "none"}`,
    );
  } else if (production && url.protocol !== "https:") {
    problems.push(`Set BASE_URL to an https address in production: current value is ${text}`);
  }
  return trimmed(text);
}

/** Without a mail server mails go into a folder, so that everything can be tried; in production nobody would look there. */
function readMail(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): Config["mail"] {
  const { SMTP_URL: url, MAIL_FROM: from } = variables;
  if (url !== undefined) {
    if (from !== undefined) return { kind: "smtp", url, from };
    problems.push("Set MAIL_FROM to the address that mails come from, as Sotto <chat@example.org>: SMTP_URL needs it");
  }
  if (production) return { kind: "none" };
  return { kind: "folder", path: join(machine.dataDir, "mail"), from: from ?? "Sotto <sotto@localhost>" };
}

function readLinkUrl(variables: Variables, baseUrl: string, production: boolean, problems: string[]): string {
  const text = variables.MAIL_LINK_URL;
  if (text === undefined) return baseUrl;
  const url = URL.canParse(text) ? new URL(text) : null;
  const secure = url?.protocol === "https:" || (!production && url?.protocol === "http:");
  if (url === null || !secure || url.username !== "" || url.search !== "" || url.hash !== "") {
    const wish = production ? "the https address" : "the address";
    problems.push(
      `Set MAIL_LINK_URL to ${wish} of the app that opens links, as https://app.example.org: current value is ${text}`,
    );
  }
  return trimmed(text);
}

function trimmed(url: string): string {
  return url.replace(/\/+$/, "");
}

function readDatabase(variables: Variables, problems: string[]): Config["database"] {
  const {
    DATABASE_URL: url,
    DATABASE_HOST: host,
    DATABASE_USER: user,
    DATABASE_NAME: name,
    DATABASE_PASSWORD: password,
  } = variables;
  const parts = {
    DATABASE_HOST: host,
    DATABASE_PORT: variables.DATABASE_PORT,
    DATABASE_NAME: name,
    DATABASE_USER: user,
    DATABASE_PASSWORD: password,
  };
  const used = Object.entries(parts)
    .filter(([, value]) => value !== undefined)
    .map(([part]) => part);
  if (url !== undefined) {
    if (used.length > 0) problems.push(`Set DATABASE_URL or its parts, not both: ${used.join(", ")} also has a value`);
    return { kind: "url", url };
  }
  if (used.length === 0) return { kind: "embedded" };
  if (host === undefined || name === undefined || user === undefined) {
    const missing = Object.entries({ DATABASE_HOST: host, DATABASE_NAME: name, DATABASE_USER: user }).filter(
      ([, value]) => value === undefined,
    );
    problems.push(
      `Set ${missing.map(([part]) => part).join(" and ")} too: ${used.join(", ")} alone does not name a database`,
    );
    return { kind: "embedded" };
  }
  const credentials = [user, ...(password === undefined ? [] : [password])].map(encodeURIComponent).join(":");
  const address = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  return {
    kind: "url",
    url: `postgres://${credentials}@${address}:${variables.DATABASE_PORT ?? 5432}/${encodeURIComponent(name)}`,
  };
}

function readWorkers(variables: Variables, problems: string[]): number {
  const workers = variables.CLUSTER_WORKERS ?? 1;
  if (workers === 1) return workers;
  if (variables.REDIS_URL === undefined) {
    problems.push("Set REDIS_URL too: without it the CLUSTER_WORKERS could not tell each other what happened");
  }
  if (variables.PORT === 0) problems.push("Set PORT to the port that the CLUSTER_WORKERS share: current value is 0");
  return workers;
}

function readSecretKey(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): string {
  const secret = variables.SECRET_KEY;
  if (secret === undefined) {
    if (production) problems.push("Set SECRET_KEY in production, as made by: openssl rand -base64 48");
    return machine.secretKey;
  }
  if (production && secret.length < 32) {
    problems.push(`Set SECRET_KEY to at least 32 characters in production: current length is ${secret.length}`);
  } else if (production && isGuessable(secret)) {
    problems.push(
      "Set SECRET_KEY to a value of your own, as made by: openssl rand -base64 48: the current one is a known example",
    );
  } else if (production && secret === variables.ENCRYPTION_KEY) {
    problems.push("Set SECRET_KEY and ENCRYPTION_KEY to different values: they protect different things");
  }
  return secret;
}

/** Examples and placeholders that find their way into real installations. */
function isGuessable(secret: string): boolean {
  return (
    new Set(secret).size < 8 ||
    /change.?(me|this|it)|your.?(secret|key|encryption)|example|default|(secret|encryption).?key|placeholder|0123456789|password/i.test(
      secret,
    )
  );
}

/**
 * `id:key,id:key`, or `id:algorithm:key` where a key's algorithm is not ALGORITHM, as while one algorithm follows
 * another. The word SECRET_KEY in the place of a key is the key of a server without a ring, so that one can
 * begin a ring without refusing the tokens of before.
 */
function readSigningKeys(
  variables: Variables,
  production: boolean,
  secretKey: string,
  problems: string[],
): SigningKey[] {
  const { ALGORITHM: standard = "HS256", SIGNING_KEYS: ring } = variables;
  const entries = (ring ?? "1:SECRET_KEY").split(",").map((entry) => entry.trim().split(":"));
  if (entries.some(([id = "", ...rest]) => !/^[\w-]{1,32}$/.test(id) || rest.length < 1 || rest.length > 2)) {
    problems.push("Set SIGNING_KEYS to id:key pairs joined by commas, each id 1 to 32 letters, digits, _ or -");
    return [];
  }
  if (new Set(entries.map(([id]) => id)).size < entries.length)
    problems.push("Set SIGNING_KEYS so that every id occurs once");
  const keys = entries.map(([id = "", ...rest]) => {
    const [named, text = ""] = rest.length === 2 ? rest : [standard, ...rest];
    if (named !== "HS256" && named !== "EdDSA")
      problems.push("Set SIGNING_KEYS to id:algorithm:key with HS256 or EdDSA where an algorithm is named");
    const algorithm = named === "EdDSA" ? named : "HS256";
    const key = text === "SECRET_KEY" ? deriveKey(secretKey, LONE_KEY_USES[algorithm]) : decodeKey(text);
    return { id, algorithm, key, text } as const;
  });
  if (keys.some(({ key }) => key === null))
    problems.push("Set SIGNING_KEYS to 32 bytes as hex, base64 or 32 ASCII characters each");
  const known = ({ key, text }: (typeof keys)[number]) =>
    text !== "SECRET_KEY" && key !== null && (new Set(key).size < 8 || isGuessable(text));
  if (production && keys.some(known)) {
    problems.push(
      "Set SIGNING_KEYS to values of your own, as made by: openssl rand -hex 32: one of them is a known example",
    );
  }
  const { ENCRYPTION_KEY: one = "", ENCRYPTION_KEYS: others = "" } = variables;
  if (production && keys.some(({ key, text }) => key !== null && `${one},${others}`.includes(text)))
    problems.push("Set SIGNING_KEYS and ENCRYPTION_KEY to different values: they protect different things");
  return keys.flatMap(({ id, algorithm, key }) => (key === null ? [] : [{ id, algorithm, key }]));
}

/** What SECRET_KEY is used for where it stands for a signing key. */
const LONE_KEY_USES = { HS256: "sotto access token", EdDSA: "sotto access token seed" } as const;

function readEncryptionKeys(
  variables: Variables,
  production: boolean,
  machine: MachineDefaults,
  problems: string[],
): EncryptionKey[] {
  const { ENCRYPTION_KEY: one, ENCRYPTION_KEYS: ring } = variables;
  if (one !== undefined && ring !== undefined) {
    problems.push("Set ENCRYPTION_KEY or ENCRYPTION_KEYS, not both: the first of ENCRYPTION_KEYS is the active one");
    return [];
  }
  if (one === undefined && ring === undefined && production) {
    problems.push("Set ENCRYPTION_KEY in production, as made by: openssl rand -hex 32");
    return [];
  }
  // A single key is number 1, so a later ENCRYPTION_KEYS=2:new,1:old still finds what it encrypted.
  const entries =
    ring === undefined ? [{ id: "1", text: one ?? machine.encryptionKey }] : ring.split(",").map(splitEntry);
  const name = ring === undefined ? "ENCRYPTION_KEY" : "ENCRYPTION_KEYS";
  const keys = entries.map(({ id, text }) => ({ id, text, key: decodeKey(text) }));
  if (keys.some(({ id }) => !/^[\w-]{1,32}$/.test(id)))
    problems.push(`Set ${name} to id:key pairs joined by commas, each id 1 to 32 letters, digits, _ or -`);
  if (new Set(keys.map(({ id }) => id)).size < keys.length) problems.push(`Set ${name} so that every id occurs once`);
  if (keys.some(({ key }) => key === null))
    problems.push(`Set ${name} to 32 bytes as hex, base64 or 32 ASCII characters each`);
  if (production && keys.some(({ key, text }) => key !== null && (new Set(key).size < 8 || isGuessable(text)))) {
    problems.push(
      `Set ${name} to a value of your own, as made by: openssl rand -hex 32: the current one is a known example`,
    );
  }
  return keys.flatMap(({ id, key }) => (key === null ? [] : [{ id, key }]));
}

function splitEntry(entry: string): { id: string; text: string } {
  const at = entry.indexOf(":");
  return at < 0 ? { id: "", text: entry.trim() } : { id: entry.slice(0, at).trim(), text: entry.slice(at + 1).trim() };
}

function decodeKey(text: string): Uint8Array | null {
  if (/^[0-9a-fA-F]{64}$/.test(text)) return new Uint8Array(Buffer.from(text, "hex"));
  if (/^[\x20-\x7e]{32}$/.test(text)) return new TextEncoder().encode(text);
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return null;
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  return bytes.length === 32 ? bytes : null;
}

/** The parts of a list with commas. */
function listOf(text: string | undefined): string[] {
  const parts = (text ?? "").split(",").map((part) => part.trim());
  return parts.filter((part) => part !== "");
}

function readProxies(variables: Variables, problems: string[]): string[] {
  const proxies = listOf(variables.TRUSTED_PROXIES);
  for (const proxy of proxies) {
    const [address = "", bits] = proxy.split("/");
    const valid = isIP(address) > 0 && (bits === undefined || /^\d{1,3}$/.test(bits));
    const most = isIP(address) === 6 ? 128 : 32;
    if (valid && Number(bits ?? 0) <= most) continue;
    problems.push(`Set TRUSTED_PROXIES to addresses or networks as 10.0.0.0/8: current value is ${proxy}`);
  }
  return proxies;
}

function readOrigins(variables: Variables, problems: string[]): string[] {
  const origins = listOf(variables.CORS_ORIGINS);
  for (const origin of origins) {
    if (origin.includes("*")) {
      problems.push(
        `List CORS_ORIGINS one by one: a wildcard would let every site act for a signed-in person: current value is ${origin}`,
      );
    } else if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
      problems.push(
        `Set CORS_ORIGINS to origins as https://app.example.org, without path or slash: current value is ${origin}`,
      );
    }
  }
  return origins;
}
