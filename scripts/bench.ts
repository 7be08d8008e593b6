/**
 * `npm run bench`: measures the server on this machine and prints a table; `npm run bench -- --help` says what there is.
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

const WORKLOADS: Readonly<Record<string, { readonly run: (bench: Bench) => Promise<void>; readonly about: string }>> = {
  limits: { run: limits, about: "L1 raw echo and relay, L3 the batch statement alone, L5 raw accept and idle socket" },
  w1: { run: w1, about: "idle sockets: memory and processor time of each" },
  w2: { run: w2, about: "one to one: capacity, latency at half of it, stages; beside L1" },
  w2b: { run: w2b, about: "one to one, stored nowhere: typing" },
  w3: { run: w3, about: "one message to 100, 1,000 and 10,000; beside L2, raw publish" },
  w4: { run: w4, about: "coming back to 100, 1,000 and 10,000 missed, one device and 200" },
  w7: { run: w7, about: "presence: 1,000 changes a second, 50 contacts each; beside naive fan-out" },
  w9: { run: w9, about: "W2 across two nodes through Redis; beside one node" },
  w11: { run: w11, about: "a million expired messages are purged during W2; beside row deletes" },
  sign_in: { run: signIn, about: "sign-ins with Argon2id" },
};

const HELP = `npm run bench [-- workload … options]

Workloads, all of them unless some are named:
${Object.entries(WORKLOADS)
  .map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`)
  .join("\n")}

Options, with their standard values:
  --seconds 6     of one measurement
  --pairs 500     of W2, W2b, W9, W11, L1, L3
  --window 4      sends under way for each sender, where capacity is sought
  --sockets 2000  of W1; people of W7
  --people 100    in the group of W3, in place of its three sizes; may be given more than once
  --missed 1000   most that each of 200 devices missed in W4; with 10000 it takes minutes
  --rows 1000000  that W11 purges
  --rate 2000     messages a second meanwhile
  --against path  another checkout, in turn with this one in W2; --set LANES=4 sets a variable of it,
                  which is this checkout where no other is named
  --rounds 3      of such a comparison, and of W9
  --profile path  the server writes a profile of its processor there
  --json          the figures as JSON on the standard output, and nothing else
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    seconds: { type: "string", default: "6" },
    pairs: { type: "string", default: "500" },
    sockets: { type: "string", default: "2000" },
    people: { type: "string", multiple: true },
    window: { type: "string", default: "4" },
    missed: { type: "string", default: "1000" },
    rate: { type: "string", default: "2000" },
    rows: { type: "string", default: "1000000" },
    rounds: { type: "string", default: "3" },
    against: { type: "string" },
    set: { type: "string", multiple: true, default: [] },
    profile: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(HELP);
  process.exit(0);
}
const unknown = positionals.filter((name) => WORKLOADS[name] === undefined);
if (unknown.length > 0) {
  console.error(`Choose of ${Object.keys(WORKLOADS).join(", ")}: current value is ${unknown.join(", ")}`);
  process.exit(1);
}
await run({
  pairs: Number(values.pairs),
  sockets: Number(values.sockets),
  people: values.people?.map(Number) ?? null,
  window: Number(values.window),
  seconds: Number(values.seconds),
  missed: Number(values.missed),
  rate: Number(values.rate),
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
    for (const name of positionals.length > 0 ? positionals : Object.keys(WORKLOADS)) await WORKLOADS[name]?.run(bench);
    if (options.quiet) console.log(JSON.stringify({ conditions: where, options, figures: bench.figures }, null, 2));
  } finally {
    await disposeDatabaseServer();
    await rm(`/tmp/sotto-bench-${process.pid}`, { recursive: true, force: true });
  }
}
