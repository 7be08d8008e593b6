/** A frame as ink components. Lines arrive broken and cleaned: here they only get their looks. */
import { Box, Text } from "ink";
import { createElement, type ReactElement } from "react";
import type { Frame } from "./frame.ts";
import type { Line, Tone } from "./text_layout.ts";

/** What ink's `Text` is told for a tone. */
type Looks = Readonly<Record<string, string | boolean>>;

const COLOURED: Readonly<Record<Tone, Looks>> = {
  plain: {},
  dim: { dimColor: true },
  strong: { bold: true },
  accent: { color: "cyan" },
  warn: { color: "yellow" },
};

/** Without colours weight alone tells. */
const PLAIN: Readonly<Record<Tone, Looks>> = {
  plain: {},
  dim: {},
  strong: { bold: true },
  accent: { bold: true },
  warn: { bold: true },
};

/** What {@link frameView} needs beside the frame. */
export interface FrameViewOptions {
  readonly columns: number;
  readonly bodyRows: number;
  readonly colours: boolean;
}

/** The whole screen: title, rule, body, rule, status, prompt. */
export function frameView(frame: Frame, options: FrameViewOptions): ReactElement {
  const looks = options.colours ? COLOURED : PLAIN;
  const rule: Line = [{ text: "─".repeat(options.columns), tone: "dim" }];
  const body = Array.from({ length: options.bodyRows }, (_, row) => frame.body[row] ?? []);
  const { label, typed } = frame.prompt;
  return createElement(
    Box,
    { flexDirection: "column", width: options.columns },
    ...[frame.title, rule, ...body, rule, frame.status].map((each) => lineView(each, looks)),
    createElement(
      Text,
      { wrap: "truncate-end" },
      createElement(Text, looks.accent, label),
      typed.before,
      createElement(Text, { inverse: true }, typed.under),
      typed.after,
    ),
  );
}

function lineView(spans: Line, looks: Readonly<Record<Tone, Looks>>): ReactElement {
  // An empty Text would take no row.
  const shown = spans.length === 0 ? [{ text: " " }] : spans;
  return createElement(
    Text,
    { wrap: "truncate-end" },
    ...shown.map(({ text, tone = "plain" }) => createElement(Text, looks[tone], text)),
  );
}
