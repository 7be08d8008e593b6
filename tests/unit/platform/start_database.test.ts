import { afterEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { prepareDataFolder } from "../../../src/platform/data_folder.ts";
import { checkPort } from "../../../src/platform/port.ts";
import type { Database } from "../../../src/platform/postgres.ts";
import { keepSecret } from "../../../src/platform/secrets.ts";
import { checkDurability, startDatabase } from "../../../src/platform/start_database.ts";
import { createEmptyDatabase } from "../../support/postgres.ts";
import { waitUntil } from "../../support/wait.ts";

const MIGRATIONS = join(import.meta.dir, "../../../sql/migrations");
const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sotto-start-"));
  folders.push(folder);
  return folder;
}

/** Waits until the server has read its settings anew. */
function readBy(db: Database, value: "on" | "off"): Promise<void> {
  const statement = "select 1 from pg_settings where name in ('fsync', 'full_page_writes') and setting = $1";
  return waitUntil(`the settings are ${value}`, async () => (await db.query(statement, [value])).length === 2);
}

describe("startDatabase()", () => {
  const options = { maintenanceDatabaseUrl: null, dataDir: "", migrations: MIGRATIONS, log: () => {} };

  test("migrates a configured database, and leaves it running", async () => {
    await using database = await createEmptyDatabase();
    const started = await startDatabase({ ...options, database: { kind: "url", url: database.url } });
    expect(started.migrated.length).toBeGreaterThan(0);
    await started.stop();
    const again = await startDatabase({ ...options, database: { kind: "url", url: database.url } });
    expect(again.migrated).toEqual([]);
  });

  test("gives up a server that does not answer, and a wrong password at once", async () => {
    const silent = {
      ...options,
      patienceMs: 0,
      database: { kind: "url", url: "postgres://a:b@127.0.0.1:9/x" },
    } as const;
    await expect(startDatabase(silent)).rejects.toThrow("Check the database address: ");
    await using database = await createEmptyDatabase();
    const wrong = new URL(database.url);
    wrong.password = "not-it";
    const refused = startDatabase({ ...options, database: { kind: "url", url: wrong.href } });
    await expect(refused).rejects.toThrow("password authentication failed");
  });

  test("refuses a database with synchronous_commit off, before it writes anything", async () => {
    await using database = await createEmptyDatabase();
    const name = new URL(database.url).pathname.slice(1);
    await database.db.query(`alter database ${name} set synchronous_commit = off`);
    const refused = startDatabase({ ...options, database: { kind: "url", url: database.url } });
    await expect(refused).rejects.toThrow("Turn synchronous_commit on in Postgres");
    const tables = await database.db.query("select 1 from pg_tables where tablename = 'schema_migrations'");
    expect(tables).toEqual([]);
  });

  test("refuses a server with fsync and full_page_writes off", async () => {
    await using database = await createEmptyDatabase();
    const { db } = database;
    try {
      await db.query("alter system set fsync = off");
      await db.query("alter system set full_page_writes = off");
      await db.query("select pg_reload_conf()");
      await readBy(db, "off");
      await expect(checkDurability(db)).rejects.toThrow("Turn fsync, full_page_writes on in Postgres");
    } finally {
      await db.query("alter system reset all");
      await db.query("select pg_reload_conf()");
      await readBy(db, "on"); // the tests that follow use the same server
    }
  });
});

describe("keepSecret()", () => {
  test("makes a secret once, also for many at once, and closes a file that was opened", async () => {
    const path = join(await newFolder(), "secret");
    const made = await Promise.all([1, 2, 3, 4].map(() => keepSecret(path, 32)));
    expect(new Set(made).size).toBe(1);
    expect(made[0]).toHaveLength(43);
    await chmod(path, 0o644);
    expect(await keepSecret(path, 32)).toBe(made[0] ?? "");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("refuses a file that was cut off", async () => {
    const path = join(await newFolder(), "secret");
    await writeFile(path, "abc");
    await expect(keepSecret(path, 32)).rejects.toThrow("Restore or remove the secret");
  });
});

describe("prepareDataFolder()", () => {
  test("takes what was asked for, or says why not", async () => {
    const folder = await newFolder();
    expect(await prepareDataFolder({ asked: join(folder, "a/b"), usual: "/x" })).toEqual({
      path: join(folder, "a/b"),
      notice: null,
    });
    await writeFile(join(folder, "file"), "");
    const refused = prepareDataFolder({ asked: join(folder, "file/b"), usual: folder });
    await expect(refused).rejects.toThrow("Set DATA_DIR to a folder that can be written");
  });

  test("falls back with a sentence where the usual place cannot be written", async () => {
    const folder = await newFolder();
    await mkdir(join(folder, "a"));
    await writeFile(join(folder, "file"), "");
    const { path, notice } = await prepareDataFolder({ asked: null, usual: join(folder, "file/sotto") });
    folders.push(path);
    expect(path).toStartWith(tmpdir());
    expect(notice).toContain("may not outlive a reboot: set DATA_DIR");
  });
});

describe("checkPort()", () => {
  test("refuses a taken port and a foreign address in one sentence", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(checkPort("127.0.0.1", port)).rejects.toThrow(
      `Set PORT to a free port or stop the program that listens on it: current value is ${port}`,
    );
    await new Promise((resolve) => server.close(resolve));
    await checkPort("127.0.0.1", port);
    await expect(checkPort("192.0.2.1", 0)).rejects.toThrow("Set HOST to an address of this machine");
  });
});
