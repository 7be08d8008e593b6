/** `npm run check`: every structure check; one line each, and exit code 1 when one fails. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkAddresses } from "./check_addresses.ts";
import { checkDocs } from "./check_docs.ts";
import { checkImports } from "./check_imports.ts";
import { checkLockfiles } from "./check_lockfiles.ts";
import { checkSecurity } from "./check_security.ts";
import { checkSpec, SPEC } from "./check_spec.ts";
import { type Problem, readSources } from "./source_files.ts";

const ROOT = join(import.meta.dir, "..");
const sources = await readSources(ROOT, ["src", "tests", "scripts"]);
const texts = await trackedTexts();

const results: Readonly<Record<string, readonly Problem[]>> = {
  "imports and placement": checkImports(sources),
  "documented exports": checkDocs(sources),
  "security patterns": checkSecurity(sources),
  "rules with tests": checkSpec(await readFile(join(ROOT, SPEC), "utf8"), sources),
  lockfiles: checkLockfiles({
    manifest: await readFile(join(ROOT, "package.json"), "utf8"),
    npm: await readFile(join(ROOT, "package-lock.json"), "utf8"),
    bun: await readFile(join(ROOT, "bun.lock"), "utf8"),
  }),
  addresses: [...texts].flatMap(([path, text]) => checkAddresses(path, text)),
};

for (const [name, problems] of Object.entries(results)) {
  console.log(
    `${problems.length === 0 ? "ok  " : "FAIL"} ${name}${problems.length === 0 ? "" : `: ${problems.length}`}`,
  );
  for (const { path, line, message } of problems)
    console.log(`       ${path}${line === 0 ? "" : `:${line}`}  ${message}`);
}
// A check of nothing would pass over everything.
if (sources.length < 20 || texts.size < 20)
  throw new Error(`Run it in a checkout: it found ${sources.length} sources and ${texts.size} files`);
process.exitCode = Object.values(results).some((problems) => problems.length > 0) ? 1 : 0;

async function trackedTexts(): Promise<Map<string, string>> {
  const listed = Bun.spawnSync(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  const found = new Map<string, string>();
  for (const path of listed.stdout
    .toString()
    .split("\0")
    .filter((name) => name !== "")) {
    const text = await readFile(join(ROOT, path), "utf8").catch(() => null); // removed, or a folder
    if (text !== null) found.set(path, text);
  }
  return found;
}
