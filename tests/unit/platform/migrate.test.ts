import { afterEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listApplied, migrate, readMigrations, revertLast } from "../../../src/platform/migrate.ts";
import { openDatabase } from "../../../src/platform/postgres.ts";
import { createEmptyDatabase } from "../../support/postgres.ts";

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function folderOf(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "sotto-migrations-"));
  folders.push(folder);
  for (const [name, sql] of Object.entries(files)) await writeFile(join(folder, name), sql);
  return folder;
}

const ONE = { "0001_one.sql": "create table one (id int); insert into one values (1);" };
const TWO = { ...ONE, "0002_two.sql": "create table two (id int);", "0002_two.down.sql": "drop table two;" };

describe("migrate()", () => {
  test("applies what is missing, in order, once", async () => {
    await using database = await createEmptyDatabase();
    expect(await migrate(database.db, await folderOf(ONE))).toEqual(["0001_one"]);
    expect(await migrate(database.db, await folderOf(TWO))).toEqual(["0002_two"]);
    expect(await migrate(database.db, await folderOf(TWO))).toEqual([]);
    expect(await database.db.query("select id from one")).toEqual([{ id: 1 }]);
    expect((await listApplied(database.db)).map((row) => [row.version, row.name])).toEqual([
      [1, "one"],
      [2, "two"],
    ]);
  });

  test("applies each once when four nodes start together", async () => {
    await using database = await createEmptyDatabase();
    const folder = await folderOf({ ...TWO, "0001_one.sql": "create table one (id int); select pg_sleep(0.1);" });
    const nodes = [1, 2, 3, 4].map(() => openDatabase(database.url));
    const applied = await Promise.all(nodes.map((node) => migrate(node, folder)));
    for (const node of nodes) await node[Symbol.asyncDispose]();
    expect(applied.flat()).toEqual(["0001_one", "0002_two"]);
  });

  test("leaves nothing of a migration that fails half-way", async () => {
    await using database = await createEmptyDatabase();
    const folder = await folderOf({ ...ONE, "0002_bad.sql": "create table half (id int); select 1 / 0;" });
    await expect(migrate(database.db, folder)).rejects.toThrow("Mend 0002_bad.sql: division by zero");
    expect((await listApplied(database.db)).map((row) => row.version)).toEqual([1]);
    expect(await database.db.query("select to_regclass('half') as half")).toEqual([{ half: null }]);
  });

  test("refuses a changed file, a newer database, and a file that comes too late", async () => {
    await using database = await createEmptyDatabase();
    await migrate(database.db, await folderOf(TWO));
    const changed = migrate(database.db, await folderOf({ ...TWO, "0001_one.sql": "create table uno ();" }));
    await expect(changed).rejects.toThrow("Restore 0001_one.sql");
    await expect(migrate(database.db, await folderOf(ONE))).rejects.toThrow("Start a newer Sotto");
    await using other = await createEmptyDatabase();
    await migrate(other.db, await folderOf({ "0002_two.sql": "select 2" }));
    const late = migrate(other.db, await folderOf({ ...ONE, "0002_two.sql": "select 2" }));
    await expect(late).rejects.toThrow("Give 0001_one a number above 2");
  });

  test("does not mind line endings", async () => {
    await using database = await createEmptyDatabase();
    await migrate(database.db, await folderOf({ "0001_one.sql": "create table\none ();" }));
    expect(await migrate(database.db, await folderOf({ "0001_one.sql": "create table\r\none ();" }))).toEqual([]);
  });
});

describe("revertLast()", () => {
  test("undoes the newest migration, and refuses one without a down file", async () => {
    await using database = await createEmptyDatabase();
    const folder = await folderOf(TWO);
    await migrate(database.db, folder);
    expect(await revertLast(database.db, folder)).toBe("0002_two");
    expect(await database.db.query("select to_regclass('two') as two")).toEqual([{ two: null }]);
    await expect(revertLast(database.db, folder)).rejects.toThrow("Restore a backup instead: 0001_one");
  });
});

describe("readMigrations()", () => {
  test("refuses a wrong name, a repeated number and a down file of nothing", async () => {
    await expect(readMigrations(await folderOf({ "1_one.sql": "" }))).rejects.toThrow("NNNN_words");
    const twice = await folderOf({ "0001_one.sql": "", "0001_uno.sql": "" });
    await expect(readMigrations(twice)).rejects.toThrow("its own number");
    await expect(readMigrations(await folderOf({ "0001_one.down.sql": "" }))).rejects.toThrow(
      "Remove 0001_one.down.sql",
    );
  });
});
