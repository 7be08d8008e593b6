/** What every workload is given: the database, the options of the run, and where figures go. */
import type { Database } from "../../src/platform/postgres.ts";
import { BenchServer, ROOT } from "./bench_server.ts";
import { LoadProcess } from "./load_process.ts";
import { loadNow, type Watched } from "./machine.ts";
import { type Pair, seatsOf } from "./people.ts";
import { type Figure, showFigure } from "./report.ts";

/** What a run is told on the command line. */
export interface BenchOptions {
  readonly pairs: number;
  /** Idle sockets of W1, people of W7. */
  readonly sockets: number;
  /** People in the groups of W3; standard 100, 1,000 and 10,000. */
  readonly people: readonly number[] | null;
  /** Sends that each sender keeps under way when the capacity is sought. */
  readonly window: number;
  /** Seconds of one measurement. */
  readonly seconds: number;
  /** Most messages that each of many devices missed in W4. */
  readonly missed: number;
  /** Messages a second during W11. */
  readonly rate: number;
  /** Messages that W11 removes. */
  readonly rows: number;
  /** Another checkout to compare with, A-B-A-B. */
  readonly against: string | null;
  /** Variables of the other one in a comparison. */
  readonly set: Readonly<Record<string, string>>;
  /** Rounds of a comparison. */
  readonly rounds: number;
  /** Whether the server writes a profile of its processor. */
  readonly profile: string | null;
  readonly quiet: boolean;
}

/** See the head of this file. */
export interface Bench {
  readonly options: BenchOptions;
  readonly db: Database;
  readonly databaseUrl: string;
  readonly postgres: Watched | null;
  readonly figures: Figure[];
}

/** Characters of a message's content. */
export const CONTENT_CHARS = 256;

/** Notes a figure and shows it. */
export function note(bench: Bench, workload: string, what: string, value: number, unit: string, text = ""): void {
  const figure = { workload, what, value, unit, note: text, load: loadNow() };
  bench.figures.push(figure);
  if (!bench.options.quiet) showFigure(figure);
}

/** Starts a server of a checkout on the bench's database. */
export function startServer(
  bench: Bench,
  options: { root?: string; env?: Readonly<Record<string, string>>; bunOptions?: readonly string[] } = {},
): Promise<BenchServer> {
  const { profile } = bench.options;
  return BenchServer.start({
    databaseUrl: bench.databaseUrl,
    root: options.root ?? ROOT,
    env: options.env ?? {},
    bunOptions: [
      ...(options.bunOptions ?? []),
      ...(profile === null ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`]),
    ],
  });
}

/** A load generator whose seats are connected to a server; with two, senders to the first and receivers to the second. */
export async function connectLoad(
  servers: { readonly url: string } | readonly { readonly url: string }[],
  pairs: readonly Pair[],
): Promise<LoadProcess> {
  const load = new LoadProcess();
  await load.order({
    do: "connect",
    urls: [servers].flat().map(({ url }) => `${url}/ws`),
    plans: seatsOf(pairs),
    size: CONTENT_CHARS,
    speaks: true,
  });
  return load;
}

/** The processes whose time is counted in a run. */
export function watch(bench: Bench, serverPid: number, loadPid: number): Watched[] {
  return [
    { name: "server", pid: serverPid, children: false },
    ...(bench.postgres === null ? [] : [bench.postgres]),
    { name: "load", pid: loadPid, children: false },
  ];
}
