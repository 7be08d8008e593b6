/** Looks for texts in every file of a folder, byte by byte, in every way they may be written down. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What a search found. */
export interface SearchResult {
  readonly files: number;
  readonly bytes: number;
  /** Files that hold one of the texts, relative to the folder. */
  readonly hits: readonly string[];
}

/**
 * Searches a folder with everything below it. A file that goes away meanwhile is passed over (Postgres
 * renames its own); any other that cannot be read is an error, else it could hide something.
 */
export async function searchFolder(folder: string, texts: readonly string[]): Promise<SearchResult> {
  const forms = texts.flatMap(formsOf);
  const hits: string[] = [];
  let files = 0;
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
    if (content === null) continue;
    files++;
    bytes += content.length;
    if (forms.some((form) => content.includes(form))) hits.push(path.slice(folder.length + 1));
  }
  return { files, bytes, hits };
}

/** Whether a text holds one of the others in any form. */
export function holdsAny(text: string, texts: readonly string[]): boolean {
  const content = Buffer.from(text);
  return texts.flatMap(formsOf).some((form) => content.includes(form));
}

/** A text as UTF-8, as UTF-16, in hexadecimal, and inside base64 at each of its three alignments. */
function formsOf(text: string): Buffer[] {
  const utf8 = Buffer.from(text);
  const base64 = [0, 1, 2].flatMap((shift) => {
    const padded = Buffer.concat([Buffer.alloc(shift), utf8]);
    // The first and last characters also hold bits of the neighbours.
    return (["base64", "base64url"] as const).map((kind) =>
      padded
        .toString(kind)
        .replaceAll("=", "")
        .slice(shift === 0 ? 0 : shift + 1, -1),
    );
  });
  const hex = utf8.toString("hex");
  const written = new Set([...base64, hex, hex.toUpperCase()]);
  return [utf8, Buffer.from(text, "utf16le"), ...Array.from(written, (form) => Buffer.from(form))];
}
