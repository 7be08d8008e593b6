/** What a terminal sends when keys are pressed, as keys. Bracketed paste keeps a pasted line end from being Enter. */

/** One key, or a piece of text that was typed or pasted. */
export type Key = { readonly kind: "text"; readonly text: string } | { readonly kind: NamedKey };

/** The keys that have a meaning here. */
export type NamedKey =
  | "enter"
  | "tab"
  | "backspace"
  | "delete"
  | "left"
  | "right"
  | "home"
  | "end"
  | "page_up"
  | "page_down"
  | "erase_line"
  | "erase_word"
  | "redraw"
  | "interrupt"
  | "end_of_input";

const CONTROLS: Readonly<Record<string, NamedKey>> = {
  "\r": "enter",
  "\n": "enter",
  "\t": "tab",
  "\x7f": "backspace",
  "\b": "backspace",
  "\x01": "home",
  "\x02": "left",
  "\x03": "interrupt",
  "\x04": "end_of_input",
  "\x05": "end",
  "\x06": "right",
  "\x0c": "redraw",
  "\x15": "erase_line",
  "\x17": "erase_word",
};

const SEQUENCES: Readonly<Record<string, NamedKey>> = {
  D: "left",
  C: "right",
  H: "home",
  F: "end",
  "1~": "home",
  "7~": "home",
  "4~": "end",
  "8~": "end",
  "3~": "delete",
  "5~": "page_up",
  "6~": "page_down",
};

/** Asks the terminal to mark what is pasted. */
export const PASTE_ON = "\x1b[?2004h";
/** Takes that back. */
export const PASTE_OFF = "\x1b[?2004l";
const PASTE_BEGINS = "200~";
const PASTE_ENDS = "\x1b[201~";
const MOST_HELD = 256 * 1024;

/** Reads keys out of bytes, however they are cut into chunks. */
export class Keyboard {
  readonly #decoder = new TextDecoder();
  #held = "";
  #pasting = false;

  /** The keys that are complete with this chunk. */
  read(bytes: Uint8Array): Key[] {
    this.#held = (this.#held + this.#decoder.decode(bytes, { stream: true })).slice(-MOST_HELD);
    const keys: Key[] = [];
    while (this.#held !== "") {
      const before = this.#held.length;
      const key = this.#pasting ? this.#pasted() : this.#next();
      if (key !== undefined) keys.push(key);
      else if (this.#held.length === before) break; // the rest of a sequence is still to come
    }
    return keys;
  }

  #next(): Key | undefined {
    if (this.#held.startsWith("\x1b")) return this.#sequence();
    const plain = /^[^\p{Cc}]+/u.exec(this.#held)?.[0];
    if (plain !== undefined) {
      this.#held = this.#held.slice(plain.length);
      return { kind: "text", text: plain };
    }
    const control = this.#held.charAt(0);
    this.#held = this.#held.slice(1);
    const kind = CONTROLS[control];
    return kind === undefined ? undefined : { kind };
  }

  /** ESC [ parameters letter, or ESC O letter. Anything else after ESC is a key without a meaning here. */
  #sequence(): Key | undefined {
    if (/^\x1b(\[[\d;?]*|O)?$/.test(this.#held)) return undefined;
    const found = /^\x1b(?:\[([\d;?]*[@-~])|O([@-~])|)/.exec(this.#held);
    this.#held = this.#held.slice(found?.[0].length ?? 1);
    const name = found?.[1] ?? found?.[2] ?? "";
    if (name === PASTE_BEGINS) this.#pasting = true;
    const kind = SEQUENCES[name];
    return kind === undefined ? undefined : { kind };
  }

  #pasted(): Key | undefined {
    const end = this.#held.indexOf(PASTE_ENDS);
    if (end < 0) return undefined;
    const text = this.#held.slice(0, end).replace(/\r\n?/g, "\n");
    this.#held = this.#held.slice(end + PASTE_ENDS.length);
    this.#pasting = false;
    return text === "" ? undefined : { kind: "text", text };
  }
}
