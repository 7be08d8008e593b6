/**
 * Numbered migrations, forward only: `sql/migrations/NNNN_name.sql`, each in one transaction.
 *
 * - The version row is written first, in the same transaction: of two nodes that pass the lock
 *   by accident, one fails at the primary key and nothing is applied twice.
 * - A file that changed after it was applied, one that appears below the newest applied, and a
 *   database that is newer than the files are refused: each means that the code and the schema
 *   do not belong together.
 * - `NNNN_name.down.sql` beside a migration lets {@link revertLast} undo it.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Connection, Database, Sql } from "./postgres.ts";

/** One migration file. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  /** SHA-256 of the text, as hex; line endings do not count. */
  readonly checksum: string;
  /** What undoes it, where it ships such a file. */
  readonly down: string | null;
}

/** One row of `schema_migrations`. */
export interface AppliedMigration {
  readonly version: number;
  readonly name: string;
  readonly checksum: string;
  readonly appliedAt: Date;
}

/** The database and the migration files do not fit together, or a file is wrong. */
export class MigrationError extends Error {
  override readonly name = "MigrationError";
}

const FILE_NAME = /^(\d{4})_([a-z0-9_]+)(\.down)?\.sql$/;

/** Reads the migrations of a folder in the order of their numbers. */
export async function readMigrations(directory: string): Promise<Migration[]> {
  const files = (await readdir(directory)).filter((file) => file.endsWith(".sql")).sort();
  const downs = new Set(files.filter((file) => file.endsWith(".down.sql")));
  const migrations: Migration[] = [];
  for (const file of files) {
    const parts = FILE_NAME.exec(file);
    if (parts === null)
      throw new MigrationError(`Name the migration NNNN_words_like_this.sql: current value is ${file}`);
    if (parts[3] !== undefined) continue;
    const sql = await readFile(join(directory, file), "utf8");
    const downFile = file.replace(/\.sql$/, ".down.sql");
    const down = downs.delete(downFile) ? await readFile(join(directory, downFile), "utf8") : null;
    migrations.push({ version: Number(parts[1]), name: parts[2] ?? "", sql, checksum: checksum(sql), down });
  }
  const twice = migrations.find((migration, index) => migrations[index - 1]?.version === migration.version);
  if (twice !== undefined) throw new MigrationError(`Give each migration its own number: ${label(twice)} repeats one`);
  for (const file of downs) throw new MigrationError(`Remove ${file}: there is no migration that it undoes`);
  return migrations;
}

/** The applied migrations, oldest first; none where the table does not exist. */
export async function listApplied(sql: Sql): Promise<AppliedMigration[]> {
  const present = await sql.query(
    "select 1 from pg_tables where schemaname = current_schema() and tablename = 'schema_migrations'",
  );
  if (present.length === 0) return [];
  return sql.query<AppliedMigration>(
    `select version, name, checksum, applied_at as "appliedAt" from schema_migrations order by version`,
  );
}

/**
 * Applies what is missing and gives the labels of what it applied (`0001_accounts`).
 *
 * @throws {MigrationError} when files and database do not belong together
 */
export async function migrate(database: Database, directory: string): Promise<string[]> {
  const migrations = await readMigrations(directory);
  return exclusively(database, async (connection) => {
    await connection.query(
      `create table if not exists schema_migrations (
         version integer primary key,
         name text not null,
         checksum text not null,
         applied_at timestamptz not null default now())`,
    );
    const pending = findPending(migrations, await listApplied(connection));
    for (const migration of pending) await apply(connection, migration);
    return pending.map(label);
  });
}

/** What {@link migrate} would apply; the same refusals. */
export function findPending(migrations: readonly Migration[], applied: readonly AppliedMigration[]): Migration[] {
  const known = new Map(migrations.map((migration) => [migration.version, migration]));
  for (const row of applied) {
    const file = known.get(row.version);
    if (file === undefined) {
      throw new MigrationError(
        `Start a newer Sotto: the database was migrated to ${label(row)}, which this one does not know`,
      );
    }
    if (file.checksum !== row.checksum) {
      throw new MigrationError(
        `Restore ${label(file)}.sql and write a new migration: it was changed after it was applied`,
      );
    }
  }
  const newest = applied.at(-1)?.version ?? 0;
  const done = new Set(applied.map((row) => row.version));
  const pending = migrations.filter((migration) => !done.has(migration.version));
  const late = pending.find((migration) => migration.version < newest);
  if (late !== undefined)
    throw new MigrationError(`Give ${label(late)} a number above ${newest}: later ones are applied already`);
  return pending;
}

/**
 * Undoes the newest applied migration and gives its label; null when there is none.
 *
 * @throws {MigrationError} when it ships no down file
 */
export async function revertLast(database: Database, directory: string): Promise<string | null> {
  const migrations = await readMigrations(directory);
  return exclusively(database, async (connection) => {
    const last = (await listApplied(connection)).at(-1);
    if (last === undefined) return null;
    const down = migrations.find((migration) => migration.version === last.version)?.down ?? null;
    if (down === null) throw new MigrationError(`Restore a backup instead: ${label(last)} ships no down file`);
    await inTransaction(connection, async () => {
      await connection.query(down);
      await connection.query("delete from schema_migrations where version = $1", [last.version]);
    });
    return label(last);
  });
}

async function apply(connection: Connection, migration: Migration): Promise<void> {
  try {
    await inTransaction(connection, async () => {
      await connection.query("insert into schema_migrations (version, name, checksum) values ($1, $2, $3)", [
        migration.version,
        migration.name,
        migration.checksum,
      ]);
      await connection.query(migration.sql);
    });
  } catch (error) {
    throw new MigrationError(`Mend ${label(migration)}.sql: ${(error as Error).message}`, { cause: error });
  }
}

async function inTransaction(connection: Connection, work: () => Promise<void>): Promise<void> {
  await connection.query("begin");
  try {
    await work();
    await connection.query("commit");
  } catch (error) {
    await connection.query("rollback").catch(() => {}); // the first error is the one that counts
    throw error;
  }
}

/** Any constant serves; it guards the schema of one database. */
const MIGRATION_LOCK = 5_077_002;
const MIGRATION_MS = 10 * 60_000;

async function exclusively<T>(database: Database, work: (connection: Connection) => Promise<T>): Promise<T> {
  // A migration that cannot get its table lock soon would hold up everybody who queues behind it.
  await using connection = await database.connect("migrate", {
    queryTimeoutMs: MIGRATION_MS,
    settings: { lock_timeout: "10s" },
  });
  await takeLock(connection);
  return await work(connection); // the lock ends with the connection
}

async function takeLock(connection: Connection): Promise<void> {
  // Another node may be in a long migration: its lock is waited for without the limit above.
  await connection.query("set lock_timeout = 0");
  await connection.query("select pg_advisory_lock($1)", [MIGRATION_LOCK]);
  await connection.query("set lock_timeout = '10s'");
}

function checksum(sql: string): string {
  return createHash("sha256").update(sql.replaceAll("\r\n", "\n")).digest("hex");
}

function label(migration: { readonly version: number; readonly name: string }): string {
  return `${String(migration.version).padStart(4, "0")}_${migration.name}`;
}
