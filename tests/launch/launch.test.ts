/**
 * The two commands, as a person runs them: in a clean copy of the checkout, in processes of
 * their own, with nothing installed. The order matters: the first start installs.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdir, readFile, rename, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "../support/free_port.ts";
import { waitUntil } from "../support/wait.ts";
import { copyCheckout, giveTo, type Launched, launch, processesOf, removeCheckout } from "./checkout.ts";

const SECOND_MS = 1_000;
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;
const ACCOUNT = { username: "ada", password: "violet-harbour-93-lantern" };

let folder = "";
let checkout = "";
let env: Record<string, string> = {};

beforeAll(async () => {
  ({ folder, checkout } = await copyCheckout());
  env = { DATA_DIR: join(folder, "data"), PORT: String(await freePort()), npm_config_ignore_scripts: "true" };
});

afterAll(() => removeCheckout(folder));

async function nothingLeft(): Promise<void> {
  let left = await processesOf(folder);
  await waitUntil("no process is left", async () => {
    left = await processesOf(folder);
    return left.length === 0;
  }).catch(() => expect(left).toEqual([]));
}

async function endWith(server: Launched, pid: number, signal: NodeJS.Signals): Promise<number> {
  const started = performance.now();
  process.kill(pid, signal);
  const code = await server.exited;
  expect(performance.now() - started).toBeLessThan(10 * SECOND_MS);
  return code;
}

/** `npm test` on a file that needs a database of its own and a whole server. */
async function npmTest(
  from: string,
  user: { readonly env: Record<string, string>; readonly uid?: number },
): Promise<void> {
  const tests = launch({ checkout: from, ...user, command: ["npm", "test", "--", "tests/integration/spine.test.ts"] });
  const code = await tests.exited;
  expect(tests.output()).toMatch(/2 pass\n 0 fail/);
  expect(code).toBe(0);
}

async function pidOf(part: string): Promise<number> {
  const found = (await processesOf(folder)).find(({ command }) => command.includes(part));
  if (found === undefined) throw new Error(`No process runs ${part}`);
  return found.pid;
}

function post(url: string, path: string, body: object): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

describe("npm start", () => {
  test(
    "installs what is missing with install scripts blocked, says where it is and what to try, ends in order, and tests",
    async () => {
      const server = launch({ checkout, env });
      const url = await server.ready();
      expect(url).toBe(`http://127.0.0.1:${env["PORT"]}`);
      expect(server.output()).toContain(`data      ${env["DATA_DIR"]} (embedded Postgres and secrets)`);
      expect((await fetch(`${url}/ready`)).status).toBe(200);

      // What it proposes works as typed.
      const proposed = server
        .output()
        .split("\n")
        .filter((line) => line.startsWith("  curl "));
      expect(proposed).toHaveLength(2);
      for (const line of proposed) expect(JSON.parse(await Bun.$`sh -c ${line}`.text())).toHaveProperty("access_token");

      // Kept secrets are their owner's alone.
      for (const name of ["secret_key", "encryption_key", "postgres/password"]) {
        expect((await stat(join(env["DATA_DIR"] ?? "", name))).mode & 0o777).toBe(0o600);
      }

      const samePort = launch({ checkout, env: { ...env, DATA_DIR: join(folder, "other") } });
      expect(await samePort.exited).toBe(1);
      expect(samePort.output()).toContain(
        `Set PORT to a free port or stop the program that listens on it: current value is ${env["PORT"]}\n`,
      );

      const sameData = launch({ checkout, env: { ...env, PORT: String(await freePort()) } });
      expect(await sameData.exited).toBe(1);
      expect(sameData.output()).toContain(
        "Stop the other Sotto server that uses this data folder, or set DATA_DIR to another one",
      );
      expect((await fetch(`${url}/ready`)).status).toBe(200);

      expect(await endWith(server, server.pid, "SIGTERM")).toBe(0);
      expect(server.output()).toContain("Ended");
      await nothingLeft();

      await npmTest(checkout, { env });
      await nothingLeft();
    },
    180 * SECOND_MS,
  );

  test(
    "keeps what it acknowledged over a kill -9 of the server, and of everything",
    async () => {
      const first = launch({ checkout, env });
      expect((await post(await first.ready(), "/api/auth/signup", { ...ACCOUNT, username: "grace" })).status).toBe(201);
      process.kill(await pidOf("src/main.ts"), "SIGKILL");
      expect(await first.exited).not.toBe(0);

      const second = launch({ checkout, env });
      const url = await second.ready();
      expect((await post(url, "/api/auth/signin", { ...ACCOUNT, username: "grace" })).status).toBe(200);
      expect((await post(url, "/api/auth/signup", { ...ACCOUNT, username: "edsger" })).status).toBe(201);
      for (const { pid } of await processesOf(folder)) {
        try {
          process.kill(pid, "SIGKILL");
        } catch {
          // went with its parent
        }
      }
      await second.exited;

      const third = launch({ checkout, env });
      expect((await post(await third.ready(), "/api/auth/signin", { ...ACCOUNT, username: "edsger" })).status).toBe(
        200,
      );
      expect(await endWith(third, third.pid, "SIGTERM")).toBe(0);
      await nothingLeft();
    },
    60 * SECOND_MS,
  );

  test(
    "ends in order when its launcher or npm is killed",
    async () => {
      for (const victim of ["scripts/run.mjs", "npm start"]) {
        const server = launch({ checkout, env });
        await server.ready();
        process.kill(victim === "npm start" ? server.pid : await pidOf(victim), "SIGKILL");
        await nothingLeft();
        expect(server.output()).toContain("Ended");
      }
    },
    60 * SECOND_MS,
  );

  test(
    "refuses a wrong environment with one sentence and leaves nothing running",
    async () => {
      const server = launch({ checkout, env: { ...env, CORS_ORIGINS: "*" } });
      expect(await server.exited).toBe(1);
      expect(server.output()).toContain("List CORS_ORIGINS one by one");
      expect(server.output()).not.toContain("    at ");
      await nothingLeft();
    },
    30 * SECOND_MS,
  );
});

describe("bun run", () => {
  test(
    "starts and tests with no Node on the PATH",
    async () => {
      const bin = join(folder, "bin");
      await mkdir(bin);
      for (const program of ["sh", "git"])
        await symlink((await Bun.$`which ${program}`.text()).trim(), join(bin, program));
      await symlink(process.execPath, join(bin, "bun"));
      const withoutNode = { ...env, PATH: bin };
      const bun = join(bin, "bun");

      const server = launch({ checkout, env: withoutNode, command: [bun, "run", "start"] });
      expect((await fetch(`${await server.ready()}/health`)).status).toBe(200);
      expect(await endWith(server, server.pid, "SIGTERM")).toBe(0);
      await nothingLeft();

      const tests = launch({ checkout, env: withoutNode, command: [bun, "run", "test", "tests/unit/config.test.ts"] });
      expect(await tests.exited).toBe(0);
      expect(tests.output()).toMatch(/\d+ pass\n 0 fail/);
    },
    60 * SECOND_MS,
  );
});

describe("a plain user", () => {
  // As somebody else than root this whole file is already the plain user's.
  test.skipIf(!isRoot)(
    "starts and tests in a home of mode 0700 that only they can enter",
    async () => {
      const home = join(folder, "home");
      await mkdir(home);
      await rename(checkout, join(home, "sotto"));
      await giveTo(NOBODY, home);
      await chmod(home, 0o700);
      const plain = { HOME: home, PORT: env["PORT"] ?? "", npm_config_cache: join(home, ".npm") };

      const server = launch({ checkout: join(home, "sotto"), env: plain, uid: NOBODY });
      expect((await post(await server.ready(), "/api/auth/signup", ACCOUNT)).status).toBe(201);
      expect(server.output()).toContain(join(home, ".local/share/sotto"));
      expect(await readFile(join(home, ".local/share/sotto/postgres/cluster/PG_VERSION"), "utf8")).toMatch(/^\d+\n/);
      expect(await endWith(server, server.pid, "SIGTERM")).toBe(0);
      await nothingLeft();

      await npmTest(join(home, "sotto"), { env: plain, uid: NOBODY });
      await nothingLeft();
    },
    120 * SECOND_MS,
  );
});
