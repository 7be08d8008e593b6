/**
 * Who may import whom, and where the runtime, the web framework, SQL and the environment may
 * appear. What is allowed is the tables below; what they do not name is refused.
 *
 * Every form counts: `import`, `export … from`, `import()`, and types imported in any of these ways.
 */
import { posix } from "node:path";
import { isNode, type Node, type Problem, problemAt, type SourceFile, walk } from "./source_files.ts";

/** Slices in their order: a later one may use an earlier one. */
const SLICES = ["keys", "accounts", "devices", "conversations", "people", "administration", "reports"];

/** Folder or file of src -> folders and files it may import. Its own folder always; a slice by its mod.ts only. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  client: ["protocol"],
  terminal: ["client", "protocol"],
  platform: [],
  actor: ["platform"],
  ...Object.fromEntries(SLICES.map((slice, index) => [slice, ["protocol", "platform", ...SLICES.slice(0, index)]])),
  realtime: ["protocol", "platform", "actor", ...SLICES],
  compat: ["protocol", "platform", "realtime", ...SLICES],
  http: ["protocol", "platform", "realtime", ...SLICES],
  config: ["platform"],
  "config.ts": ["config", "platform"],
  app: [...["protocol", "platform", "actor", "realtime", "compat", "http", "config.ts", "../package.json"], ...SLICES],
  "app.ts": [...["app", "protocol", "platform", "actor", "realtime", "http", "config.ts"], ...SLICES],
  "main.ts": ["app.ts", "config.ts", "platform"],
  admin: ["config.ts", "platform", "protocol", ...SLICES],
};

/** The server reads the environment in one place; the terminal client is a program of its own. */
const ENVIRONMENT_READERS = new Set(["src/config.ts", "src/terminal/environment.ts"]);

/** Folders that are entered by their door. The composition root also takes routes from beside it. */
const BY_DOOR = new Set([...SLICES, "realtime", "actor", "http", "protocol", "client"]);

/** Package -> where it may be imported. A package that is not named may be imported in platform only. */
const PACKAGES: Readonly<Record<string, (path: string) => boolean>> = {
  zod: () => true,
  jose: (path) => /^src\/(client|http|compat|accounts|keys|platform)\//.test(path),
  ink: inTerminal,
  react: inTerminal,
  "string-width": inTerminal,
  elysia: mayUseElysia,
  "@elysiajs/cors": mayUseElysia,
  "@elysiajs/jwt": mayUseElysia,
  "@elysiajs/swagger": mayUseElysia,
  "@zxcvbn-ts/core": (path) => path === "src/accounts/password_rules.ts",
  "@zxcvbn-ts/language-common": (path) => path === "src/accounts/password_rules.ts",
};

function inTerminal(path: string): boolean {
  return path.startsWith("src/terminal/");
}

function mayUseElysia(path: string): boolean {
  return /^src\/(http|compat)\/|\/(\w+_)?routes\.ts$|^src\/realtime\/bun_socket\.ts$|^src\/app(\.ts$|\/)/.test(path);
}

function mayUseBun(path: string): boolean {
  return /^src\/(platform\/|realtime\/bun_socket\.ts$|main\.ts$)/.test(path);
}

function mayHoldSql(path: string): boolean {
  return /^src\/platform\/|_store\.ts$/.test(path);
}

/** Checks the files below src. */
export function checkImports(sources: readonly SourceFile[]): Problem[] {
  const ours = sources.filter(({ path }) => path.startsWith("src/"));
  return [
    ...ours.flatMap((source) => [...importsIn(source).flatMap((found) => judge(source, found)), ...placement(source)]),
    ...cycles(ours),
  ];
}

interface Import {
  readonly specifier: string;
  readonly at: number;
  /** Whether it leaves nothing behind at run time. */
  readonly typeOnly: boolean;
}

function importsIn(source: SourceFile): Import[] {
  const found: Import[] = [];
  for (const node of walk(source.body)) {
    if (
      ![
        "ImportDeclaration",
        "ExportAllDeclaration",
        "ExportNamedDeclaration",
        "ImportExpression",
        "TSImportType",
      ].includes(node.type)
    )
      continue;
    const from = node["source"];
    if (!isNode(from)) continue;
    const value = from["value"];
    // A computed import could reach anything, so it reads as a package that nobody may use.
    found.push({
      specifier: typeof value === "string" ? value : "(computed)",
      at: node.start,
      typeOnly: isTypeOnly(node),
    });
  }
  return found;
}

function isTypeOnly(node: Node): boolean {
  if (node.type === "TSImportType" || node["importKind"] === "type" || node["exportKind"] === "type") return true;
  const specifiers = Array.isArray(node["specifiers"]) ? node["specifiers"].filter(isNode) : [];
  return (
    specifiers.length > 0 && specifiers.every((each) => each["importKind"] === "type" || each["exportKind"] === "type")
  );
}

function judge(source: SourceFile, { specifier, at }: Import): Problem[] {
  const refuse = (message: string) => [problemAt(source, at, message)];
  if (!specifier.startsWith("."))
    return mayImportPackage(source.path, specifier) ? [] : refuse(`Do not import ${specifier} here`);
  if (!/\.(ts|json)$/.test(specifier)) return refuse(`End the import with .ts: current value is ${specifier}`);
  const target = posix.relative("src", posix.join(posix.dirname(source.path), specifier));
  const from = zoneOf(posix.relative("src", source.path));
  const to = zoneOf(target);
  if (from === to) return [];
  if (!(ALLOWED[from] ?? []).includes(to)) return refuse(`Do not import ${to} from ${from}`);
  const isDoor = target === `${to}/mod.ts`;
  const isRoutes = from === "app" && target.endsWith("/routes.ts");
  if (BY_DOOR.has(to) && !isDoor && !isRoutes) return refuse(`Import ${to}/mod.ts: current value is ${target}`);
  return [];
}

function zoneOf(path: string): string {
  return path.startsWith("..") || !path.includes("/") ? path : (path.split("/")[0] ?? "");
}

function mayImportPackage(path: string, specifier: string): boolean {
  if (specifier.startsWith("node:")) return !/^src\/(protocol|client)\//.test(path);
  if (specifier === "bun") return mayUseBun(path);
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  if (path.startsWith("src/protocol/")) return name === "zod";
  if (path.startsWith("src/client/")) return name === "zod" || name === "jose";
  return PACKAGES[name]?.(path) ?? path.startsWith("src/platform/");
}

const SQL =
  /^\s*(select\s+[^.]*|insert\s+into\s|update\s+[\w.]+\s+(\w+\s+)?set\s|delete\s+from\s|with\s+\w+\s*(\([^)]*\)\s*)?as\s|create\s+(table|index|function|database)\s|alter\s+table\s|drop\s+(table|index|function)\s|truncate\s|lock\s+table\s|call\s+\w+\()/;

function placement(source: SourceFile): Problem[] {
  const problems: Problem[] = [];
  const { path } = source;
  for (const node of walk(source.body)) {
    if (!mayUseBun(path) && rootOf(node) === "Bun")
      problems.push(problemAt(source, node.start, "Keep Bun.* to platform, bun_socket and main"));
    if (!ENVIRONMENT_READERS.has(path) && readsEnvironment(node))
      problems.push(problemAt(source, node.start, "Read the environment in config.ts only"));
    if (!mayHoldSql(path) && SQL.test(textOf(node)))
      problems.push(problemAt(source, node.start, "Keep SQL to *_store.ts and platform"));
  }
  return problems;
}

/** `Bun` of `Bun.serve`, `Bun["serve"]`, `const { serve } = Bun`, `globalThis.Bun` and the type `Bun.Server`. */
function rootOf(node: Node): string | null {
  if (node.type === "MemberExpression") {
    return nameOf(node["object"]) === "globalThis" ? nameOf(node["property"]) : nameOf(node["object"]);
  }
  if (node.type === "TSQualifiedName") return nameOf(node["left"]);
  if (node.type === "VariableDeclarator") return nameOf(node["init"]);
  return null;
}

function nameOf(value: unknown): string | null {
  return isNode(value) && value.type === "Identifier" && typeof value["name"] === "string" ? value["name"] : null;
}

function readsEnvironment(node: Node): boolean {
  if (node.type !== "MemberExpression") return false;
  const object = node["object"];
  if (nameOf(node["property"]) !== "env" && !(isNode(node["property"]) && node["property"]["value"] === "env"))
    return false;
  return ["process", "Bun"].includes(nameOf(object) ?? "") || (isNode(object) && object.type === "MetaProperty");
}

function textOf(node: Node): string {
  if (node.type === "Literal" && typeof node["value"] === "string") return node["value"];
  if (node.type !== "TemplateLiteral" || !Array.isArray(node["quasis"])) return "";
  return node["quasis"].map((quasi: { value: { raw: string } }) => quasi.value.raw).join("?");
}

/** Cycles between files, each reported once. Types may refer to each other: they are gone when modules are loaded. */
function cycles(sources: readonly SourceFile[]): Problem[] {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      importsIn(source)
        .filter(({ specifier, typeOnly }) => specifier.startsWith(".") && !typeOnly)
        .map(({ specifier }) => posix.join(posix.dirname(source.path), specifier)),
    ]),
  );
  const problems: Problem[] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0)
      problems.push({ path, line: 0, message: `Break the cycle ${[...trail.slice(start), path].join(" -> ")}` });
    if (start >= 0 || done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return problems;
}
