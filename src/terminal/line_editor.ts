/** The line that is being typed. */
import { cleanText } from "./clean_text.ts";
import type { Key } from "./keyboard.ts";
import { graphemesOf, widthOf } from "./text_layout.ts";

/** What the screen shows of the line: the part around the cursor that fits. */
export interface Visible {
  readonly before: string;
  /** The character under the cursor; a space at the end. */
  readonly under: string;
  readonly after: string;
}

const MOST = 40_000;

/** Keeps a text and a place in it, counted in what a reader takes for one character. */
export class LineEditor {
  #left: string[] = [];
  #right: string[] = [];

  /** The whole text. */
  get text(): string {
    return [...this.#left, ...this.#right].join("");
  }

  /** Replaces the text; the cursor goes to its end. */
  set text(text: string) {
    this.#left = graphemesOf(cleanText(text)).slice(0, MOST);
    this.#right = [];
  }

  /** Takes a key; false for one that does not change the line or the place in it. */
  press(key: Key): boolean {
    switch (key.kind) {
      case "text":
        this.#insert(key.text);
        return true;
      case "backspace":
        return this.#left.pop() !== undefined;
      case "delete":
        return this.#right.shift() !== undefined;
      case "left":
      case "right":
        return this.#step(key.kind);
      case "home":
        this.#right.unshift(...this.#left.splice(0));
        return true;
      case "end":
        this.#left.push(...this.#right.splice(0));
        return true;
      case "erase_line":
        this.#left = [];
        return true;
      case "erase_word":
        this.#left = graphemesOf(this.#left.join("").replace(/\S*\s*$/u, ""));
        return true;
      default:
        return false;
    }
  }

  /** What is shown of it in `width` cells; `masked` shows a dot for each character. */
  visible(width: number, masked = false): Visible {
    const shown = (grapheme: string) => (masked ? "•" : grapheme.replaceAll("\n", "⏎"));
    const under = shown(this.#right[0] ?? " ");
    let room = width - widthOf(under);
    const before: string[] = [];
    for (const grapheme of this.#left.toReversed()) {
      room -= widthOf(shown(grapheme));
      if (room < 0) break;
      before.unshift(shown(grapheme));
    }
    let after = "";
    for (const grapheme of this.#right.slice(1)) {
      room -= widthOf(shown(grapheme));
      if (room < 0) break;
      after += shown(grapheme);
    }
    return { before: before.join(""), under, after };
  }

  #insert(text: string): void {
    const joined = graphemesOf(this.#left.join("") + cleanText(text));
    this.#left = joined.slice(0, MOST - this.#right.length);
  }

  #step(direction: "left" | "right"): boolean {
    const moved = direction === "left" ? this.#left.pop() : this.#right.shift();
    if (moved === undefined) return false;
    if (direction === "left") this.#right.unshift(moved);
    else this.#left.push(moved);
    return true;
  }
}
