/**
 * `npm run chaos`: breaks three real nodes, their Redis and their Postgres in every way it knows,
 * while people use them, and says whether anything was lost, doubled or out of order.
 *
 *   npm run chaos                    the list of faults
 *   npm run chaos -- all             all of them, one after the other: some eight minutes
 *   npm run chaos -- <name> …        some of them, each for 30 seconds
 *   --seconds n                      how long each is made again and again
 *   --operations n                   go on until there were so many
 *   --seed n                         the same choices as an earlier run
 *   --pace n                         milliseconds between two deeds of a device, on average
 *
 * Ends with 0 where everything holds, with 1 where something was violated, with 2 where the run
 * says nothing. docs/reliability.md says what is tried and what the figures mean.
 */
import { parseArgs } from "node:util";
import { FAULTS } from "../tests/chaos/faults.ts";
import { LEGEND, showPhase, showResult, showRow, TABLE_HEAD } from "../tests/chaos/report.ts";
import { type Phase, runChaos } from "../tests/chaos/run.ts";
import { disposeDatabaseServer } from "../tests/support/postgres.ts";

/** Everything delivered this long after each healing: the promise (ms). */
const CAUGHT_UP_MS = 5_000;
const FULL_OPERATIONS = 20_000;
const EXIT_CODES = { holds: 0, violated: 1, unknown: 2 } as const;
const INTERRUPTED = 130;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "30" },
    operations: { type: "string" },
    seed: { type: "string" },
    pace: { type: "string", default: "200" },
    help: { type: "boolean", default: false },
  },
});
const unknown = positionals.filter((name) => name !== "all" && !FAULTS.some((fault) => fault.name === name));
if (unknown.length > 0) {
  console.error(`Choose of all, ${FAULTS.map(({ name }) => name).join(", ")}: current value is ${unknown.join(", ")}`);
  process.exit(1);
}
if (positionals.length === 0 || values.help) {
  console.log("npm run chaos -- all | <name> … [--seconds n] [--operations n] [--seed n] [--pace n]\n");
  for (const { name, says } of FAULTS) console.log(`  ${name}\n      ${says}`);
  process.exit(0);
}
if (Bun.which("redis-server") === null) {
  console.error("Install redis-server: the nodes meet through a Redis of their own");
  process.exit(2);
}
process.exit(await main());

async function main(): Promise<number> {
  const all = positionals.includes("all");
  const seed = values.seed === undefined ? (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) : Number(values.seed);
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => interrupted.abort());
  console.log(`Breaking three nodes, their Redis and their Postgres; seed ${seed}\n\n${TABLE_HEAD}`);
  try {
    const result = await runChaos({
      faults: FAULTS.filter(({ name }) => all || positionals.includes(name)),
      seconds: Number(values.seconds),
      operations: Number(values.operations ?? (all ? FULL_OPERATIONS : 0)),
      seed,
      brief: false,
      caughtUpMs: CAUGHT_UP_MS,
      paceMs: Number(values.pace),
      signal: interrupted.signal,
      onPhase: progress,
      onRow: (row) => console.log(`${clear()}${showRow(row)}`),
    });
    console.log(`${clear()}\n${LEGEND}\n\n${showResult(result, seed)}`);
    return interrupted.signal.aborted ? INTERRUPTED : EXIT_CODES[result.verdict];
  } finally {
    await disposeDatabaseServer();
  }
}

/** One line that is written over; nothing where nobody watches. */
function progress(phase: Phase): void {
  if (process.stdout.isTTY) process.stdout.write(`${clear()}${showPhase(phase)}`);
}

function clear(): string {
  return process.stdout.isTTY ? "\r\x1b[2K" : "";
}
