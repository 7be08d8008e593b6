/**
 * `npm run migrate -- new NAME | up | status | history | down`.
 *
 * With the embedded database, `status` and `history` also work beside a running server; what
 * changes the schema asks for the data folder to itself.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { loadConfig } from "../src/config.ts";
import { findEmbeddedPostgres, startEmbeddedPostgres } from "../src/platform/embedded_postgres.ts";
import { findPending, listApplied, migrate, readMigrations, revertLast } from "../src/platform/migrate.ts";
import { type Database, openDatabase } from "../src/platform/postgres.ts";

const MIGRATIONS = join(import.meta.dir, "../sql/migrations");
const USAGE = "Usage: npm run migrate -- new NAME | up | status | history | down";

const [command, name] = process.argv.slice(2);
try {
  await run();
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
process.exit(process.exitCode ?? 0);

async function run(): Promise<void> {
  switch (command) {
    case "new":
      return createFile();
    case "up":
      return withDatabase("change", up);
    case "down":
      return withDatabase("change", down);
    case "status":
      return withDatabase("read", status);
    case "history":
      return withDatabase("read", history);
    default:
      throw new Error(USAGE);
  }
}

async function createFile(): Promise<void> {
  if (name === undefined || !/^[a-z0-9_]+$/.test(name))
    throw new Error(`${USAGE}\nName the migration with a-z, 0-9 and _: current value is ${name ?? "none"}`);
  const newest = (await readMigrations(MIGRATIONS)).at(-1)?.version ?? 0;
  const file = `${String(newest + 1).padStart(4, "0")}_${name}.sql`;
  await writeFile(join(MIGRATIONS, file), "-- Why this is needed, what it locks and for how long.\n", { flag: "wx" });
  console.log(`Made sql/migrations/${file}`);
}

async function up(db: Database): Promise<void> {
  const applied = await migrate(db, MIGRATIONS);
  console.log(applied.length === 0 ? "Nothing to apply" : applied.map((label) => `Applied ${label}`).join("\n"));
}

async function down(db: Database): Promise<void> {
  const label = await revertLast(db, MIGRATIONS);
  console.log(label === null ? "Nothing to undo" : `Undid ${label}`);
}

async function status(db: Database): Promise<void> {
  const applied = await listApplied(db);
  const pending = findPending(await readMigrations(MIGRATIONS), applied);
  console.log(`${applied.length} applied, ${pending.length} pending`);
  for (const migration of pending) console.log(`  ${String(migration.version).padStart(4, "0")}_${migration.name}`);
}

async function history(db: Database): Promise<void> {
  for (const row of await listApplied(db)) {
    console.log(
      `${row.appliedAt.toISOString()}  ${String(row.version).padStart(4, "0")}_${row.name}  ${row.checksum.slice(0, 12)}`,
    );
  }
}

async function withDatabase(purpose: "read" | "change", work: (db: Database) => Promise<void>): Promise<void> {
  const { config } = await loadConfig();
  const given = config.maintenanceDatabaseUrl ?? (config.database.kind === "url" ? config.database.url : null);
  const running = given ?? (purpose === "read" ? await findEmbeddedPostgres(config.dataDir) : null);
  const started = running === null ? await startEmbeddedPostgres({ dataDir: config.dataDir }) : null;
  try {
    await using db = openDatabase(running ?? started?.url ?? "", { poolSize: 1 });
    await work(db);
  } finally {
    await started?.stop();
  }
}
