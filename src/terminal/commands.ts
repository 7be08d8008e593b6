/** What begins with a slash. */

/** A command, as it was typed. */
export interface TypedCommand {
  /** Without the slash, in lower case. */
  readonly name: string;
  readonly words: readonly string[];
}

/** What each command takes and does, in the order in which `/help` shows them. */
export const HELP: readonly (readonly [usage: string, does: string])[] = [
  ["/list", "all conversations"],
  ["/open NAME", "open one, by its name or its number in the list"],
  ["/new NAME", "begin to talk with somebody"],
  ["/group NAME a b c", 'a group of these; "The ferry" is a name of two words'],
  ["/history", "older messages; Page Up and Page Down move too"],
  ["/who", "who is in it, with the fingerprints of their keys"],
  ["/trust NAME", "use their new key, after you compared fingerprints"],
  ["/edit TEXT", "gives your last message here another text; /delete ends it"],
  ["/react EMOJI", "reacts to the last message of others; again takes it back"],
  ["/block NAME", "they reach you no more, and are not told; /unblock NAME"],
  ["/report [N] WHY", "shows their last N messages to administrators, after /yes"],
  ["/signout", "end this session; your key stays on this machine"],
  ["/quit, /exit, /q", "end, as Ctrl-C does; what waits is sent next time"],
];

/** The names of the commands, with their slash. */
export const COMMAND_NAMES = [
  "list",
  "open",
  "new",
  "group",
  "history",
  "who",
  "trust",
  "edit",
  "delete",
  "react",
  "block",
  "unblock",
  "report",
  "yes",
  "signout",
  "help",
  "quit",
].map((name) => `/${name}`);

/** Reads a line; `null` for one that is a message. `//` begins a message with a slash. */
export function readCommand(text: string): TypedCommand | null {
  if (!text.startsWith("/") || text.startsWith("//")) return null;
  const [name = "", ...words] = Array.from(
    text.slice(1).matchAll(/"([^"]*)"|(\S+)/g),
    ([, quoted, bare]) => quoted ?? bare ?? "",
  );
  return { name: name.toLowerCase(), words };
}

/** What a line that is no command says. */
export function messageOf(text: string): string {
  return text.startsWith("//") ? text.slice(1) : text;
}

/** Whether a command ends the program. */
export function isQuit(name: string): boolean {
  return name === "quit" || name === "exit" || name === "q";
}
