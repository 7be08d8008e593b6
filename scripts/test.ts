/**
 * `npm test` without arguments: all tests, several files at a time, and then, by themselves, those that a neighbour
 * would disturb. Each worker has a Postgres of its own and takes one file after the other.
 *
 * Closes with the sums of both parts in Bun's own words, such as " 12 pass", and ends with 0 only where both did.
 */
import { availableParallelism, constants } from "node:os";

/** What compares the times of answers, and what holds seconds while it has four clusters at work itself. */
const ALONE = ["tests/integration/enumeration.test.ts", "tests/chaos/faulty_servers.test.ts"];
/** A worker is a test process, its Postgres, and the servers and browsers that a test starts: some 2 GB at most. */
const MOST_WORKERS = 4;
const COUNTED = ["pass", "skip", "todo", "fail", "error", "errors", "expect() calls"] as const;

/** What came of some of the files. */
interface Outcome {
  readonly code: number;
  /** By Bun's own words. */
  readonly counts: ReadonlyMap<string, number>;
  readonly tests: number;
  readonly files: number;
}

const started = performance.now();
let running: Bun.Subprocess | undefined;
let signalled: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    signalled = signal;
    running?.kill(signal);
  });
}

const outcomes = [await runTogether()];
if (signalled === undefined) outcomes.push(await run(ALONE.map((path) => `./${path}`)));
sumUp(outcomes);
process.exit(
  signalled === undefined ? Math.max(...outcomes.map(({ code }) => code)) : 128 + constants.signals[signalled],
);

function runTogether(): Promise<Outcome> {
  const workers = Math.min(MOST_WORKERS, availableParallelism());
  // Files are not isolated from each other: those of a worker share its modules, and with them its Postgres.
  const flags = [`--parallel=${workers}`, "--no-isolate"];
  return run([...flags, ...ALONE.map((path) => `--path-ignore-patterns=${path}`)]);
}

/** Runs Bun on some of the files and passes on what it prints. */
async function run(args: readonly string[]): Promise<Outcome> {
  const child = Bun.spawn([process.execPath, "test", "--timeout", "60000", ...args], {
    env: { ...process.env, ...(process.stderr.isTTY ? { FORCE_COLOR: "1" } : {}) },
    stdio: ["ignore", "inherit", "pipe"],
  });
  running = child;
  let last = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stderr) {
    process.stderr.write(bytes);
    last = (last + decoder.decode(bytes, { stream: true })).slice(-4_000);
  }
  await child.exited;
  const code = child.exitCode ?? 1;
  return { code, ...closingOf(Bun.stripANSI(last)) };
}

/** Reads Bun's closing lines; nothing is counted where it did not come to them. */
function closingOf(printed: string): Pick<Outcome, "counts" | "tests" | "files"> {
  const closing = /((?:^ *\d+ [a-z() ]+\n)+)Ran (\d+) tests? across (\d+) files?/m.exec(printed);
  const lines = closing?.[1]?.matchAll(/^ *(\d+) (.+)$/gm) ?? [];
  const counts = new Map(Array.from(lines, ([, count, word = ""]) => [word, Number(count)]));
  return { counts, tests: Number(closing?.[2] ?? 0), files: Number(closing?.[3] ?? 0) };
}

function sumUp(outcomes: readonly Outcome[]): void {
  const sum = (of: (outcome: Outcome) => number) => outcomes.reduce((all, one) => all + of(one), 0);
  const lines = COUNTED.map((word) => [sum(({ counts }) => counts.get(word) ?? 0), word] as const);
  const shown = lines.filter(([count, word]) => count > 0 || word === "pass" || word === "fail");
  const seconds = ((performance.now() - started) / 1_000).toFixed(2);
  console.error(["\nIn all:", "", ...shown.map(([count, word]) => ` ${count} ${word}`)].join("\n"));
  console.error(`Ran ${sum(({ tests }) => tests)} tests across ${sum(({ files }) => files)} files. [${seconds}s]`);
}
