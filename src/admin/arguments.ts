/** The words of a command line, as `npm run admin -- …` gets them. */
import { parseArgs } from "node:util";

/** What somebody typed. */
export interface Arguments {
  /** The first word; `undefined` where there is none. */
  readonly command: string | undefined;
  /** The words after it. */
  readonly words: readonly string[];
  readonly options: Options;
}

/** Every option of every command; the command says which it takes. */
export interface Options {
  readonly json: boolean;
  readonly yes: boolean;
  readonly help: boolean;
  readonly admin: boolean;
  readonly all: boolean;
  readonly email: string | undefined;
  readonly name: string | undefined;
  readonly user: string | undefined;
  readonly limit: string | undefined;
  readonly before: string | undefined;
  readonly state: string | undefined;
  readonly note: string | undefined;
}

/** The command line is wrong; the message says how it should be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the words. Throws {@link UsageError} for an option that no command has. */
export function readArguments(given: readonly string[]): Arguments {
  try {
    const { values, positionals } = parseArgs({
      args: [...given],
      allowPositionals: true,
      options: {
        json: { type: "boolean" },
        yes: { type: "boolean" },
        help: { type: "boolean" },
        admin: { type: "boolean" },
        all: { type: "boolean" },
        email: { type: "string" },
        name: { type: "string" },
        user: { type: "string" },
        limit: { type: "string" },
        before: { type: "string" },
        state: { type: "string" },
        note: { type: "string" },
      },
    });
    const [command, ...words] = positionals;
    const { json = false, yes = false, help = false, admin = false, all = false } = values;
    const { email, name, user, limit, before, state, note } = values;
    return { command, words, options: { json, yes, help, admin, all, email, name, user, limit, before, state, note } };
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : "").split(". ");
    throw new UsageError(`Check the options: ${reason}`);
  }
}
