/** The database that the configuration names, for a program that runs beside the server or without it. */
import { join } from "node:path";
import type { Config } from "../config.ts";
import { findEmbeddedPostgres } from "../platform/embedded_postgres.ts";
import { findPending, listApplied, MigrationError, readMigrations } from "../platform/migrate.ts";
import { type Database, openDatabase, pingDatabase } from "../platform/postgres.ts";
import { DatabaseRefusedError, startDatabase } from "../platform/start_database.ts";

/** An open database. Disposing ends what was started for it. */
export interface OpenedDatabase extends AsyncDisposable {
  readonly db: Database;
}

const MIGRATIONS = join(import.meta.dir, "../../sql/migrations");
const PATIENCE_MS = 5_000;
/** Counting reads whole tables. */
const QUERY_MS = 60_000;

/**
 * Opens the configured database, or the embedded one: the running server's, or, where none runs, one that is
 * started for as long as this program runs, and migrated as a server would.
 *
 * Throws `DatabaseRefusedError` where it does not answer, and `MigrationError` where it is not ours to migrate and lacks
 * migrations.
 */
export async function openConfiguredDatabase(config: Config, log: (message: string) => void): Promise<OpenedDatabase> {
  const running = config.database.kind === "url" ? config.database.url : await findEmbeddedPostgres(config.dataDir);
  const started =
    running === null ? await startDatabase({ ...config, migrations: MIGRATIONS, log, patienceMs: PATIENCE_MS }) : null;
  const db = openDatabase(running ?? started?.url ?? "", { poolSize: 2, queryTimeoutMs: QUERY_MS });
  const end = async (): Promise<void> => {
    await db[Symbol.asyncDispose]();
    await started?.stop();
  };
  try {
    await reach(db);
    const pending = findPending(await readMigrations(MIGRATIONS), await listApplied(db));
    if (pending.length > 0) {
      throw new MigrationError(
        `Start the server, or run npm run migrate -- up: migrations that are missing: ${pending.length}`,
      );
    }
    return { db, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

async function reach(db: Database): Promise<void> {
  try {
    await pingDatabase(db);
  } catch (error) {
    const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error);
    throw new DatabaseRefusedError(`Check the database address: ${reason}`, { cause: error });
  }
}
