/**
 * A real server for the demo: `src/main.ts` as a process of its own, on a free port, with a folder
 * of its own under the system's temporary one. Nothing of it is left afterwards.
 */
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CLUSTER_USER, findPostmaster, stopPostmaster } from "../../src/platform/postgres_cluster.ts";
import { ClaimFailed, until } from "./stage.ts";

const ROOT = join(import.meta.dir, "../..");
const START_MS = 60_000;
const STOP_MS = 12_000;

/** Starts, kills and restarts one server. */
export class DemoServer implements AsyncDisposable {
  /** The temporary folder; the server's data is in `data` below it. */
  readonly folder: string;
  /** Stays the same across restarts. */
  readonly port: number;
  #process: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #reading: Promise<unknown> = Promise.resolve();
  #log = "";
  #disposed: Promise<void> | undefined;

  /** Makes the folder and finds a port; nothing runs yet. */
  static async prepare(): Promise<DemoServer> {
    const folder = await mkdtemp(join(tmpdir(), "sotto-demo-"));
    // Postgres refuses to run as root, so root hands it to another user, who must pass through here.
    await chmod(folder, 0o711);
    return new DemoServer(folder, await freePort());
  }

  private constructor(folder: string, port: number) {
    this.folder = folder;
    this.port = port;
  }

  /** The server's DATA_DIR. */
  get dataDir(): string {
    return join(this.folder, "data");
  }

  /** The server's address. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The process id of the running server. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Everything that all its processes have written so far. */
  get log(): string {
    return this.#log;
  }

  /** Starts the server; resolves once it says that it is ready. */
  async start(): Promise<void> {
    const { PATH = "", HOME = "", TMPDIR = "" } = process.env;
    const child = Bun.spawn([process.execPath, "--no-env-file", "src/main.ts"], {
      cwd: ROOT,
      // Only what is named here: the demo must not end up in somebody's own database.
      env: {
        PATH,
        HOME,
        ...(TMPDIR === "" ? {} : { TMPDIR }),
        PORT: String(this.port),
        HOST: "127.0.0.1",
        DATA_DIR: this.dataDir,
        LOG_LEVEL: "trace", // the more it says, the more there is to search
        SOTTO_LAUNCHER_PID: String(process.pid),
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    this.#reading = Promise.all([this.#read(child.stdout), this.#read(child.stderr)]);
    await until(
      async () => {
        if (child.exitCode !== null) throw new ClaimFailed(`The server starts: ${this.#log.trim().split("\n").at(-1)}`);
        return fetch(`${this.url}/ready`).then(
          (answer) => answer.ok,
          () => false,
        );
      },
      { what: "The server becomes ready", ms: START_MS },
    );
  }

  /** Ends it without warning, as a power cut would; Postgres, a process of its own, lives on. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  /** The signal that ended the last process. */
  get endedBy(): NodeJS.Signals | number | null {
    return this.#process?.signalCode ?? null;
  }

  /** Where the server's own Postgres listens, as a connection string. */
  async databaseUrl(): Promise<string> {
    const root = join(this.dataDir, "postgres");
    const postmaster = await findPostmaster(root);
    if (postmaster === null) throw new ClaimFailed("The server's Postgres runs");
    const password = (await readFile(join(root, "password"), "utf8")).trim();
    return `postgres://${CLUSTER_USER}:${encodeURIComponent(password)}@127.0.0.1:${postmaster.port}/sotto`;
  }

  /** Ends every process and removes the folder; the same promise however often it is asked. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    const child = this.#process;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      const forced = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await child.exited;
      clearTimeout(forced);
    }
    await this.#reading;
    const postmaster = await findPostmaster(join(this.dataDir, "postgres"));
    if (postmaster !== null) await stopPostmaster(postmaster.pid);
    await rm(this.folder, { recursive: true, force: true });
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of stream) this.#log += decoder.decode(chunk, { stream: true });
  }
}

function freePort(): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
