/** What the terminal client takes from the environment; the server's settings are none of its business. */
import { homedir } from "node:os";
import { join } from "node:path";

/** See the head of this file. */
export interface Environment {
  /** Where this user's settings are, without a slash at the end. */
  readonly configFolder: string;
  /** False where the person asked for none (no-color.org), or the terminal knows none. */
  readonly colours: boolean;
}

/** Reads the environment of this process. */
export function readEnvironment(variables: Readonly<Record<string, string | undefined>> = process.env): Environment {
  const { XDG_CONFIG_HOME: folder = "", NO_COLOR: noColour = "", TERM: terminal = "" } = variables;
  return {
    configFolder: folder.startsWith("/") ? folder : join(homedir(), ".config"),
    colours: noColour === "" && terminal !== "dumb",
  };
}
