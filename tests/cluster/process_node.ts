/** A node as a process of its own, on a database and a Redis that others share: one that can be killed or frozen. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TEST_SECRET } from "../support/app.ts";

const ROOT = join(import.meta.dir, "../..");
const START_MS = 60_000;

/** See the head of this file. Disposing ends it in order. */
export class ProcessNode implements AsyncDisposable {
  readonly url: string;
  readonly #process: Bun.Subprocess;
  readonly #folder: string;

  private constructor(url: string, process: Bun.Subprocess, folder: string) {
    this.url = url;
    this.#process = process;
    this.#folder = folder;
  }

  /** Starts a node with variables beside those of every test node; resolves once it says that it is ready. */
  static async start(variables: Readonly<Record<string, string>>): Promise<ProcessNode> {
    const folder = await mkdtemp(join(tmpdir(), "sotto-node-"));
    const child = Bun.spawn([process.execPath, "src/main.ts"], {
      cwd: ROOT,
      env: {
        PATH: process.env["PATH"],
        HOME: folder,
        DATA_DIR: folder,
        PORT: "0",
        LOG_LEVEL: "error",
        SECRET_KEY: TEST_SECRET,
        ENCRYPTION_KEYS: `k1:${"ab".repeat(32)}`,
        RATE_LIMIT_PER_MINUTE: "100000",
        RATE_LIMIT_BURST: "10000",
        ...variables,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
    let printed = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const url = /address +(http\S+)/.exec(printed)?.[1];
      if (url === undefined) continue;
      clearTimeout(late);
      return new ProcessNode(url, child, folder);
    }
    clearTimeout(late);
    await rm(folder, { recursive: true, force: true });
    throw new Error(`The node did not start: ${printed}${await new Response(child.stderr).text()}`);
  }

  /** The number of the process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Sends it a signal; resolves once it is gone, where the signal ends it. */
  async signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM"): Promise<void> {
    this.#process.kill(signal);
    if (signal === "SIGKILL" || signal === "SIGTERM") await this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill("SIGCONT");
      await this.signal("SIGTERM");
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}
