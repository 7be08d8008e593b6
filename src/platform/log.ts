/**
 * The log: one JSON line for each event in production, one readable line otherwise.
 *
 * - What must never be written is replaced wherever it appears in an event's fields, two levels
 *   deep. That is the net below the rule, which is to log ids and codes only.
 * - Errors are written as name, message, SQLSTATE and stack; a database error's `detail`, which
 *   quotes values, is not.
 */
import pino from "pino";

/** Writes events; `child({ requestId })` adds fields to all that it writes. */
export type Log = pino.Logger;

/** What {@link createLog} is told. */
export interface LogOptions {
  readonly level: pino.LevelWithSilent;
  /** One readable line for each event in place of JSON. */
  readonly pretty: boolean;
  /** Where lines go; the standard output otherwise. */
  readonly write?: (line: string) => void;
}

const HIDDEN = [
  ...["token", "access_token", "refresh_token", "accessToken", "refreshToken", "ticket", "authorization", "cookie"],
  ...[
    "password",
    "current_password",
    "new_password",
    "secret",
    "secretKey",
    "key",
    "private_key",
    "privateKey",
    "private_key_encrypted",
  ],
  ...[
    "content",
    "encrypted_content",
    "encryptedContent",
    "encryption_iv",
    "encrypted_data",
    "payload",
    "body",
    "email",
  ],
];

/** Makes a log. */
export function createLog({ level, pretty, write = (line) => void process.stdout.write(line) }: LogOptions): Log {
  const options: pino.LoggerOptions = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describe, error: describe },
    redact: { paths: HIDDEN.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: "[hidden]" },
  };
  return pino(options, { write: pretty ? (line) => write(readable(line)) : write });
}

interface Described {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: unknown;
}

const CAUSES = 3;

function describe(value: unknown, depth = 0): unknown {
  if (!(value instanceof Error)) return typeof value === "string" ? value : "a value that is no error was thrown";
  const described: Described = {
    name: value.name,
    message: value.message,
    ...("code" in value && typeof value.code === "string" ? { code: value.code } : {}),
    ...(value.stack === undefined ? {} : { stack: framesOf(value.stack) }),
    ...(value.cause === undefined || depth >= CAUSES ? {} : { cause: describe(value.cause, depth + 1) }),
  };
  return described;
}

/** The frames only: the head repeats the message. */
function framesOf(stack: string): string {
  return stack
    .split("\n")
    .filter((line) => /^\s*at /.test(line))
    .slice(0, 12)
    .join("\n");
}

const COLOURS: Readonly<Record<string, string>> = { warn: "\x1b[33m", error: "\x1b[31m", fatal: "\x1b[31m" };

/** `12:00:00.000 warn  The message  name=value …`, and an error's frames below. */
function readable(line: string): string {
  const { time, level, msg, err, error, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const colour = process.stdout.isTTY ? COLOURS[String(level)] : undefined;
  const head = `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${String(msg ?? "")}`;
  const facts = Object.entries(fields).map(
    ([name, value]) => `  ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const fault = err ?? error;
  const text = `${colour === undefined ? head : `${colour}${head}\x1b[0m`}${facts.join("")}`;
  return `${text}${fault === undefined ? "" : `\n${faultLines(fault)}`}\n`;
}

function faultLines(fault: unknown): string {
  if (typeof fault !== "object" || fault === null) return `    ${String(fault)}`;
  const { name, message, code, stack, cause } = fault as Described;
  const head = `    ${name}: ${message}${code === undefined ? "" : ` (${code})`}`;
  return [head, ...(stack === undefined ? [] : [stack]), ...(cause === undefined ? [] : [faultLines(cause)])].join(
    "\n",
  );
}
