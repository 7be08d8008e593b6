/** Servers as an operator starts them, with `npm start`: one alone, and two that share Postgres and Redis. */
import { afterAll, beforeAll, describe } from "bun:test";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Launched, launch } from "../launch/checkout.ts";
import { freePort } from "../support/free_port.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { hasRedis, TestRedis } from "../support/redis.ts";

const ROOT = join(import.meta.dir, "../..");
const STARTING_MS = 180_000;

/** Where to ask: `one` and `other` are the same server, or two nodes of one. */
export interface Nodes {
  readonly one: string;
  readonly other: string;
}

/** Runs the tests on one node, and on two. `nodes()` is to be called within a test. */
export function onOneNodeAndOnTwo(
  name: string,
  body: (nodes: () => Nodes) => void,
  variables: Readonly<Record<string, string>> = {},
): void {
  for (const count of [1, 2] as const) {
    const run = count === 2 && !hasRedis && !process.env["CI"] ? describe.skip : describe;
    run(`${name}, on ${count === 1 ? "one node" : "two nodes"}`, () => {
      let started: Started | undefined;
      beforeAll(async () => {
        started = await start(count, variables);
      }, STARTING_MS);
      afterAll(() => started?.[Symbol.asyncDispose](), STARTING_MS);
      body(() => {
        if (started === undefined) throw new Error("Ask for the nodes within a test");
        return started.nodes;
      });
    });
  }
}

interface Started extends AsyncDisposable {
  readonly nodes: Nodes;
}

async function start(count: 1 | 2, variables: Readonly<Record<string, string>>): Promise<Started> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "sotto-family-"));
  await chmod(folder, 0o711); // as root, another user runs the database
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const shared: Record<string, string> = {};
  if (count === 2) {
    const database = stack.use(await createTestDatabase());
    const redis = stack.use(await TestRedis.start());
    Object.assign(shared, { DATABASE_URL: database.url, REDIS_URL: redis.url });
  }
  const urls: string[] = [];
  for (let i = 0; i < count; i++) {
    const env = {
      ...{ DATA_DIR: join(folder, "data"), PORT: String(await freePort()), LOG_LEVEL: "error" },
      ...{ RATE_LIMIT_PER_MINUTE: "100000", RATE_LIMIT_BURST: "10000", TRUSTED_PROXIES: "127.0.0.1" },
      ...shared,
      ...variables,
    };
    const server = launch({ checkout: ROOT, env });
    stack.defer(() => end(server));
    urls.push(await server.ready());
  }
  const [one = "", other = one] = urls;
  const running = stack.move();
  return { nodes: { one, other }, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

async function end(server: Launched): Promise<void> {
  try {
    process.kill(server.pid, "SIGTERM");
  } catch {
    // it never started
  }
  await server.exited;
}

/** An answer of the HTTP API. */
export interface Answered {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what comes from outside is what the tests are about
  readonly json: any;
  readonly headers: Headers;
}

/** What {@link ask} may be told. */
export interface Asked {
  readonly token?: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

let addresses = 0;

/** An address that nobody used before: sign-ups are counted by address. */
export function newAddress(): string {
  addresses++;
  return `203.0.${Math.floor(addresses / 250) % 250}.${(addresses % 250) + 1}`;
}

/** Makes one request, as a client without any library would. */
export async function ask(url: string, method: string, path: string, asked: Asked = {}): Promise<Answered> {
  const headers: Record<string, string> = { "x-forwarded-for": newAddress(), ...asked.headers };
  if (asked.token !== undefined) headers["authorization"] = `Bearer ${asked.token}`;
  let body: string | null = null;
  if (asked.body !== undefined) {
    headers["content-type"] ??= "application/json";
    body = typeof asked.body === "string" ? asked.body : JSON.stringify(asked.body);
  }
  const answer = await fetch(url + path, { method, headers, body, redirect: "manual" });
  const text = await answer.text();
  return { status: answer.status, json: parse(text), headers: answer.headers };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
