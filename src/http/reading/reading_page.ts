/**
 * A long page to read: contents at the side, groups of entries, refusals at the end. It has no script and
 * loads nothing: its styles are in it, and the policy lets no others in.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { type Html, html, type Piece, prose } from "./html.ts";

/** What a page shows. */
export interface Reading {
  readonly title: string;
  readonly version: string;
  readonly summary: string;
  /** Other pages, relative to this one. */
  readonly links: Readonly<Record<string, string>>;
  readonly groups: readonly ReadingGroup[];
  readonly errors: Errors;
}

/** What belongs together. */
export interface ReadingGroup {
  /** Its anchor. */
  readonly id: string;
  readonly title: string;
  readonly intro?: Piece;
  readonly entries: readonly ReadingEntry[];
}

/** A route, or a frame. */
export interface ReadingEntry {
  readonly id: string;
  /** A method, or who sends it. */
  readonly label: string;
  readonly name: string;
  readonly summary: string;
  readonly parts: readonly ReadingPart[];
}

/** A part of an entry. */
export interface ReadingPart {
  readonly title: string;
  readonly body: Html;
}

/** Refusals by code. */
export type Errors = Readonly<
  Record<string, { readonly status: number; readonly retryable: boolean; readonly message: string }>
>;

/** A page and the Content-Security-Policy that goes with it. */
export interface WrittenPage {
  readonly html: string;
  readonly policy: string;
}

const STYLES = new URL("reading_page.css", import.meta.url);

/** Writes a page. */
export async function writePage(reading: Reading): Promise<WrittenPage> {
  const styles = await readFile(STYLES, "utf8");
  const { title, version, groups } = reading;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${{ html: styles }}</style>
</head>
<body>
<nav aria-label="Contents">${contents(reading)}</nav>
<main>
<header><h1>${title}</h1><p>Version ${version}. ${prose(reading.summary)}</p></header>
${groups.map(writeGroup)}
${errorsTable(reading.errors)}
</main>
</body>
</html>
`;
  const hash = createHash("sha256").update(styles).digest("base64");
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  return { html: page.html, policy };
}

/** A code of a refusal, which leads to what it means. */
export function errorLink(code: string): Html {
  return html`<a href="#error-${code}"><code>${code}</code></a>`;
}

/** Something as JSON. */
export function jsonExample(value: unknown): Html {
  return html`<pre><code>${JSON.stringify(value, null, 2)}</code></pre>`;
}

function contents({ links, groups }: Reading): Html {
  return html`<p class="links">${Object.entries(links).map(([name, address]) => html`<a href="${address}">${name}</a>`)}</p>
${groups.map(
  ({ id, title, entries }) => html`<details open><summary><a href="#${id}">${title}</a></summary><ol>
${entries.map((entry) => html`<li><a href="#${entry.id}"><b class="label ${entry.label.toLowerCase()}">${entry.label}</b> ${entry.name}</a></li>\n`)}</ol></details>`,
)}
<p><a href="#errors">Refusals</a></p>`;
}

function writeGroup({ id, title, intro, entries }: ReadingGroup): Html {
  return html`<section id="${id}"><h2>${title}</h2>${intro}${entries.map(writeEntry)}</section>\n`;
}

function writeEntry({ id, label, name, summary, parts }: ReadingEntry): Html {
  return html`<article id="${id}">
<h3><a href="#${id}"><b class="label ${label.toLowerCase()}">${label}</b> <code>${name}</code></a></h3>
<p>${prose(summary)}.</p>
${parts.map(({ title, body }) => html`<h4>${title}</h4>${body}`)}
</article>\n`;
}

function errorsTable(errors: Errors): Html {
  const rows = Object.entries(errors).map(
    ([code, { status, retryable, message }]) =>
      html`<tr id="error-${code}"><td><code>${code}</code></td><td>${status}</td><td>${prose(message)}${retryable ? html` <span class="optional">may be tried again</span>` : undefined}</td></tr>\n`,
  );
  return html`<section id="errors"><h2>Refusals</h2><table><thead><tr><th>code</th><th>status over HTTP</th><th>what to do</th></tr></thead><tbody>${rows}</tbody></table></section>`;
}
