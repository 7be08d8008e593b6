/** Texts in columns: how wide they are, and where they are broken. Widths are a terminal's cells. */
import stringWidth from "string-width";

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How a piece of text stands out; the display knows what that looks like, with colours and without. */
export type Tone = "plain" | "dim" | "strong" | "accent" | "warn";

/** A piece of a line. It holds no control characters. */
export interface Span {
  readonly text: string;
  readonly tone?: Tone;
}

/** One line of the screen. */
export type Line = readonly Span[];

/** A line of one tone. */
export function line(text: string, tone: Tone = "plain"): Line {
  return [{ text, tone }];
}

/** What a reader takes for one character each. */
export function graphemesOf(text: string): string[] {
  return Array.from(graphemes.segment(text), ({ segment }) => segment);
}

/** How many cells a text takes. */
export function widthOf(text: string): number {
  return stringWidth(text);
}

/** How many cells a line takes. */
export function widthOfLine(spans: Line): number {
  return spans.reduce((sum, { text }) => sum + widthOf(text), 0);
}

/** The text, cut with `…` where it is wider than `width`. */
export function fit(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let kept = "";
  for (const grapheme of graphemesOf(text)) {
    if (widthOf(kept + grapheme) > width - 1) break;
    kept += grapheme;
  }
  return width < 1 ? "" : `${kept}…`;
}

/** The text with spaces after it, exactly `width` wide. */
export function column(text: string, width: number): string {
  const fitted = fit(text, width);
  return fitted + " ".repeat(Math.max(0, width - widthOf(fitted)));
}

/** A line with its last spans at the right edge; the left part is cut where both do not fit. */
export function spread(left: string, right: Line, width: number): Line {
  const room = width - widthOfLine(right);
  return [{ text: column(left, Math.max(0, room)), tone: "strong" }, ...right];
}

/**
 * Breaks a text into lines of at most `width` cells: at its own line ends, at spaces, and within words that
 * are wider than a line. `first`: cells of the first line that are taken already.
 */
export function wrap(text: string, width: number, first = 0): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let current = "";
    let used = lines.length === 0 ? first : 0;
    const next = () => {
      lines.push(current);
      current = "";
      used = 0;
    };
    for (const word of paragraph.split(/(?<= )/)) {
      const bare = widthOf(word.trimEnd());
      if (used + bare > width && used > 0 && bare <= width) next();
      for (const grapheme of bare > width ? graphemesOf(word) : [word]) {
        const cells = widthOf(grapheme.trimEnd());
        if (used > 0 && used + cells > width) next();
        current += grapheme;
        used += widthOf(grapheme);
      }
    }
    next();
  }
  return lines.map((each) => each.trimEnd());
}
