/**
 * The program: reads the configuration, starts the database and the server, says where they are,
 * and ends both in order.
 *
 * Ends at SIGTERM, SIGINT or SIGHUP, and when the launcher that started it is gone. What is in
 * flight is answered first; it takes at most ten seconds, and leaves no process behind.
 */
import { join } from "node:path";
import { type AppOptions, createApp } from "./app.ts";
import { type Config, ConfigError, loadConfig, workerEnvironment } from "./config.ts";
import { DataFolderError } from "./platform/data_folder.ts";
import { DataFolderInUseError } from "./platform/embedded_postgres.ts";
import { createLog, type Log } from "./platform/log.ts";
import { createMetrics } from "./platform/metrics.ts";
import { MigrationError } from "./platform/migrate.ts";
import { checkPort, PortTakenError } from "./platform/port.ts";
import { NoPostgresError } from "./platform/postgres_binaries.ts";
import { ClusterError } from "./platform/postgres_cluster.ts";
import { DatabaseRefusedError, startDatabase } from "./platform/start_database.ts";
import { groupMetrics } from "./platform/worker_metrics.ts";
import { startWorkers, tellReady, WorkersError } from "./platform/workers.ts";

/** What an operator can mend; their messages say how, so no stack is shown. */
const FOR_THE_OPERATOR = [
  ClusterError,
  ConfigError,
  DatabaseRefusedError,
  DataFolderError,
  DataFolderInUseError,
  MigrationError,
  NoPostgresError,
  PortTakenError,
  WorkersError,
];
const MIGRATIONS = join(import.meta.dir, "../sql/migrations");
/** Of the ten seconds, what the server may take; the rest is for Postgres' checkpoint. */
const DRAIN_MS = 7_000;
const WORKER_END_MS = DRAIN_MS + 500;
const LAUNCHER_POLL_MS = 500;

const ending = Promise.withResolvers<string>();
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => ending.resolve(signal));
// The terminal may be gone while the server still drains.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});

try {
  await run();
} catch (error) {
  const mendable = FOR_THE_OPERATOR.some((kind) => error instanceof kind);
  console.error(mendable ? (error as Error).message : error);
  process.exit(1);
}
process.exit(process.exitCode ?? 0);

async function run(): Promise<void> {
  const { config, notices } = await loadConfig();
  const log = createLog({ level: config.logLevel, pretty: !config.production });
  for (const notice of notices) log.warn(notice);
  watch(config, log);
  if (config.isWorker) await serveAsWorker(config, log);
  else await serveWithDatabase(config, log);
}

/** Looks after the database, and serves: by itself, or by workers that share the port. */
async function serveWithDatabase(config: Config, log: Log): Promise<void> {
  await checkPort(config.host, config.port);
  const asked = new AbortController();
  void ending.promise.then(() => asked.abort());
  const database = await startDatabase({
    ...{ ...config, migrations: MIGRATIONS, signal: asked.signal },
    log: (message) => log.warn(message),
  });
  try {
    if (database.migrated.length > 0) log.info({ migrations: database.migrated }, "Migrated the database");
    if (config.clusterWorkers > 1) await serveByWorkers(config, database.url, log);
    else await serve(config, { databaseUrl: database.url, log }, (url) => welcome(config, url, log));
  } finally {
    await database.stop();
  }
  log.info("Ended");
}

/** One of several: the parent looks after the database, so it has an address by now. */
async function serveAsWorker(config: Config, log: Log): Promise<void> {
  if (config.database.kind === "embedded") throw new ConfigError(["Leave SOTTO_WORKER unset: it is for workers only"]);
  const metrics = groupMetrics(createMetrics());
  await serve(config, { databaseUrl: config.database.url, log, metrics }, tellReady);
}

async function serve(
  config: Config,
  options: AppOptions & { readonly log: Log },
  ready: (url: string) => void,
): Promise<void> {
  const { log } = options;
  const app = await createApp(config, options);
  ready(app.url);
  log.info({ reason: await ending.promise }, "Ending");
  await within(DRAIN_MS, app[Symbol.asyncDispose](), () => log.warn("Not everything ended in time"));
}

async function serveByWorkers(config: Config, databaseUrl: string, log: Log): Promise<void> {
  const workers = await startWorkers({
    program: import.meta.path,
    count: config.clusterWorkers,
    environment: workerEnvironment(databaseUrl),
    metrics: createMetrics(),
    endMs: WORKER_END_MS,
    onDeath: (sentence) => log.error(sentence),
  });
  const host = config.host.includes(":") ? `[${config.host}]` : config.host;
  welcome(config, `http://${host}:${config.port}`, log);
  const reason = await Promise.race([ending.promise, workers.gaveUp]);
  log.info({ reason: reason instanceof WorkersError ? "no worker serves" : reason }, "Ending");
  await workers.stop();
  if (reason instanceof WorkersError) throw reason;
}

/** Faults that nobody caught, and the end of the launcher. */
function watch(config: Config, log: Log): void {
  process.on("unhandledRejection", (error) => log.error({ err: error }, "A rejection was not handled"));
  process.on("uncaughtException", (error) => {
    // What state the program is in is unknown now: end it, in order as far as that goes.
    log.fatal({ err: error }, "An exception was not caught");
    process.exitCode = 1;
    ending.resolve("uncaughtException");
  });
  const launcher = config.launcherPid;
  if (launcher === null) return;
  if (process.ppid !== launcher) {
    // Started by something in between, so its end cannot be seen; but a worker's parent is gone already.
    if (config.isWorker) ending.resolve("the parent ended");
    return;
  }
  setInterval(() => {
    if (process.ppid !== launcher) ending.resolve("the launcher ended");
  }, LAUNCHER_POLL_MS).unref();
}

async function within(ms: number, work: PromiseLike<void>, late: () => void): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    late();
    timeout.resolve();
  }, ms);
  await Promise.race([work, timeout.promise]);
  clearTimeout(timer);
}

/** The first lines: people read them, programs read the log. */
function welcome(config: Config, url: string, log: Log): void {
  const database = config.database.kind === "embedded" ? "embedded" : "configured";
  if (config.production) {
    log.info({ url, dataDir: config.dataDir, database }, "Sotto is ready");
    return;
  }
  const post = (path: string, body: object) =>
    `curl -s ${url}${path} -H 'content-type: application/json' -d '${JSON.stringify(body)}'`;
  const account = { username: "ada", password: "violet-harbour-93-lantern" };
  console.log(`
Sotto is ready

  address   ${url}
  data      ${config.dataDir} (${config.database.kind === "embedded" ? "embedded Postgres and secrets" : "secrets; Postgres is where DATABASE_URL says"})
  mail      ${config.mail.kind === "folder" ? `${config.mail.path} (one file each; nothing is sent)` : "goes to SMTP_URL"}
  stop      Ctrl-C

Try next
  ${post("/api/auth/signup", account)}
  ${post("/api/auth/signin", account)}
`);
}
