/**
 * Entries of a log as lines, and the part of them that a screen shows. Nobody can write what looks like the
 * head of a line: what follows is indented.
 */
import { cleanText } from "./clean_text.ts";
import { clockText, dayText } from "./clock_text.ts";
import { fit, type Line, line, type Span, type Tone, widthOf, widthOfLine, wrap } from "./text_layout.ts";

/** The last lines of a log. */
export interface LogLines {
  readonly lines: readonly Line[];
  /** Whether nothing of what is known is left out above. */
  readonly isWhole: boolean;
}

/** What is laid out around the entries, and how many lines are wanted. */
export interface LayOutOptions {
  /** Lines above the first entry. */
  readonly above: readonly Line[];
  /** Lines below the last one. */
  readonly below: readonly Line[];
  readonly count: number;
  readonly width: number;
}

/** What a part of the body shows, and how far one could scroll in it. */
export interface Part {
  readonly lines: readonly Line[];
  readonly mostScroll: number;
}

const INDENT = 6;
/** Cells of a name before a message. */
const MOST_OF_A_NAME = 24;

/** At least `count` lines from the end, where there are as many: entries, and a line wherever a day begins. */
export function layOut<T extends { readonly at: number }>(
  items: readonly T[],
  linesOf: (item: T) => readonly Line[],
  options: LayOutOptions,
): LogLines {
  // From below upwards: of a long log only the end is laid out.
  const blocks: (readonly Line[])[] = [options.below];
  let laidOut = options.below.length;
  for (const [at, item] of [...items.entries()].reverse()) {
    if (laidOut >= options.count) return { lines: blocks.toReversed().flat(), isWhole: false };
    const before = items[at - 1];
    const isNewDay = before === undefined || dayText(before.at) !== dayText(item.at);
    const block = [...(isNewDay ? [dayLine(item.at, options.width)] : []), ...linesOf(item)];
    blocks.push(block);
    laidOut += block.length;
  }
  return { lines: [...options.above, ...blocks.toReversed().flat()], isWhole: true };
}

/** What of a log is in sight; it ends at the bottom, and scrolled is upwards. */
export function partOf(
  { lines, isWhole }: LogLines,
  { scroll, rows }: { readonly scroll: number; readonly rows: number },
): Part {
  const end = Math.max(lines.length - scroll, Math.min(rows, lines.length));
  const shown = lines.slice(Math.max(0, end - rows), end);
  const mostScroll = isWhole ? Math.max(0, lines.length - rows) : scroll + rows;
  return { lines: [...blank(rows - shown.length), ...shown], mostScroll };
}

/** Empty lines. */
export function blank(count: number): Line[] {
  return Array.from({ length: Math.max(0, count) }, () => []);
}

/** Time and name before a message. Without a time it is not in the log yet. */
export function headOf(name: string, options: { readonly at: number | null; readonly isOwn: boolean }): Line {
  const clock = options.at === null ? " ... " : clockText(options.at);
  return [
    { text: `${clock} `, tone: "dim" },
    { text: `${fit(name, MOST_OF_A_NAME)} `, tone: options.isOwn ? "accent" : "strong" },
  ];
}

/** What nobody said, indented and with a dash. */
export function remark(text: string, width: number, tone: Tone): Line[] {
  return indented(`— ${text}`, width, tone);
}

/** Lines below a message that belong to it. */
export function indented(text: string, width: number, tone: Tone): Line[] {
  return wrap(text, width - INDENT).map((each) => line(" ".repeat(INDENT) + each, tone));
}

/** A head, the text after it, and the lines that follow indented: nobody can write what looks like a head. */
export function textLines(
  head: Line,
  body: { readonly text: string; readonly width: number; readonly tone?: Tone; readonly tail?: Span },
): Line[] {
  const { width, tone = "plain", tail } = body;
  const taken = widthOfLine(head) - INDENT;
  const wrapped = wrap(cleanText(body.text), width - INDENT, taken);
  const lines = wrapped.map((text, row): Span[] =>
    row === 0 ? [...head, { text, tone }] : [{ text: " ".repeat(INDENT) }, { text, tone }],
  );
  const last = lines.at(-1);
  if (tail === undefined || last === undefined) return lines;
  const used = widthOfLine(last);
  const mark = { text: fit(`  · ${tail.text}`, width - INDENT), tone: tail.tone ?? "dim" };
  if (used + widthOf(mark.text) <= width) last.push(mark);
  else lines.push([{ text: " ".repeat(INDENT) }, mark]);
  return lines;
}

function dayLine(at: number, width: number): Line {
  const text = ` ${dayText(at)} `;
  const side = "─".repeat(Math.max(0, Math.floor((width - text.length) / 2)));
  return line(fit(`${side}${text}${side}`, width), "dim");
}
