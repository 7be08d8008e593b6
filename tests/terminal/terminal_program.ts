/** The terminal client in a real pseudo-terminal, and what its screen shows, as a terminal emulator reads it. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Terminal } from "@xterm/headless";
import { waitUntil } from "../support/wait.ts";

const ROOT = join(import.meta.dir, "../..");
const WAIT_MS = 60_000;
const STOP_MS = 10_000;

/** What {@link TerminalProgram.start} may be told. */
export interface ProgramOptions {
  readonly args?: readonly string[];
  /** The folder with the settings; one of its own where none is named. */
  readonly home?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly columns?: number;
  readonly rows?: number;
}

/** A folder for the settings of one person, removed at the end. */
export async function homeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "sotto-home-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** See the head of this file. */
export class TerminalProgram implements AsyncDisposable {
  /** Everything that the program has written, as it was. */
  written = "";
  readonly #screen: Terminal;
  readonly #child: Bun.Subprocess;

  /** Starts the client. */
  static start(options: ProgramOptions): TerminalProgram {
    return new TerminalProgram(options);
  }

  private constructor(options: ProgramOptions) {
    const { args = [], home = "/nonexistent", env = {}, columns: cols = 80, rows = 24 } = options;
    this.#screen = new Terminal({ cols, rows, allowProposedApi: true, scrollback: 0 });
    const decoder = new TextDecoder();
    this.#child = Bun.spawn([process.execPath, "src/terminal/main.ts", ...args], {
      cwd: ROOT,
      env: { PATH: process.env["PATH"], HOME: home, TERM: "xterm-256color", TZ: "UTC", ...env },
      terminal: {
        cols,
        rows,
        data: (_terminal, bytes) => {
          this.written += decoder.decode(bytes, { stream: true });
          this.#screen.write(bytes);
        },
      },
    });
  }

  /** The number of the process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** The rows of the screen, without the spaces at their ends. */
  get rows(): readonly string[] {
    const buffer = this.#screen.buffer.active;
    return Array.from({ length: this.#screen.rows }, (_, row) => buffer.getLine(row)?.translateToString(true) ?? "");
  }

  /** The screen as one text. */
  get text(): string {
    return this.rows.join("\n");
  }

  /** Whether the program has the alternate screen. */
  get isFullScreen(): boolean {
    return this.#screen.buffer.active.type === "alternate";
  }

  /** The cells of a row that are not of the standard colour. */
  colouredCells(row: number): number {
    const cells = this.#screen.buffer.active.getLine(row);
    let count = 0;
    for (let column = 0; column < this.#screen.cols; column++) {
      if (cells?.getCell(column)?.isFgDefault() === false) count++;
    }
    return count;
  }

  /** Types a text, as it is. */
  type(text: string): void {
    this.#child.terminal?.write(text);
  }

  /** Types a line and Enter. */
  enter(text: string): void {
    this.type(`${text}\r`);
  }

  /** Makes the window larger or smaller. */
  resize(columns: number, rows: number): void {
    this.#screen.resize(columns, rows);
    this.#child.terminal?.resize(columns, rows);
  }

  /** Closes the window: the terminal goes away. */
  hangUp(): void {
    this.#child.terminal?.close();
  }

  /** Sends a signal. */
  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the screen shows all of these texts. */
  async shows(...texts: readonly (string | RegExp)[]): Promise<void> {
    const isThere = (text: string | RegExp) =>
      typeof text === "string" ? this.text.includes(text) : text.test(this.text);
    await waitUntil(`the screen shows ${texts.join(" and ")}`, () => texts.every(isThere), WAIT_MS).catch(
      (cause: unknown) => {
        throw new Error(`The screen shows something else than ${texts.join(" and ")}:\n${this.text}`, { cause });
      },
    );
  }

  /** Waits until the screen does not show this text. */
  async hides(text: string): Promise<void> {
    await waitUntil(`the screen hides ${text}`, () => !this.text.includes(text), WAIT_MS).catch((cause: unknown) => {
      throw new Error(`The screen still shows ${text}:\n${this.text}`, { cause });
    });
  }

  /** Waits until the screen is another one. */
  async changes(before: string): Promise<void> {
    await waitUntil("the screen changes", () => this.text !== before, WAIT_MS).catch((cause: unknown) => {
      throw new Error(`The screen stays:\n${this.text}`, { cause });
    });
  }

  /** Waits until the screen is as it was before the program; what it wrote last may come after its end. */
  async givesScreenBack(): Promise<void> {
    const isBack = () => !this.isFullScreen && this.written.endsWith("\x1b[?25h");
    await waitUntil("the screen is given back", isBack, WAIT_MS);
  }

  /** Waits until the program ends; gives its exit code. */
  async ends(): Promise<number> {
    await waitUntil(
      "the program ends",
      () => this.#child.exitCode !== null || this.#child.signalCode !== null,
      WAIT_MS,
    );
    return this.#child.exitCode ?? -1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.kill("SIGTERM");
      const forced = setTimeout(() => this.kill("SIGKILL"), STOP_MS);
      await this.#child.exited;
      clearTimeout(forced);
    }
    this.#child.terminal?.close();
    this.#screen.dispose();
  }
}
