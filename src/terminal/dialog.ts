/** Questions one after the other, before there is a conversation. Answers that are secret are shown as dots. */
import type { Frame, Page, Size } from "./frame.ts";
import type { Key } from "./keyboard.ts";
import { LineEditor } from "./line_editor.ts";
import { fit, type Line, line, type Tone, wrap } from "./text_layout.ts";

/** The person ended the program while it waited for an answer. */
export class DialogEnded extends Error {
  override readonly name = "DialogEnded";
}

/** How a question is asked. */
export interface Question {
  /** What Enter alone answers. */
  readonly standard?: string;
  readonly secret?: boolean;
}

/** A page that asks. */
export class Dialog implements Page {
  readonly #redraw: () => void;
  readonly #editor = new LineEditor();
  readonly #said: { readonly text: string; readonly tone: Tone }[] = [];
  #asked: ({ readonly label: string; readonly answer: PromiseWithResolvers<string> } & Question) | undefined;
  #ended = false;

  constructor(redraw: () => void) {
    this.#redraw = redraw;
  }

  /** Says something, below what was said before. */
  say(text: string, tone: Tone = "plain"): void {
    this.#said.push({ text, tone });
    this.#redraw();
  }

  /** Asks, and waits for Enter. Rejects with {@link DialogEnded}. */
  ask(label: string, question: Question = {}): Promise<string> {
    const answer = Promise.withResolvers<string>();
    this.#asked = { ...question, label, answer };
    this.#editor.text = "";
    if (this.#ended) answer.reject(new DialogEnded());
    this.#redraw();
    return answer.promise;
  }

  /** Asks until the answer is one of these words, or the beginning of one. */
  async choose<T extends string>(label: string, words: readonly T[]): Promise<T> {
    for (;;) {
      const answer = (await this.ask(label)).trim().toLowerCase();
      const found = words.find((word) => answer !== "" && word.startsWith(answer));
      if (found !== undefined) return found;
      this.say(`Type ${words.join(" or ")}`, "warn");
    }
  }

  render(size: Size): Frame {
    const body = this.#said.flatMap(({ text, tone }): Line[] =>
      wrap(text, size.columns - 2).map((each) => line(`  ${each}`, tone)),
    );
    const label = this.#asked === undefined ? "" : `${fit(this.#asked.label, size.columns - 20)} `;
    return {
      title: line("Sotto", "strong"),
      body: body.slice(-size.rows),
      status: line("Ctrl-C ends", "dim"),
      prompt: { label, typed: this.#editor.visible(size.columns - label.length - 1, this.#asked?.secret) },
    };
  }

  press(key: Key): void {
    if (key.kind === "interrupt" || (key.kind === "end_of_input" && this.#editor.text === "")) return this.#end();
    if (key.kind !== "enter") return void this.#editor.press(key);
    const asked = this.#asked;
    if (asked === undefined) return;
    const text = this.#editor.text === "" ? (asked.standard ?? "") : this.#editor.text;
    if (text === "") return;
    this.#asked = undefined;
    this.#editor.text = "";
    this.#said.push({ text: `${asked.label} ${asked.secret === true ? "•".repeat(8) : text}`, tone: "dim" });
    asked.answer.resolve(text);
  }

  #end(): void {
    this.#ended = true;
    this.#asked?.answer.reject(new DialogEnded());
  }
}
