/**
 * `npm run admin -- COMMAND`: administration from the server's own machine, beside the running server or
 * without it. Who may read the server's configuration may run it; there is no other guard.
 *
 * Exit codes: 0 done · 1 refused · 2 not a command · 3 not confirmed · 4 no database, a wrong configuration, or a fault.
 * The answer goes to the standard output, everything else to the standard error.
 */
import { execFileSync } from "node:child_process";
import { createInterface } from "node:readline";
import type { Actor } from "../administration/mod.ts";
import { ConfigError, loadConfig } from "../config.ts";
import { systemClock } from "../platform/clock.ts";
import { DataFolderError } from "../platform/data_folder.ts";
import { DataFolderInUseError } from "../platform/embedded_postgres.ts";
import { MigrationError } from "../platform/migrate.ts";
import { createPasswordHasher } from "../platform/password_hash.ts";
import { NoPostgresError } from "../platform/postgres_binaries.ts";
import { ClusterError } from "../platform/postgres_cluster.ts";
import { MissingKeyError, Sealer } from "../platform/sealer.ts";
import { DatabaseRefusedError } from "../platform/start_database.ts";
import { DomainError } from "../protocol/mod.ts";
import { type Arguments, readArguments, UsageError } from "./arguments.ts";
import { COMMANDS, type Command } from "./commands.ts";
import { openConfiguredDatabase } from "./database.ts";

const EXIT = { done: 0, refused: 1, usage: 2, unconfirmed: 3, failed: 4 } as const;
const CONFIRMATION = "yes";
/** What whoever runs this can mend; their messages say how, so no stack is shown. */
const FOR_THE_OPERATOR = [
  ClusterError,
  ConfigError,
  DatabaseRefusedError,
  DataFolderError,
  DataFolderInUseError,
  MigrationError,
  MissingKeyError,
  NoPostgresError,
];

process.exit(await main(process.argv.slice(2)));

async function main(words: readonly string[]): Promise<number> {
  try {
    const given = readArguments(words);
    if (given.options.help || given.command === undefined || given.command === "help") {
      console.log(helpFor(given.command));
      return given.options.help || given.command !== undefined ? EXIT.done : EXIT.usage;
    }
    return await run(commandOf(given), given);
  } catch (error) {
    return explain(error, words.includes("--json"));
  }
}

async function run(command: Command, given: Arguments): Promise<number> {
  const { config, notices } = await loadConfig();
  const tell = (sentence: string): void => console.error(sentence);
  notices.forEach(tell);
  await using opened = await openConfiguredDatabase(config, tell);
  const passwords = createPasswordHasher({ algorithm: config.passwordHash, concurrency: 1, queue: 1 });
  const deps = { db: opened.db, clock: systemClock, passwords, sealer: new Sealer(config.encryptionKeys) };
  const plan = await command.plan({ deps, actor: whoRunsThis() }, given);
  if (plan.question !== null && !given.options.yes && !(await confirm(plan.question))) {
    console.error(`Nothing was done: answer ${CONFIRMATION}, or add --yes`);
    return EXIT.unconfirmed;
  }
  const { json, text } = await plan.carryOut();
  console.log(given.options.json ? JSON.stringify(json) : text);
  return EXIT.done;
}

/** The command that was named. Throws {@link UsageError} for one that is none, or that does not take an option. */
function commandOf({ command = "", options }: Arguments): Command {
  const found = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (found === undefined) {
    throw new UsageError(`Choose one of ${Object.keys(COMMANDS).join(", ")}: current value is ${command}`);
  }
  const common: readonly string[] = ["json", "yes", "help"];
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false);
  const strange = given.find(([name]) => !common.includes(name) && !found.options.some((own) => own === name));
  if (strange !== undefined) throw new UsageError(`Leave out --${strange[0]}: ${command} does not take it`);
  return found;
}

function helpFor(name: string | undefined): string {
  const known = Object.entries(COMMANDS).filter(
    ([command]) => name === undefined || name === "help" || command === name,
  );
  const lines = (known.length > 0 ? known : Object.entries(COMMANDS)).map(
    ([command, { usage, does }]) => `  ${`${command} ${usage}`.trim()}\n      ${does}`,
  );
  return `Usage: npm run admin -- COMMAND [--json] [--yes]

${lines.join("\n")}

USER is a user name, an e-mail address or an id. --json answers in JSON; --yes does not ask.
What is done is written to the audit log. Sockets of sessions that end close on every node within two seconds.`;
}

/** By the machine's own word, and not by a variable that anybody can set. */
function whoRunsThis(): Actor {
  try {
    return {
      kind: "cli",
      name: execFileSync("id", ["-un"], { encoding: "utf8", stdio: "pipe", timeout: 5_000 }).trim(),
    };
  } catch {
    return { kind: "cli", name: `uid ${process.getuid?.() ?? "unknown"}` }; // a user without a name, as in a container
  }
}

/** Asks on the standard error and reads one line; the end of the input is a no. */
async function confirm(question: string): Promise<boolean> {
  process.stderr.write(`${question} (${CONFIRMATION}) `);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return line.trim() === CONFIRMATION;
    return false;
  } finally {
    lines.close();
  }
}

/** Says what went wrong in one sentence; a stack only where it is a fault of the program. */
function explain(error: unknown, json: boolean): number {
  if (error instanceof DomainError) {
    const { code, message, details } = error;
    if (json)
      console.error(JSON.stringify({ error: { code, message, ...(details === undefined ? {} : { details }) } }));
    else console.error(details === undefined ? message : `${message}: ${JSON.stringify(details)}`);
    return EXIT.refused;
  }
  if (error instanceof UsageError) {
    console.error(`${error.message}\nTry: npm run admin -- --help`);
    return EXIT.usage;
  }
  const mendable = FOR_THE_OPERATOR.some((kind) => error instanceof kind);
  console.error(mendable ? (error as Error).message : error);
  return EXIT.failed;
}
