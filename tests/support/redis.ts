/**
 * A real Redis for tests that end it, freeze it and empty it: a server of the test's own, on a free
 * port, with nothing on disk. Where `redis-server` is not installed these tests are skipped, and
 * one line says so; with CI set they fail instead.
 */
import { describe, test } from "bun:test";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import { openRedis, type Redis } from "../../src/platform/redis.ts";
import { freePort } from "./free_port.ts";
import { waitUntil } from "./wait.ts";

const PROGRAM = Bun.which("redis-server");

/** Whether a Redis can be started here. */
export const hasRedis = PROGRAM !== null;

/** As `describe`, for what needs a Redis of its own. */
export function describeWithRedis(name: string, body: () => void): void {
  if (PROGRAM !== null) return describe(name, body);
  if (process.env["CI"]) {
    test(`${name}: needs redis-server`, () => {
      throw new Error("Install redis-server: with CI set these tests must run");
    });
    return;
  }
  console.warn(`Skipped, for redis-server is not installed: ${name}`);
  describe.skip(name, body);
}

/** See the head of this file. */
export class TestRedis implements AsyncDisposable {
  readonly url: string;
  /** For commands of the test itself. */
  readonly admin: Redis;
  readonly #port: number;
  readonly #folder: string;
  readonly #monitors: { destroy(): void }[] = [];
  #child: Bun.Subprocess<"pipe", "pipe", "inherit"> | undefined;
  #pid = 0;

  private constructor(port: number, folder: string) {
    this.#port = port;
    this.#folder = folder;
    this.url = `redis://127.0.0.1:${port}`;
    this.admin = openRedis(this.url);
  }

  /** Starts a server. */
  static async start(): Promise<TestRedis> {
    const redis = new TestRedis(await freePort(), await mkdtemp(join(tmpdir(), "sotto-redis-")));
    await redis.startAgain();
    return redis;
  }

  /** Starts the server anew, empty, at the same address; resolves once it answers. */
  async startAgain(): Promise<void> {
    await this.#end();
    // The shell sees the end of the test process as the end of the pipe, and then ends the server.
    const script = `mkdir -p "$0"; "$@" >/dev/null & pid=$!; echo $pid; read -r _; kill -9 $pid 2>/dev/null; rm -rf "$0"`;
    const server = [
      PROGRAM ?? "redis-server",
      "--port",
      String(this.#port),
      "--bind",
      "127.0.0.1",
      "--dir",
      this.#folder,
    ];
    const child = Bun.spawn(["/bin/sh", "-c", script, this.#folder, ...server, "--save", "", "--appendonly", "no"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child = child;
    const { value } = await child.stdout.getReader().read();
    this.#pid = Number(new TextDecoder().decode(value));
    await waitUntil("Redis answers", () =>
      this.admin.command(["PING"]).then(
        () => true,
        () => false,
      ),
    );
  }

  /** Its process id. */
  get pid(): number {
    return this.#pid;
  }

  /** Runs a command. */
  command(...parts: string[]): Promise<unknown> {
    return this.admin.command(parts);
  }

  /** Every command that any connection gives from here on, in the order in which the server took them. */
  async monitor(): Promise<readonly string[]> {
    const commands: string[] = [];
    const client = createClient({ url: this.url });
    this.#monitors.push(client);
    await client.connect();
    await client.monitor((reply) => void commands.push(String(reply)));
    return commands;
  }

  /** Ends the server as a power cut would. */
  kill(): void {
    process.kill(this.#pid, "SIGKILL");
  }

  /** The server keeps its connections and answers nothing. */
  freeze(): void {
    process.kill(this.#pid, "SIGSTOP");
  }

  /** It goes on. */
  thaw(): void {
    process.kill(this.#pid, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const monitor of this.#monitors) monitor.destroy();
    await this.admin[Symbol.asyncDispose]();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#child?.stdin.end();
    await this.#child?.exited;
  }
}
