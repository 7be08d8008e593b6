/**
 * Real databases for tests: one Postgres server for each test process, started when the first
 * test asks for it, and a fresh migrated database for every caller, copied from a template.
 *
 * TEST_DATABASE_URL names another server to use (its user must be able to create databases);
 * the functions that end and restart the server then refuse.
 */
import { chmod, mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/platform/embedded_postgres.ts";
import { migrate } from "../../src/platform/migrate.ts";
import { type Database, openDatabase } from "../../src/platform/postgres.ts";

/** A database of its own; disposing it ends its connections, and drops it on a server that is not ours. */
export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  readonly db: Database;
}

/**
 * Whether tests may end and restart the server: a foreign one they leave alone. With CI set they run all the
 * same, and fail there, for then no test may be left out.
 */
export const MAY_END_SERVER = (process.env["TEST_DATABASE_URL"] ?? "") === "" || Boolean(process.env["CI"]);

const MIGRATIONS = join(import.meta.dir, "../../sql/migrations");

interface Server {
  readonly url: string;
  readonly folder: string | null;
  embedded: EmbeddedPostgres | null;
}

let server: Promise<Server> | undefined;
let template: Promise<string> | undefined;
let created = 0;

/** Makes a fresh migrated database. */
export async function createTestDatabase(): Promise<TestDatabase> {
  template ??= createTemplate();
  return createDatabase(`template ${await template}`);
}

/** Makes a fresh empty database, for tests of the migrations themselves. */
export async function createEmptyDatabase(): Promise<TestDatabase> {
  return createDatabase("");
}

/** The server's own database, for administration. */
export async function databaseServerUrl(): Promise<string> {
  server ??= startServer();
  return (await server).url;
}

/** Ends the server in order; databases and their contents stay. */
export async function stopDatabaseServer(): Promise<void> {
  const { embedded } = await ownServer();
  await embedded?.stop();
}

/** Starts the server again after {@link stopDatabaseServer}, on the same port. */
export async function startDatabaseServer(): Promise<void> {
  const own = await ownServer();
  own.embedded = await startEmbeddedPostgres({ dataDir: own.folder });
  if (own.embedded.url !== own.url) throw new Error(`The server came back at another address: ${own.embedded.url}`);
}

/** Kills the server with SIGKILL; its owner starts it again by itself, after a crash recovery. */
export async function crashDatabaseServer(): Promise<void> {
  const { folder } = await ownServer();
  await signalServer(folder, "SIGKILL");
}

/** Ends the server; called once, after all tests of the process. Its folder goes when the process has ended. */
export async function disposeDatabaseServer(): Promise<void> {
  if (server === undefined) return;
  const { embedded, folder } = await server;
  server = undefined;
  template = undefined;
  const stopped = embedded?.stop();
  // Nothing of it is kept, so it need not write the checkpoint of a shutdown in order.
  if (folder !== null) await signalServer(folder, "SIGQUIT");
  await stopped;
}

async function signalServer(folder: string, signal: NodeJS.Signals): Promise<void> {
  const lockFile = await readFile(join(folder, "postgres/cluster/postmaster.pid"), "utf8").catch(() => "");
  const pid = Number(lockFile.split("\n")[0]);
  if (pid > 0) process.kill(pid, signal);
}

async function ownServer(): Promise<Server & { readonly folder: string }> {
  await databaseServerUrl();
  const own = await server;
  if (own === undefined || own.folder === null) throw new Error("Unset TEST_DATABASE_URL: this test ends its server");
  return own as Server & { readonly folder: string };
}

async function startServer(): Promise<Server> {
  const given = process.env["TEST_DATABASE_URL"];
  if (given !== undefined && given !== "") return { url: given, folder: null, embedded: null };
  const folder = await mkdtemp(join(tmpdir(), "sotto-test-"));
  await chmod(folder, 0o711); // as root, another user runs the server
  watchOver(folder);
  const embedded = await startEmbeddedPostgres({ dataDir: folder });
  return { url: embedded.url, folder, embedded };
}

/**
 * A killed test process cannot clean up, and one that ends need not wait while a hundred thousand files are
 * removed. This child sees its end, as the end of a pipe that only the test process holds, and then ends the
 * server, where it still runs, and removes the folder.
 */
function watchOver(folder: string): void {
  const script = `read -r _
    pid=$(head -n 1 "$1/postgres/cluster/postmaster.pid" 2>/dev/null)
    tries=0
    if [ -n "$pid" ] && kill -QUIT "$pid" 2>/dev/null; then
      while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 100 ]; do sleep 0.1; tries=$((tries + 1)); done
    fi
    rm -rf "$1" || { sleep 1; rm -rf "$1"; }`;
  const watcher = Bun.spawn(["/bin/sh", "-c", script, "sh", folder], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  watcher.unref();
}

async function createDatabase(options: string): Promise<TestDatabase> {
  created += 1;
  const name = `test_${process.pid}_${created}`;
  await administer((admin) => admin.query(`create database ${name} ${options}`));
  const url = await urlOf(name);
  const db = openDatabase(url);
  return {
    url,
    db,
    [Symbol.asyncDispose]: async () => {
      await db[Symbol.asyncDispose]();
      // A drop costs a checkpoint, up to a second; our own server's folder goes as a whole.
      if ((await server)?.folder === null)
        await administer((admin) => admin.query(`drop database ${name} with (force)`));
    },
  };
}

async function createTemplate(): Promise<string> {
  const name = `template_${process.pid}`;
  await administer(async (db) => {
    await db.query(`drop database if exists ${name}`);
    await db.query(`create database ${name}`);
  });
  await using db = openDatabase(await urlOf(name), { poolSize: 1 });
  await migrate(db, MIGRATIONS);
  return name;
}

async function urlOf(database: string): Promise<string> {
  const url = new URL(await databaseServerUrl());
  url.pathname = `/${database}`;
  return url.href;
}

async function administer<T>(work: (db: Database) => Promise<T>): Promise<T> {
  await using db = openDatabase(await databaseServerUrl(), { poolSize: 1, queryTimeoutMs: 30_000 });
  return await work(db);
}
