/** A server as a process of its own, with its data in a temporary folder: one that can be killed, frozen and started again. */
import { chmod, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_SECRET } from "./app.ts";

/** How a process ended: by itself with a code, or by a signal. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | number | null;
}

type Child = Bun.Subprocess<"ignore", "pipe", "pipe">;

const ROOT = join(import.meta.dir, "../..");
const START_MS = 60_000;
/** Characters of what the process printed last that are kept. */
const LAST_WORDS = 20_000;

/** See the head of this file. Disposing ends it in order and removes its folder. */
export class ServerProcess implements AsyncDisposable {
  readonly #folder: string;
  readonly #variables: Readonly<Record<string, string>>;
  readonly #program: readonly string[];
  #child: Child | null = null;
  #url = "";
  #words = "";

  private constructor(folder: string, variables: Readonly<Record<string, string>>, program: readonly string[]) {
    this.#folder = folder;
    this.#variables = variables;
    this.#program = program;
  }

  /**
   * Starts a server with variables beside those of every test server; without DATABASE_URL it
   * brings its own database. Resolves once it says that it is ready. `program`: what is run, with its
   * arguments, from the root of the project.
   */
  static async start(
    variables: Readonly<Record<string, string>> = {},
    program: readonly string[] = ["src/main.ts"],
  ): Promise<ServerProcess> {
    const folder = await mkdtemp(join(tmpdir(), "sotto-server-"));
    await chmod(folder, 0o711); // as root, another user runs the database
    const server = new ServerProcess(folder, variables, program);
    try {
      await server.startAgain();
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
    return server;
  }

  /** Where it listens now; another port after each start, unless the variables name one. */
  get url(): string {
    return this.#url;
  }

  /** The number of the process. */
  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** How the process ended; `null` while it runs. */
  get end(): ProcessEnd | null {
    const { exitCode = null, signalCode = null } = this.#child ?? {};
    return exitCode === null && signalCode === null ? null : { code: exitCode, signal: signalCode };
  }

  /** What it printed last, on both outputs. */
  get lastWords(): string {
    return this.#words;
  }

  /** Starts it on the same data. */
  async startAgain(): Promise<void> {
    const child = Bun.spawn([process.execPath, ...this.#program], {
      cwd: ROOT,
      env: {
        PATH: process.env["PATH"],
        HOME: this.#folder,
        DATA_DIR: this.#folder,
        PORT: "0",
        LOG_LEVEL: "error",
        SOTTO_LAUNCHER_PID: String(process.pid), // it ends with this process, however that ends
        SECRET_KEY: TEST_SECRET,
        ENCRYPTION_KEYS: `k1:${"ab".repeat(32)}`,
        RATE_LIMIT_PER_MINUTE: "100000",
        RATE_LIMIT_BURST: "10000",
        TRUSTED_PROXIES: "127.0.0.1", // so that people come from addresses of their own
        ...this.#variables,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#words = "";
    const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
    try {
      this.#url = await this.#listensAt(child);
    } finally {
      clearTimeout(late);
    }
  }

  /** Sends it a signal; resolves once it is gone, where the signal ends it. */
  async signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM"): Promise<void> {
    this.#child?.kill(signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") await this.#child?.exited;
  }

  /** How many files and sockets it holds open; 0 where the system does not say (it is not Linux). */
  async openDescriptors(): Promise<number> {
    return (await readdir(`/proc/${this.pid}/fd`).catch(() => [])).length;
  }

  /** One of its own metrics, without labels; `null` where it has none of that name. */
  async metric(name: string): Promise<number | null> {
    const answer = await fetch(`${this.#url}/metrics`, {
      headers: { connection: "close" },
      signal: AbortSignal.timeout(5_000),
    });
    const found = new RegExp(`^${name} (\\S+)$`, "m").exec(await answer.text())?.[1];
    return found === undefined ? null : Number(found);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.end === null) {
      this.#child?.kill("SIGCONT");
      await this.signal("SIGTERM");
    }
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Reads both outputs to their ends, for a full pipe would stop the process. */
  #listensAt(child: Child): Promise<string> {
    const address = Promise.withResolvers<string>();
    const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
      const decoder = new TextDecoder();
      for await (const bytes of stream) {
        this.#words = (this.#words + decoder.decode(bytes, { stream: true })).slice(-LAST_WORDS);
        const url = /address +(http\S+)\n/.exec(this.#words)?.[1];
        if (url !== undefined) address.resolve(url);
      }
    };
    void Promise.all([read(child.stdout), read(child.stderr)]).then(() =>
      address.reject(new Error(`The server did not start: ${this.#words}`)),
    );
    return address.promise;
  }
}
