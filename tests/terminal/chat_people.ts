/** People at terminals: each with a folder for settings and, while they chat, a program with a screen. */
import { expect } from "bun:test";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { SottoClient } from "../../src/client/mod.ts";
import { Profile } from "../../src/terminal/profile.ts";
import { keysFor, PASSWORD } from "../client/people.ts";
import { homeFolder, type ProgramOptions, TerminalProgram } from "./terminal_program.ts";

let people = 0;

/** Somebody at a terminal. */
export class Sitter implements AsyncDisposable {
  readonly username: string;
  /** The folder that holds their settings. */
  readonly home: string;
  readonly #folder: AsyncDisposable;
  readonly #server: string;
  #program: TerminalProgram | undefined;

  private constructor(username: string, folder: AsyncDisposable & { readonly path: string }, server: string) {
    this.username = username;
    this.home = folder.path;
    this.#folder = folder;
    this.#server = server;
  }

  /** Signs somebody up, and starts the program with what an earlier start would have left. */
  static async arrive(server: string, name: string, options: ProgramOptions = {}): Promise<Sitter> {
    const sitter = await Sitter.#named(server, name);
    const keys = await keysFor(people % 4);
    const { username } = sitter;
    await using client = await SottoClient.signUp(server, { username, password: PASSWORD, keys });
    const profile = await Profile.open(join(sitter.home, ".config"), "default");
    await profile.save({ server, username, keys, session: client.session, signedIn: true });
    profile[Symbol.dispose](); // the program takes the lock
    await sitter.start({ args: [], ...options }).shows("No conversations yet", "connected");
    return sitter;
  }

  static async #named(server: string, name: string): Promise<Sitter> {
    return new Sitter(`${name}${++people}${crypto.randomUUID().slice(0, 4)}`, await homeFolder(), server);
  }

  /** Registers somebody by typing, and waits for their empty list. */
  static async register(server: string, name: string, options: ProgramOptions = {}): Promise<Sitter> {
    const sitter = await Sitter.#named(server, name);
    const program = sitter.start(options);
    await program.shows("(r)egister or (s)ign in?");
    program.enter("r");
    await program.shows("Password:");
    program.enter(PASSWORD);
    await program.shows("Password again:");
    program.enter(PASSWORD);
    await program.shows("No conversations yet", "connected");
    return sitter;
  }

  /** Starts the program with this person's settings. */
  start(options: ProgramOptions = {}): TerminalProgram {
    const args = options.args ?? ["--server", this.#server, "--user", this.username];
    this.#program = TerminalProgram.start({ ...options, home: this.home, args });
    return this.#program;
  }

  /** The program that was started last. */
  get at(): TerminalProgram {
    if (this.#program === undefined) throw new Error("Start the program first");
    return this.#program;
  }

  /** Ends the program as a person does. */
  async quit(): Promise<void> {
    this.at.enter("/quit");
    expect(await this.at.ends()).toBe(0);
  }

  /** The files of the settings, by name, with their permissions. */
  async files(): Promise<Record<string, { readonly mode: string; readonly text: string }>> {
    const folder = join(this.home, ".config/sotto");
    const names = await readdir(folder);
    const files = names.toSorted().map(async (name) => {
      const path = join(folder, name);
      const { mode } = await stat(path);
      return [name, { mode: (mode & 0o777).toString(8), text: await readFile(path, "utf8") }] as const;
    });
    return Object.fromEntries(await Promise.all(files));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program?.[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }
}

/** Lines of the screen that hold the text. */
export function linesWith(program: TerminalProgram, text: string): string[] {
  return program.rows.filter((row) => row.includes(text));
}
