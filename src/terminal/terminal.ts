/**
 * The terminal, taken over and given back. It owns the alternate screen, raw mode and the size; a {@link Page}
 * has them for a time.
 *
 * - Whatever happens the terminal is given back: dispose is idempotent, and `exit` handlers call it too.
 * - The picture has one row less than the screen: ink would clear a full one at each change, which flickers.
 */
import { type Instance, render } from "ink";
import type { Page, Size } from "./frame.ts";
import { frameView } from "./frame_view.ts";
import { Keyboard, PASTE_OFF, PASTE_ON } from "./keyboard.ts";

/** Where the person sits. */
export interface TerminalOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  readonly colours: boolean;
  /** The terminal went away: its window was closed, or its connection was lost. */
  readonly lost: () => void;
}

const TAKE = `\x1b[?1049h\x1b[2J\x1b[H${PASTE_ON}`;
const GIVE_BACK = `${PASTE_OFF}\x1b[?1049l\x1b[?25h`;
const GOING_AWAY = ["end", "close", "error"] as const;
const CLEAR = "\x1b[2J\x1b[H";
/** Rows that are not the body's: title, two rules, status, prompt, and the one that stays empty. */
const FURNITURE = 6;
const LEAST: Size = { columns: 30, rows: 3 };

/** See the head of this file. */
export class Terminal implements Disposable {
  readonly #options: TerminalOptions;
  readonly #keyboard = new Keyboard();
  #ink: Instance | undefined;
  #page: Page | undefined;
  #taken = true;
  readonly #typed = (bytes: Uint8Array) => {
    for (const key of this.#keyboard.read(bytes)) {
      if (key.kind === "redraw") this.#clear();
      else this.#page?.press(key);
    }
    this.redraw();
  };
  readonly #resized = () => {
    this.#clear();
    this.redraw();
  };
  readonly #exiting = () => this[Symbol.dispose]();
  readonly #lost = () => this.#options.lost();

  constructor(options: TerminalOptions) {
    this.#options = options;
    const { input, output } = options;
    for (const name of GOING_AWAY) input.on(name, this.#lost);
    output.on("error", this.#lost);
    output.write(TAKE);
    input.setRawMode(true);
    input.on("data", this.#typed);
    output.on("resize", this.#resized);
    process.on("exit", this.#exiting);
  }

  /** Gives the screen and the keyboard to a page. */
  show(page: Page): void {
    this.#page = page;
    this.redraw();
  }

  /** Draws the page as it is now. */
  redraw(): void {
    if (!this.#taken || this.#page === undefined) return;
    const { columns = 80, rows = 24 } = this.#options.output;
    const size = { columns: Math.max(columns, LEAST.columns), rows: Math.max(rows - FURNITURE, LEAST.rows) };
    const options = { columns: size.columns, bodyRows: size.rows, colours: this.#options.colours };
    const view = frameView(this.#page.render(size), options);
    if (this.#ink !== undefined) return this.#ink.rerender(view);
    const { input: stdin, output: stdout } = this.#options;
    this.#ink = render(view, { stdin, stdout, exitOnCtrlC: false, patchConsole: false });
  }

  [Symbol.dispose](): void {
    if (!this.#taken) return;
    this.#taken = false;
    const { input, output } = this.#options;
    process.off("exit", this.#exiting);
    output.off("resize", this.#resized);
    input.off("data", this.#typed);
    // One that went away cannot be given back.
    try {
      this.#ink?.unmount();
      input.setRawMode(false);
      input.pause();
      output.write(GIVE_BACK);
    } catch {}
  }

  /** After this ink erases from the top, which is where the picture begins. */
  #clear(): void {
    this.#options.output.write(CLEAR);
  }
}
