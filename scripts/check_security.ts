/**
 * The security lint that reads meaning, beside Biome's: patterns that have no place in a server
 * which holds other people's messages. `// security: why` on the line before lets one stand.
 */
import { isNode, type Node, type Problem, problemAt, type SourceFile, walk } from "./source_files.ts";

interface Rule {
  readonly message: string;
  readonly matches: (node: Node, source: SourceFile) => boolean;
}

/** Elsewhere chance only spreads load. */
const MAKES_SECRETS = /^src\/(accounts|keys|http|compat|platform)\//;

const RULES: readonly Rule[] = [
  { message: "Do not build code from text", matches: (node) => calls(node, /^(eval|Function)$/) },
  {
    message: "Give program and arguments apart, without a shell",
    matches: (node) => calls(node, /^(exec|execSync)$/) || hasOption(node, "shell", true),
  },
  { message: "Verify certificates", matches: (node) => hasOption(node, "rejectUnauthorized", false) },
  {
    message: "Use SHA-256 or better",
    matches: (node) =>
      calls(node, /^(createHash|createHmac|CryptoHasher)$/) &&
      /^(md4|md5|sha1|sha-1)$/i.test(literal(argument(node, 0))),
  },
  {
    message: "Use an authenticated cipher",
    matches: (node) => calls(node, /^create(C|Dec)ipheriv$/) && !/gcm|ccm|poly1305/i.test(literal(argument(node, 0))),
  },
  {
    message: "Build patterns from literals, or escape what goes in",
    matches: (node) => calls(node, /^RegExp$/) && argument(node, 0)?.type !== "Literal",
  },
  { message: "Pass values as parameters, never inside the statement", matches: joinsSql },
  {
    message: "Use crypto: what is made here must not be guessed",
    matches: (node, { path }) => MAKES_SECRETS.test(path) && calls(node, /^random$/, "Math"),
  },
  { message: "Compare secrets with timingSafeEqual", matches: comparesSecrets },
  {
    message: "Do not merge what came from outside into a prototype",
    matches: (node) => literal(node) === "" && isMember(node, "__proto__"),
  },
];

/** Checks the files below src. */
export function checkSecurity(sources: readonly SourceFile[]): Problem[] {
  return sources
    .filter(({ path }) => path.startsWith("src/"))
    .flatMap((source) => {
      const problems: Problem[] = [];
      for (const node of walk(source.body)) {
        for (const rule of RULES) {
          if (rule.matches(node, source) && !isExcused(source, node))
            problems.push(problemAt(source, node.start, rule.message));
        }
      }
      return problems;
    });
}

/** The reason may stand up to three lines above, for a statement may begin there. */
function isExcused(source: SourceFile, node: Node): boolean {
  const above = source.text.slice(0, node.start).split("\n").slice(-4).join("\n");
  return /\/\/ security: \S/.test(above);
}

function calls(node: Node, name: RegExp, object?: string): boolean {
  if (node.type !== "CallExpression" && node.type !== "NewExpression") return false;
  const callee = node["callee"];
  if (!isNode(callee)) return false;
  if (callee.type === "Identifier") return object === undefined && name.test(String(callee["name"]));
  if (callee.type !== "MemberExpression" || !isNode(callee["property"]) || !isNode(callee["object"])) return false;
  const owner = String(callee["object"]["name"] ?? "");
  // pattern.exec(text) is a method of its own.
  if (object === undefined)
    return /^(Bun|child_process|crypto|globalThis)$/.test(owner) && name.test(String(callee["property"]["name"]));
  return owner === object && name.test(String(callee["property"]["name"]));
}

function argument(node: Node, index: number): Node | undefined {
  const found = Array.isArray(node["arguments"]) ? node["arguments"][index] : undefined;
  return isNode(found) ? found : undefined;
}

function literal(node: Node | undefined): string {
  return node !== undefined && typeof node["value"] === "string" ? node["value"] : "";
}

function hasOption(node: Node, name: string, value: boolean): boolean {
  if (node.type !== "Property" || !isNode(node["key"]) || !isNode(node["value"])) return false;
  return (node["key"]["name"] ?? node["key"]["value"]) === name && node["value"]["value"] === value;
}

function isMember(node: Node, name: string): boolean {
  return (
    node.type === "MemberExpression" &&
    isNode(node["property"]) &&
    (node["property"]["name"] ?? node["property"]["value"]) === name
  );
}

/**
 * `….query(`… ${value} …`)` and `….query("…" + value)`: what may be put in are constants of the
 * file (names in capitals), and names of tables that a function called `checked` has judged, for
 * those cannot be parameters.
 */
function joinsSql(node: Node): boolean {
  if (node.type !== "CallExpression" || !isNode(node["callee"]) || !isMember(node["callee"], "query")) return false;
  const text = argument(node, 0);
  if (text?.type === "BinaryExpression") return true;
  if (text?.type !== "TemplateLiteral" || !Array.isArray(text["expressions"])) return false;
  return text["expressions"].some(
    (part) => !isNode(part) || !(/^[A-Z][A-Z0-9_]*$/.test(String(part["name"] ?? "")) || calls(part, /^checked$/)),
  );
}

const SECRET = /(hash|digest|signature|mac|secret|token|password)$/i;

function comparesSecrets(node: Node): boolean {
  if (node.type !== "BinaryExpression" || !/^[!=]==?$/.test(String(node["operator"]))) return false;
  const names = [node["left"], node["right"]].map((side) =>
    isNode(side) ? String(side["name"] ?? (isNode(side["property"]) ? side["property"]["name"] : "")) : "",
  );
  return names.every((name) => SECRET.test(name));
}
