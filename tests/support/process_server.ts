/** A server as its own process, with its data in a temporary folder: one that can be killed. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dir, "../..");
const START_MS = 60_000;

/** See the head of this file. Disposing ends the server in order and removes its folder. */
export class ProcessServer implements AsyncDisposable {
  readonly #folder: string;
  #process: Bun.Subprocess<"ignore", "pipe", "pipe"> | undefined;
  #url = "";

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes a folder and starts a server on it. */
  static async start(): Promise<ProcessServer> {
    const folder = await mkdtemp(join(tmpdir(), "sotto-process-"));
    await chmod(folder, 0o711); // as root, another user runs the database
    const server = new ProcessServer(folder);
    await server.startAgain();
    return server;
  }

  /** Where it listens now; another port after each start. */
  get url(): string {
    return this.#url;
  }

  /** Starts it on the same data. */
  async startAgain(): Promise<void> {
    const child = Bun.spawn([process.execPath, "src/main.ts"], {
      cwd: ROOT,
      env: { PATH: process.env["PATH"], HOME: this.#folder, DATA_DIR: this.#folder, PORT: "0", LOG_LEVEL: "error" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    const late = setTimeout(() => child.kill("SIGKILL"), START_MS);
    let printed = "";
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      printed += text;
      const url = /address +(http\S+)/.exec(printed)?.[1];
      if (url === undefined) continue;
      clearTimeout(late);
      this.#url = url;
      return;
    }
    clearTimeout(late);
    throw new Error(`The server did not start: ${printed}${await new Response(child.stderr).text()}`);
  }

  /** Ends it as a power cut would: nothing is answered, nothing is flushed. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#process?.exited;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
