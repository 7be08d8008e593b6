/**
 * `npm run bench`: measures the server on this machine and prints a table.
 *
 *   npm run bench                     every workload, short
 *   npm run bench -- w2 limits        some of them
 *   npm run bench -- w2 --against ../other-checkout --rounds 5
 *                                     two checkouts in turn, A-B-A-B; `--set LANES=4` sets a variable of B,
 *                                     which is this checkout where `--against` is not given
 *   --json                            the figures as JSON on the standard output, and nothing else
 *   --seconds n --pairs n --window n  of one measurement
 *   --sockets n                       of w1; people of w7
 *   --rows n                          of w11
 *   --profile folder                  the server writes a profile of its processor there
 *
 * What the figures mean is in docs/performance.md. Nothing here is a test: a slow machine fails nothing.
 */
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Bench, BenchOptions } from "../tests/bench/bench.ts";
import { watchPostgres } from "../tests/bench/bench_server.ts";
import { limits } from "../tests/bench/limits.ts";
import { conditions } from "../tests/bench/machine.ts";
import { showConditions } from "../tests/bench/report.ts";
import { signIn } from "../tests/bench/sign_in.ts";
import { w1 } from "../tests/bench/w1.ts";
import { w2 } from "../tests/bench/w2.ts";
import { w2b } from "../tests/bench/w2b.ts";
import { w3 } from "../tests/bench/w3.ts";
import { w4 } from "../tests/bench/w4.ts";
import { w7 } from "../tests/bench/w7.ts";
import { w9 } from "../tests/bench/w9.ts";
import { w11 } from "../tests/bench/w11.ts";
import { createTestDatabase, disposeDatabaseServer } from "../tests/support/postgres.ts";

const WORKLOADS: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  limits,
  w1,
  w2,
  w2b,
  w3,
  w4,
  w7,
  w9,
  w11,
  sign_in: signIn,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "6" },
    pairs: { type: "string", default: "500" },
    sockets: { type: "string", default: "2000" },
    window: { type: "string", default: "4" },
    rows: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    against: { type: "string" },
    set: { type: "string", multiple: true, default: [] },
    profile: { type: "string" },
  },
});

const unknown = positionals.filter((name) => WORKLOADS[name] === undefined);
if (unknown.length > 0) {
  console.error(`Choose of ${Object.keys(WORKLOADS).join(", ")}: current value is ${unknown.join(", ")}`);
  process.exit(1);
}
await run({
  pairs: Number(values.pairs),
  sockets: Number(values.sockets),
  window: Number(values.window),
  seconds: Number(values.seconds),
  rows: Number(values.rows),
  rounds: Number(values.rounds),
  against: values.against === undefined ? null : resolve(values.against),
  profile: values.profile === undefined ? null : resolve(values.profile),
  set: Object.fromEntries(values.set.map((text) => [text.split("=")[0] ?? "", text.slice(text.indexOf("=") + 1)])),
  quiet: values.json,
});
process.exit(0);

async function run(options: BenchOptions): Promise<void> {
  try {
    await using database = await createTestDatabase();
    const [row] = await database.db.query<{ version: string }>("select current_setting('server_version') as version");
    const postgres = await watchPostgres(database.db);
    const bench: Bench = { options, db: database.db, databaseUrl: database.url, postgres, figures: [] };
    const where = conditions(row?.version ?? "unknown");
    if (!options.quiet) showConditions(where);
    for (const name of positionals.length > 0 ? positionals : Object.keys(WORKLOADS)) await WORKLOADS[name]?.(bench);
    if (options.quiet) console.log(JSON.stringify({ conditions: where, options, figures: bench.figures }, null, 2));
  } finally {
    await disposeDatabaseServer();
    await rm(`/tmp/sotto-bench-${process.pid}`, { recursive: true, force: true });
  }
}
