/** Every export of src has a doc comment (JSDoc) right before it; re-exports take the one at their origin. */
import { isNode, type Node, type Problem, problemAt, type SourceFile } from "./source_files.ts";

/** Checks the files below src. */
export function checkDocs(sources: readonly SourceFile[]): Problem[] {
  return sources.filter(({ path }) => path.startsWith("src/")).flatMap(undocumented);
}

function undocumented(source: SourceFile): Problem[] {
  const documented = new Set<string>();
  const problems: Problem[] = [];
  for (const [index, node] of source.body.entries()) {
    const before = source.body[index - 1];
    const has = hasDoc(source, node, before?.end ?? 0, index === 0);
    const declaration = isNode(node["declaration"]) ? node["declaration"] : node;
    // Overloads and a type of the same name as a value share the first one's comment.
    for (const name of namesOf(declaration)) if (has) documented.add(name);
    if (!node.type.startsWith("Export")) continue;
    for (const name of exportedNames(node)) {
      if (!documented.has(name))
        problems.push(problemAt(source, node.start, `Say what ${name} is, in a /** comment */ before it`));
    }
  }
  return problems;
}

function hasDoc(source: SourceFile, node: Node, after: number, first: boolean): boolean {
  const comments = source.comments.filter(
    ({ type, value, start, end }) => type === "Block" && value.startsWith("*") && start >= after && end <= node.start,
  );
  const last = comments.at(-1);
  if (last === undefined || source.text.slice(last.end, node.start).trim() !== "") return false;
  // A comment alone at the head of a file belongs to the file, unless it touches the declaration.
  const isHead = first && comments.length === 1 && /\n\s*\n/.test(source.text.slice(last.end, node.start));
  return !isHead && /[a-z]{2}/i.test(last.value);
}

function exportedNames(node: Node): string[] {
  if (node.type === "ExportAllDeclaration") return [];
  if (node.type === "ExportDefaultDeclaration") return ["default"];
  if (isNode(node["declaration"])) return namesOf(node["declaration"]);
  if (node["source"] !== null) return [];
  return nodes(node["specifiers"]).flatMap((specifier) =>
    isNode(specifier["local"]) ? [String(specifier["local"]["name"])] : [],
  );
}

function namesOf(node: Node): string[] {
  if (node.type === "VariableDeclaration")
    return nodes(node["declarations"]).flatMap((each) => (isNode(each["id"]) ? patternNames(each["id"]) : []));
  return isNode(node["id"]) ? patternNames(node["id"]) : [];
}

function patternNames(pattern: Node): string[] {
  if (typeof pattern["name"] === "string") return [pattern["name"]];
  return nodes(pattern["properties"])
    .concat(nodes(pattern["elements"]))
    .flatMap((part) => {
      const inner = part["value"] ?? part["argument"] ?? part;
      return isNode(inner) && inner !== pattern ? patternNames(inner) : [];
    });
}

function nodes(value: unknown): Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}
