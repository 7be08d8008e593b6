/** `npm run admin`, run as the program that it is. */
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const DEADLINE_MS = 60_000;

/** What a run of it gave. */
export interface AdminRun {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command with variables of its own and nothing on its standard input but `input`. */
export async function runAdmin(
  env: Readonly<Record<string, string>>,
  words: readonly string[],
  input = "",
): Promise<AdminRun> {
  const child = Bun.spawn([process.execPath, "src/admin/main.ts", ...words], {
    cwd: ROOT,
    env: { PATH: process.env["PATH"], ...env },
    stdin: new TextEncoder().encode(input),
    stdout: "pipe",
    stderr: "pipe",
  });
  const late = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  const [out, err, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  clearTimeout(late);
  return { code, out, err };
}

/** Runs a command that must succeed, and gives its answer as JSON. */
// biome-ignore lint/suspicious/noExplicitAny: a test expects what the answer should hold.
export async function adminJson(env: Readonly<Record<string, string>>, ...words: string[]): Promise<any> {
  const { code, out, err } = await runAdmin(env, [...words, "--json", "--yes"]);
  if (code !== 0) throw new Error(`admin ${words.join(" ")} ended with ${code}: ${err}`);
  return JSON.parse(out);
}
