/** What the screen consists of, and who fills it. */
import type { Key } from "./keyboard.ts";
import type { Visible } from "./line_editor.ts";
import type { Line } from "./text_layout.ts";

/** The room for a frame's body, in cells. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** One picture of the screen: a title, the body, a status line, and the line that is typed. */
export interface Frame {
  readonly title: Line;
  /** At most `rows` lines, each at most `columns` wide. */
  readonly body: readonly Line[];
  readonly status: Line;
  readonly prompt: { readonly label: string; readonly typed: Visible };
}

/** What has the screen and the keyboard for a time. */
export interface Page {
  render(size: Size): Frame;
  press(key: Key): void;
}
