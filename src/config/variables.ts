/** The variables of the environment, each by itself. */
import { z } from "zod";
import { readSmtpUrl } from "../platform/mail_transport.ts";

/** A name without quotes or angle brackets, and an address; or an address alone. One line, for it becomes a header. */
const MAIL_FROM = /^(?:[\p{L}\p{N} ._-]{1,80} <[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*>|[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)*)$/u;

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
export const Variables = z.object({
  NODE_ENV: oneOf(["production", "development", "test"]),
  HOST: z
    .string()
    .regex(/^[\w.:-]+$/, "a host name or an address")
    .optional(),
  PORT: whole(0, 65_535),
  BASE_URL: z.string().optional(),
  DATABASE_URL: postgresUrl(),
  DATABASE_HOST: z.string().optional(),
  DATABASE_PORT: whole(1, 65_535),
  DATABASE_NAME: z.string().optional(),
  DATABASE_USER: z.string().optional(),
  DATABASE_PASSWORD: z.string().optional(),
  MAINTENANCE_DATABASE_URL: postgresUrl(),
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
  ALLOW_QUERY_TOKEN: oneOf(["true", "false"]),
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

/** See {@link Variables}. */
export type Variables = z.infer<typeof Variables>;

/** What the driver would find wrong only after half a minute of waiting for it is wrong at once, such as a # that is not %23. */
function postgresUrl() {
  return z
    .string()
    .refine(
      (text) => /^postgres(ql)?:\/\/[^/]+/.test(text) && URL.canParse(text),
      "an address as postgres://user:password@host:5432/name, with #, / and @ of the password as %23, %2F and %40",
    )
    .optional();
}

function isRedisUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return url !== null && /^rediss?:$/.test(url.protocol) && url.hostname !== "" && /^(\/\d{0,4})?$/.test(url.pathname);
}

/** What was given, without what an error names. */
export function withoutWrong(
  given: Record<string, string | undefined>,
  error: z.ZodError | undefined,
): Record<string, string | undefined> {
  const wrong = new Set(error?.issues.map((issue) => String(issue.path[0])));
  return Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name)));
}
