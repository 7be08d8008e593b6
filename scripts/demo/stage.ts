/** What the demo shows on the terminal. A claim is printed only after it was checked. */

/** A claim that turned out not to be true. */
export class ClaimFailed extends Error {
  override readonly name = "ClaimFailed";
}

/** What waits for something, and for how long it may: milliseconds. */
export interface WaitOptions {
  readonly what: string;
  readonly ms: number;
}

/** Writes steps, claims and quotations; counts the claims. */
export class Stage {
  readonly #write: (text: string) => void;
  readonly #colours: boolean;
  #steps = 0;
  #claims = 0;

  /** Colours only on a terminal, and not where NO_COLOR asks for none (no-color.org). */
  constructor(output: { readonly isTTY?: boolean; write(text: string): unknown }, noColor: string | undefined) {
    this.#write = (text) => void output.write(text);
    this.#colours = output.isTTY === true && !noColor;
  }

  /** How many claims were checked. */
  get claims(): number {
    return this.#claims;
  }

  /** The first line. */
  title(text: string): void {
    this.#write(`\n${this.#paint(text, "1")}\n`);
  }

  /** Begins a step of the story. */
  step(text: string): void {
    this.#write(`\n${this.#paint(`${++this.#steps}  ${text}`, "1")}\n`);
  }

  /** Checks a claim and prints it; throws {@link ClaimFailed} where it does not hold. */
  claim(text: string, holds: boolean): void {
    if (!holds) throw new ClaimFailed(text);
    this.#claims++;
    this.#write(
      wrap(text)
        .map((line, i) => `   ${i === 0 ? this.#paint("✓", "32") : " "} ${line}\n`)
        .join(""),
    );
  }

  /** Shows what was found, cut to the width of the terminal. */
  quote(lines: readonly string[]): void {
    for (const line of lines)
      this.#write(`     ${this.#paint(line.length > 74 ? `${line.slice(0, 73)}…` : line, "2")}\n`);
  }

  /** The last line. */
  end(text: string): void {
    this.#write(`\n${this.#paint(text, "1;32")}\n\n`);
  }

  /** The claim that failed, or what else went wrong. */
  failed(text: string): void {
    this.#write(`   ${this.#paint("✗", "31")} ${text}\n\n`);
  }

  #paint(text: string, code: string): string {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}

/** Waits until a condition holds; throws {@link ClaimFailed} when it takes too long. */
export async function until(holds: () => boolean | Promise<boolean>, { what, ms }: WaitOptions): Promise<void> {
  const deadline = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new ClaimFailed(`${what} (waited ${ms / 1_000} s)`);
    await Bun.sleep(20);
  }
}

/** Breaks a sentence at spaces so that it fits beside the check mark on 80 columns. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length >= 74) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
