/**
 * Brings the database to where the server can use it: the embedded one or the configured one,
 * reachable, durable, migrated.
 */
import { startEmbeddedPostgres } from "./embedded_postgres.ts";
import { migrate } from "./migrate.ts";
import { type Database, DatabaseFault, openDatabase, pingDatabase } from "./postgres.ts";

/** What {@link startDatabase} is told. */
export interface StartDatabaseOptions {
  readonly database: { readonly kind: "url"; readonly url: string } | { readonly kind: "embedded" };
  /** Who may change the schema, where the application's role may not. */
  readonly maintenanceDatabaseUrl: string | null;
  readonly dataDir: string;
  /** Folder of the migration files. */
  readonly migrations: string;
  readonly log: (message: string) => void;
  /** Ends the waiting for a configured server. */
  readonly signal?: AbortSignal;
  /** Milliseconds to wait for a configured server that does not answer yet; standard 30,000. */
  readonly patienceMs?: number;
}

/** A database that is ready. */
export interface StartedDatabase {
  readonly url: string;
  /** Migrations that were applied now. */
  readonly migrated: readonly string[];
  /** Ends what was started here; a configured server is left alone. */
  stop(): Promise<void>;
}

/** The database cannot be used as it is; the message is for the operator. */
export class DatabaseRefusedError extends Error {
  override readonly name = "DatabaseRefusedError";
}

/** Makes the database ready, or throws one sentence that says what to change. */
export async function startDatabase(options: StartDatabaseOptions): Promise<StartedDatabase> {
  const embedded = options.database.kind === "embedded" ? await startEmbeddedPostgres(options) : null;
  const url = options.database.kind === "url" ? options.database.url : (embedded?.url ?? "");
  try {
    await using db = openDatabase(url, { poolSize: 1 });
    await waitForAnswer(db, options);
    await checkDurability(db);
    await using maintenance = openDatabase(options.maintenanceDatabaseUrl ?? url, { poolSize: 1 });
    const migrated = await migrate(maintenance, options.migrations);
    return { url, migrated, stop: async () => embedded?.stop() };
  } catch (error) {
    await embedded?.stop();
    throw error;
  }
}

const PATIENCE_MS = 30_000;

/** A database that is started together with the server may come a little later. */
async function waitForAnswer(
  db: Database,
  { patienceMs = PATIENCE_MS, signal, log }: StartDatabaseOptions,
): Promise<void> {
  const deadline = Date.now() + patienceMs;
  for (let told = false; ; told = true) {
    try {
      await pingDatabase(db);
      return;
    } catch (error) {
      const reason =
        error instanceof Error && error.cause instanceof Error ? error.cause.message : (error as Error).message;
      // A wrong password or name does not mend itself.
      if (!(error instanceof DatabaseFault) || signal?.aborted === true || Date.now() > deadline) {
        throw new DatabaseRefusedError(`Check the database address: ${reason}`, { cause: error });
      }
      if (!told) log(`Waiting for the database: ${reason}`);
      await Bun.sleep(500);
    }
  }
}

/**
 * Refuses a server that may lose what it acknowledged (promise P1).
 *
 * @throws {DatabaseRefusedError} naming the settings
 */
export async function checkDurability(db: Database): Promise<void> {
  const rows = await db.query<{ name: string }>(
    "select name from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit') and setting = 'off' order by name",
  );
  if (rows.length === 0) return;
  const names = rows.map((row) => row.name).join(", ");
  throw new DatabaseRefusedError(`Turn ${names} on in Postgres: with it off, acknowledged messages can be lost`);
}
