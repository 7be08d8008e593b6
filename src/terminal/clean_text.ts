/**
 * What others wrote, made fit for a terminal. A terminal obeys what it is sent: an escape sequence in a name
 * could move the cursor, colour the screen or change the window's title, and an override of the writing
 * direction could make a text read as another one.
 */

/** Directions, invisible spaces, tags and the like; the two joiners are left, for scripts and emoji need them. */
const INVISIBLE = /(?![\u200c\u200d])[\p{Cf}\p{Zl}\p{Zp}]/gu;
const CONTROL = /[\p{Cc}\p{Cs}]/gu;
const STACKED_MARKS = /(\p{M}{4})\p{M}+/gu;
const MOST_OF_A_NAME = 50;

/** A text of several lines: controls become a visible `�`, and what changes the direction is left out. */
export function cleanText(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) =>
      line.replaceAll("\t", "    ").replace(CONTROL, "\ufffd").replace(INVISIBLE, "").replace(STACKED_MARKS, "$1"),
    )
    .join("\n");
}

/** A text of one line, as a name is: cut where it is longer than a name may be. */
export function cleanName(name: string): string {
  const clean = [...cleanText(name).replaceAll("\n", " ")].slice(0, MOST_OF_A_NAME).join("").trim();
  return clean === "" ? "(no name)" : clean;
}
