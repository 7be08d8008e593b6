/**
 * Every numbered rule of the protocol has a test that names it in its title, and no title names a
 * rule that there is not. Rules are the bullets `**MSG-1**` of SPEC.md; a title names them in
 * brackets at its end, as in `message is answered by a receipt [MSG-1]` or `… [MSG-1, ACK-2]`.
 */
import { isNode, type Node, type Problem, problemAt, type SourceFile, walk } from "./source_files.ts";

/** Where the rules stand. */
export const SPEC = "src/protocol/SPEC.md";
const RULE = /^- \*\*([A-Z]+-\d+)\*\*/;
const MARK = /\[([A-Z]+-\d+(?:, [A-Z]+-\d+)*)\]$/;

/** Checks the rules of a specification against the titles of the tests among the sources. */
export function checkSpec(spec: string, sources: readonly SourceFile[]): Problem[] {
  const lines = new Map<string, number>();
  const problems: Problem[] = [];
  for (const [index, text] of spec.split("\n").entries()) {
    const rule = RULE.exec(text)?.[1];
    if (rule === undefined) continue;
    if (lines.has(rule))
      problems.push({ path: SPEC, line: index + 1, message: `Number each rule once: ${rule} stands twice` });
    lines.set(rule, index + 1);
  }
  if (lines.size === 0) problems.push({ path: SPEC, line: 0, message: "Number the rules: none was found" });
  const named = new Set<string>();
  for (const source of sources.filter(({ path }) => path.endsWith(".test.ts"))) {
    for (const { rule, at } of rulesNamedIn(source)) {
      named.add(rule);
      if (!lines.has(rule)) problems.push(problemAt(source, at, `Name a rule of ${SPEC}: ${rule} is none`));
    }
  }
  for (const [rule, line] of lines) {
    if (!named.has(rule)) problems.push({ path: SPEC, line, message: `Write a test for ${rule}: no title names it` });
  }
  return problems;
}

function* rulesNamedIn(source: SourceFile): Generator<{ readonly rule: string; readonly at: number }> {
  for (const node of walk(source.body)) {
    if (node.type !== "CallExpression" || !isTest(node["callee"])) continue;
    const title = textOf(Array.isArray(node["arguments"]) ? node["arguments"][0] : undefined);
    for (const rule of MARK.exec(title.trimEnd())?.[1]?.split(", ") ?? []) yield { rule, at: node.start };
  }
}

/** `test(…)`, and `test.if(…)(…)` or `test.each(…)(…)`; a skipped test shows nothing. */
function isTest(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  if (callee.type === "Identifier") return callee["name"] === "test";
  if (callee.type === "CallExpression") return isTest(callee["callee"]);
  return (
    callee.type === "MemberExpression" &&
    !["skip", "todo"].includes(nameOf(callee["property"])) &&
    isTest(callee["object"])
  );
}

function nameOf(node: unknown): string {
  return isNode(node) && typeof node["name"] === "string" ? node["name"] : "";
}

/** The text of a string or template, as it ends; what is put in is left out. */
function textOf(node: unknown): string {
  if (!isNode(node)) return "";
  if (node.type === "Literal") return String(node["value"]);
  if (node.type !== "TemplateLiteral" || !Array.isArray(node["quasis"])) return "";
  return node["quasis"].map((part: Node) => (part["value"] as { raw: string }).raw).join("");
}
