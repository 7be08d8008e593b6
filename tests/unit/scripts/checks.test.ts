/** The checks are themselves checked: each wrong sample must be refused, and each right one pass. */
import { describe, expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkAddresses } from "../../../scripts/check_addresses.ts";
import { checkDocs } from "../../../scripts/check_docs.ts";
import { checkImports } from "../../../scripts/check_imports.ts";
import { checkLockfiles } from "../../../scripts/check_lockfiles.ts";
import { checkSecurity } from "../../../scripts/check_security.ts";
import { parseSource } from "../../../scripts/source_files.ts";

const ROOT = join(import.meta.dir, "../../..");

type Sample = readonly [path: string, text: string, message?: string];

function check(
  rule: (sources: ReturnType<typeof parseSource>[]) => { message: string }[],
  samples: readonly Sample[],
): void {
  for (const [path, text, message] of samples) {
    test(`${message === undefined ? "accepts" : "refuses"} ${path}: ${text.split("\n")[0]?.slice(0, 80)}`, () => {
      const found = rule([parseSource(path, text)]).map((problem) => problem.message);
      if (message === undefined) expect(found).toEqual([]);
      else expect(found.join("\n")).toContain(message);
    });
  }
}

describe("checkImports()", () => {
  check(checkImports, [
    ["src/protocol/a.ts", 'import { z } from "zod";'],
    ["src/protocol/a.ts", 'import { createHash } from "node:crypto";', "node:crypto"],
    [
      "src/protocol/a.ts",
      'import type { Sql } from "../platform/postgres.ts";',
      "Do not import platform from protocol",
    ],
    ["src/client/a.ts", 'export * from "../protocol/mod.ts";'],
    ["src/client/a.ts", 'export * from "../http/mod.ts";', "Do not import http from client"],
    [
      "src/client/a.ts",
      'const m = await import("../conversations/mod.ts");',
      "Do not import conversations from client",
    ],
    ["src/client/a.ts", "const m = await import(name);", "(computed)"],
    ["src/platform/a.ts", 'type T = import("../protocol/mod.ts").X;', "Do not import protocol from platform"],
    ["src/accounts/a.ts", 'import { f } from "../keys/mod.ts";'],
    ["src/accounts/a.ts", 'import { f } from "../keys/keys_store.ts";', "Import keys/mod.ts"],
    ["src/keys/a.ts", 'import { f } from "../accounts/mod.ts";', "Do not import accounts from keys"],
    ["src/conversations/a.ts", 'import { f } from "../realtime/mod.ts";', "Do not import realtime from conversations"],
    ["src/actor/a.ts", 'import { f } from "../protocol/mod.ts";', "Do not import protocol from actor"],
    ["src/realtime/a.ts", 'import { f } from "../../tests/support/postgres.ts";', "Do not import"],
    ["src/realtime/a.ts", 'import { f } from "../actor/mod";', "End the import with .ts"],
    ["src/http/a.ts", 'import { Elysia } from "elysia";'],
    ["src/accounts/routes.ts", 'import { Elysia } from "elysia";'],
    ["src/accounts/a.ts", 'import { t } from "elysia/type-system";', "Do not import elysia"],
    ["src/accounts/a.ts", 'import pg from "pg";', "Do not import pg"],
    ["src/main.ts", "Bun.serve({});"],
    ["src/realtime/a.ts", "const { serve } = Bun;", "Keep Bun.*"],
    ["src/realtime/a.ts", "globalThis.Bun.serve();", "Keep Bun.*"],
    ["src/realtime/a.ts", "let s: Bun.Server;", "Keep Bun.*"],
    ["src/realtime/a.ts", "process.env.PORT;", "config.ts only"],
    ["src/platform/a.ts", 'process["env"].PORT;', "config.ts only"],
    ["src/keys/keys_store.ts", "sql.query(`select id from keys`);"],
    ["src/keys/a.ts", "sql.query(`\n  select id from keys`);", "Keep SQL"],
    ["src/keys/a.ts", 'sql.query("insert into keys values ($1)");', "Keep SQL"],
    ["src/keys/a.ts", "f(`with x as (select 1) select * from x`);", "Keep SQL"],
    ["src/keys/a.ts", 'fail("Select another name");'],
  ]);

  test("finds a cycle over three files, and none where only types go round", () => {
    const ring = (kind: string) =>
      ["a", "b", "c"].map((name, index) =>
        parseSource(`src/actor/${name}.ts`, `import ${kind} { x } from "./${["b", "c", "a"][index]}.ts";`),
      );
    expect(checkImports(ring("")).map(({ message }) => message)).toEqual([
      "Break the cycle src/actor/a.ts -> src/actor/b.ts -> src/actor/c.ts -> src/actor/a.ts",
    ]);
    expect(checkImports(ring("type"))).toEqual([]);
  });
});

describe("checkDocs()", () => {
  check(checkDocs, [
    ["src/a.ts", "/** The head. */\n\n/** Does it. */\nexport function f() {}"],
    ["src/a.ts", "export function f() {}", "Say what f is"],
    ["src/a.ts", "/** The head of the file. */\n\nexport const f = 1;", "Say what f is"],
    ["src/a.ts", "// Not a doc comment.\nexport const f = 1;", "Say what f is"],
    ["src/a.ts", "/** Of another. */\nconst x = 1;\nexport interface F { a: string }", "Say what F is"],
    ["src/a.ts", "/** */\nexport type F = string;", "Say what F is"],
    ["src/a.ts", "const f = 1;\nexport { f };", "Say what f is"],
    ["src/a.ts", "/** Is it. */\nconst f = 1;\nexport { f };"],
    ["src/a.ts", "/** A name. */\nexport const F = 1;\nexport type F = string;"],
    ["src/mod.ts", 'export { f } from "./a.ts";'],
  ]);
});

describe("checkSecurity()", () => {
  check(checkSecurity, [
    ["src/keys/a.ts", 'eval("1");', "code from text"],
    ["src/keys/a.ts", 'new Function("return 1");', "code from text"],
    ["src/keys/a.ts", "spawn(program, { shell: true });", "without a shell"],
    ["src/keys/a.ts", "connect({ rejectUnauthorized: false });", "Verify certificates"],
    ["src/keys/a.ts", 'createHash("md5");', "SHA-256"],
    ["src/keys/a.ts", 'createCipheriv("aes-256-cbc", key, iv);', "authenticated cipher"],
    ["src/keys/a.ts", 'createCipheriv("aes-256-gcm", key, iv);'],
    ["src/keys/a.ts", "new RegExp(input);", "patterns from literals"],
    ["src/keys/a_store.ts", "sql.query(`select id from keys where id = '${id}'`);", "as parameters"],
    ["src/keys/a_store.ts", "sql.query('select id from keys where id = ' + id);", "as parameters"],
    ["src/keys/a_store.ts", "sql.query(`select ${COLUMNS} from keys where id = $1`, [id]);"],
    ["src/keys/a.ts", "const token = Math.random();", "must not be guessed"],
    ["src/keys/a.ts", "if (tokenHash === row.token_hash) allow();", "timingSafeEqual"],
    ["src/keys/a.ts", "target.__proto__ = value;", "prototype"],
    ["src/keys/a.ts", "// security: the pattern is our own\nnew RegExp(NAMES.join());"],
  ]);
});

describe("checkLockfiles()", () => {
  const manifest = JSON.stringify({ dependencies: { zod: "4.6.7" } });
  const npm = JSON.stringify({ packages: { "": {}, "node_modules/zod": { version: "4.6.7" } } });
  const bun = '{ "packages": { "zod": ["zod@4.6.7", "", {}, "sha512-x"], }, }';

  test("accepts files that agree", () => expect(checkLockfiles({ manifest, npm, bun })).toEqual([]));

  test("refuses another version, a missing package and a range", () => {
    expect(checkLockfiles({ manifest, npm, bun: bun.replace("4.6.7", "4.6.6") })).not.toEqual([]);
    expect(checkLockfiles({ manifest, npm, bun: '{ "packages": {} }' })).not.toEqual([]);
    expect(checkLockfiles({ manifest: manifest.replace("4.6.7", "^4.6.7"), npm, bun })).not.toEqual([]);
  });

  test("accepts the project's own files", async () => {
    const [ours, theirs, others] = await Promise.all(
      ["package.json", "package-lock.json", "bun.lock"].map((file) => readFile(join(ROOT, file), "utf8")),
    );
    expect(checkLockfiles({ manifest: ours ?? "", npm: theirs ?? "", bun: others ?? "" })).toEqual([]);
  });
});

describe("checkAddresses()", () => {
  test("refuses addresses of registries and folders of a machine, in any file", () => {
    const wrong = [
      `"${"resol"}ved": "x"`,
      `https://${"regis"}try.example.org/zod`,
      `cd /${"wor"}k/main`,
      `"/${"ho"}me/someone/x"`,
    ];
    for (const line of wrong) expect(checkAddresses("a.md", line)).toHaveLength(1);
    expect(checkAddresses("a.md", "GET /home and https://sotto.test/")).toEqual([]);
  });
});
