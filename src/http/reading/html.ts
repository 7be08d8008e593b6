/** HTML made of pieces: text is escaped, what was made here is not. */

/** A piece of HTML. */
export interface Html {
  readonly html: string;
}

/** What may stand in a template: text, HTML, several of these, or nothing. */
export type Piece = string | number | Html | undefined | readonly Piece[];

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** The tag of templates. Attributes stand in double quotes. */
export function html(texts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return { html: texts.map((text, index) => (index === 0 ? "" : written(pieces[index - 1])) + text).join("") };
}

/** A sentence of a description: what is between backticks is code. */
export function prose(text: string): Html {
  const parts = text.split("`");
  return html`${parts.map((part, index) => (index % 2 === 0 ? part : html`<code>${part}</code>`))}`;
}

/** Pieces with something between them. */
export function joined(pieces: readonly Piece[], between: Piece = ", "): Html {
  return html`${pieces.map((piece, index) => (index === 0 ? piece : [between, piece]))}`;
}

function written(piece: Piece): string {
  if (piece === undefined) return "";
  if (typeof piece === "object") return "html" in piece ? piece.html : piece.map(written).join("");
  return String(piece).replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? "");
}
