/**
 * Configuration: the environment, read once, checked, frozen. Nothing else reads the environment.
 *
 * - An empty variable counts as unset.
 * - Every fault is named in one sentence, and all of them at once.
 * - In production (NODE_ENV=production) secrets must be given and sound; otherwise they are made
 *   once and kept in the data folder.
 */
import { homedir } from "node:os";
import { join } from "node:path";
import {
  readBaseUrl,
  readDatabase,
  readLinkUrl,
  readMail,
  readOrigins,
  readProxies,
  readWorkers,
} from "./config/addresses.ts";
import { readEncryptionKeys, readSecretKey, readSigningKeys } from "./config/keys.ts";
import type { Config, Environment, MachineDefaults } from "./config/shape.ts";
import { Variables, withoutWrong } from "./config/variables.ts";
import { prepareDataFolder } from "./platform/data_folder.ts";
import { keepSecret } from "./platform/secrets.ts";

export type { Config, EncryptionKey, Environment, MachineDefaults, SigningKey } from "./config/shape.ts";

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
    allowQueryToken: variables.ALLOW_QUERY_TOKEN === "true",
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

/** Root's data goes where services keep theirs, a person's below their home. */
function usualDataDir(env: Environment): string {
  if (process.getuid?.() === 0) return "/var/lib/sotto";
  return join(env["XDG_DATA_HOME"] || join(env["HOME"] || homedir(), ".local", "share"), "sotto");
}
