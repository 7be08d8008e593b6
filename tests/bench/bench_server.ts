/**
 * A server to measure: `src/main.ts` of a checkout as a process of its own, on a database that the
 * benchmark owns. Limits that are counted by address are raised, because the whole load comes from
 * one; those by socket, account and conversation are as they are.
 */
import { join } from "node:path";
import type { Database } from "../../src/platform/postgres.ts";
import { parentOf, type Watched } from "./machine.ts";

/** What {@link BenchServer.start} is told. */
export interface BenchServerOptions {
  /** The checkout whose server it is; standard this one. */
  readonly root?: string;
  readonly databaseUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Bun, as `--cpu-prof`. */
  readonly bunOptions?: readonly string[];
}

/** The secret of every server of a run, so that its tokens are good for all of them. */
export const SECRET = "a secret of the benchmark, at least thirty-two characters";
/** The checkout that this file is in. */
export const ROOT = join(import.meta.dir, "../..");

const START_MS = 30_000;

/** See the head of this file. Disposing ends the server in order. */
export class BenchServer implements AsyncDisposable {
  readonly url: string;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "inherit">;

  private constructor(process: Bun.Subprocess<"ignore", "pipe", "inherit">, url: string) {
    this.#process = process;
    this.url = url;
  }

  /** Starts a server and waits until it listens. */
  static async start(options: BenchServerOptions): Promise<BenchServer> {
    const root = options.root ?? ROOT;
    const child = Bun.spawn([process.execPath, ...(options.bunOptions ?? []), "src/main.ts"], {
      cwd: root,
      env: {
        PATH: process.env["PATH"],
        HOME: process.env["HOME"],
        DATA_DIR: `/tmp/sotto-bench-${process.pid}`,
        DATABASE_URL: options.databaseUrl,
        SECRET_KEY: SECRET,
        ENCRYPTION_KEYS: `k1:${"ab".repeat(32)}`,
        HOST: "127.0.0.1",
        PORT: "0",
        LOG_LEVEL: "error",
        RATE_LIMIT_PER_MINUTE: "1000000",
        RATE_LIMIT_BURST: "1000000",
        TRUSTED_PROXIES: "127.0.0.1",
        ...options.env,
      },
      stdio: ["ignore", "pipe", "inherit"],
    });
    return new BenchServer(child, await urlOf(child));
  }

  /** Its process id. */
  get pid(): number {
    return this.#process.pid;
  }

  /** The address of the sockets. */
  get socketUrl(): string {
    return `${this.url}/ws`;
  }

  /** What it tells of itself; see {@link metricsOf}. */
  metrics(): Promise<ReadonlyMap<string, number>> {
    return metricsOf(this.url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.exited;
  }
}

/** What a server tells of itself: values by name, labels included. */
export async function metricsOf(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
  );
}

/** Starts the raw server of raw_server.ts, with options of Bun, and gives it with its address. */
export async function startRawServer(
  bunOptions: readonly string[] = [],
): Promise<{ url: string; pid: number } & Disposable> {
  const child = Bun.spawn([process.execPath, ...bunOptions, join(import.meta.dir, "raw_server.ts")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const port = await firstMatch(child, /(\d+)\n/);
  return { url: `http://127.0.0.1:${port}`, pid: child.pid, [Symbol.dispose]: () => child.kill() };
}

/** The database server's processes, for their processor time; `null` where they are on another machine. */
export async function watchPostgres(db: Database): Promise<Watched | null> {
  const [row] = await db.query<{ pid: number }>("select pg_backend_pid() as pid");
  const pid = parentOf(row?.pid ?? 0);
  return pid > 1 ? { name: "postgres", pid, children: true } : null;
}

async function urlOf(child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<string> {
  return firstMatch(child, /address +(http\S+)/);
}

async function firstMatch(child: Bun.Subprocess<"ignore", "pipe", "inherit">, wanted: RegExp): Promise<string> {
  const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let printed = ""; ; ) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`The server did not start: ${printed}`);
    printed += value;
    const found = wanted.exec(printed)?.[1];
    if (found === undefined) continue;
    clearTimeout(late);
    void passOver(reader);
    return found;
  }
}

/** Reads what a server still says, because a full pipe would stop it. */
async function passOver(reader: { read(): Promise<{ readonly done: boolean }> }): Promise<void> {
  while (!(await reader.read()).done);
}
