/** The words of `npm run chat -- …`. */
import { parseArgs } from "node:util";

/** What somebody asked for. */
export interface Arguments {
  readonly help: boolean;
  readonly room: boolean;
  readonly server: string | undefined;
  readonly user: string | undefined;
  readonly profile: string;
}

/** The command line is wrong; the message says how it should be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** What `--help` prints. */
export const USAGE = `Usage: npm run chat -- [options]

A terminal client: sign up or in, and talk. Type /help inside.

  --server URL     where the server is; asked for when it is not given
  --user NAME      who you are; asked for when it is not given
  --profile NAME   a further account on this machine (standard: default)
  --room           the public room, in place of conversations
  --help           this text`;

/** Reads the words. Throws {@link UsageError}. */
export function readArguments(words: readonly string[]): Arguments {
  const { values, positionals } = parse(words);
  if (positionals[0] !== undefined) throw new UsageError(`Leave out ${positionals[0]}: it is no option`);
  const { help = false, room = false, server, user, profile = "default" } = values;
  if (!/^[\w-]{1,50}$/.test(profile)) throw new UsageError("Choose letters, digits, _ and - for --profile");
  return { help, room, server: server === undefined ? undefined : serverAddress(server), user, profile };
}

/** An address as the SDK takes it. Throws {@link UsageError} for what is none. */
export function serverAddress(text: string): string {
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null || !/^https?:$/.test(url.protocol))
    throw new UsageError(`Give an address as http://127.0.0.1:8000: ${text}`);
  return `${url.origin}${url.pathname}`.replace(/\/+$/, "");
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h" },
        room: { type: "boolean" },
        server: { type: "string" },
        user: { type: "string" },
        profile: { type: "string" },
      },
    });
  } catch (error) {
    const [reason = ""] = (error instanceof Error ? error.message : "").split(". ");
    throw new UsageError(`Check the options: ${reason}`);
  }
}
