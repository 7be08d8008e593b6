/** The project's TypeScript files, parsed: what the structure checks read. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseSync } from "oxc-parser";

/** A node of the syntax tree (ESTree with TypeScript), as far as the checks look at it. */
export interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [field: string]: unknown;
}

/** A parsed file. */
export interface SourceFile {
  /** From the project's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly body: readonly Node[];
  readonly comments: readonly {
    readonly type: string;
    readonly value: string;
    readonly start: number;
    readonly end: number;
  }[];
}

/** Something that a check found. */
export interface Problem {
  readonly path: string;
  /** From 1; 0 where it is about the whole file. */
  readonly line: number;
  readonly message: string;
}

/** Parses a file; one that cannot be parsed throws, so that no check passes over it. */
export function parseSource(path: string, text: string): SourceFile {
  const { program, comments, errors } = parseSync(path, text);
  const error = errors[0];
  if (error !== undefined) throw new Error(`Mend ${path}: ${error.message}`);
  return { path, text, body: program.body as unknown as Node[], comments };
}

/** Parses every TypeScript file below the given folders. */
export async function readSources(root: string, folders: readonly string[]): Promise<SourceFile[]> {
  const sources: SourceFile[] = [];
  for (const folder of folders) {
    for await (const path of new Bun.Glob(`${folder}/**/*.{ts,tsx}`).scan({ cwd: root })) {
      sources.push(parseSource(path, await readFile(join(root, path), "utf8")));
    }
  }
  return sources.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Visits every node below the given ones, parents first. */
export function* walk(nodes: readonly Node[]): Generator<Node> {
  const stack = nodes.toReversed();
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    yield node;
    const children = Object.values(node).flatMap(nodesIn);
    for (const child of children.reverse()) stack.push(child);
  }
}

function nodesIn(value: unknown): Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn);
  return isNode(value) ? [value] : [];
}

/** Whether a field of a node holds another node. */
export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}

/** A problem at a node. */
export function problemAt(source: SourceFile, at: number, message: string): Problem {
  return { path: source.path, line: source.text.slice(0, at).split("\n").length, message };
}
