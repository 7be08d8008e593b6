/**
 * The database that comes with Sotto: a real Postgres server in the data folder, on a port
 * of the loopback address, with a password kept beside it.
 *
 * - One owner: the process that holds an advisory lock in the server. The lock dies with its
 *   connection and so with the process, however it ends; there is no file that could be stale.
 * - The server outlives a killed owner; the next one finds it and goes on with it.
 * - A server that dies under a living owner is started again, on the same port.
 * - `stop()` leaves no process behind.
 */

import { realpath } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { findPostgresBinaries, type Identity, type PostgresBinaries } from "./postgres_binaries.ts";
import {
  CLUSTER_USER,
  ClusterError,
  choosePort,
  clusterMajor,
  clusterPassword,
  clusterPath,
  ensureCluster,
  findPostmaster,
  lastWords,
  prepareRoot,
  serverIdentity,
  spawnServer,
  stopPostmaster,
} from "./postgres_cluster.ts";

/** What {@link startEmbeddedPostgres} may be told. */
export interface EmbeddedPostgresOptions {
  /** The folder that holds everything; made when it is absent. */
  readonly dataDir: string;
  /** Told what is worth knowing, one sentence at a time. */
  readonly log?: (message: string) => void;
}

/** A server that this process owns. */
export interface EmbeddedPostgres {
  /** Connection string of the database `sotto`, as its superuser. */
  readonly url: string;
  /** Whether the server survived an earlier owner. */
  readonly reused: boolean;
  /** Gives up the lock, ends the server and waits until its processes are gone. */
  stop(): Promise<void>;
}

/** Another living process owns the data folder. */
export class DataFolderInUseError extends Error {
  override readonly name = "DataFolderInUseError";
}

const DATABASE = "sotto";
/** Any constant serves: nothing else takes locks in the database `postgres`. */
const OWNER_LOCK = 5_077_001;
const START_MS = 60_000;
/** The kernel tells the server of a killed owner at once, the server needs a moment to notice. */
const LOCK_MS = 3_000;
const STEP_MS = 25;

/**
 * Starts, or takes over, the server of a data folder and becomes its owner.
 *
 * @throws {DataFolderInUseError} while another process owns it
 * @throws {ClusterError} when the folder cannot be used
 * @throws {NoPostgresError} when no server program runs on this machine
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const root = join(options.dataDir, "postgres");
  await prepareRoot(root);
  const identity = await serverIdentity(root);
  const major = await clusterMajor(root);
  const binaries = await findPostgresBinaries({ copyDir: root, identity, ...(major === undefined ? {} : { major }) });
  await ensureCluster(root, binaries, identity);
  const log = options.log ?? (() => {});
  const owner = new Owner({
    root: await realpath(root),
    identity,
    binaries,
    password: await clusterPassword(root),
    log,
  });
  await owner.start();
  return owner;
}

/** The connection string of a data folder's server, if one is running; it owns nothing. */
export async function findEmbeddedPostgres(dataDir: string): Promise<string | null> {
  const root = join(dataDir, "postgres");
  const postmaster = await findPostmaster(root);
  return postmaster === null ? null : connectionString(postmaster.port, await clusterPassword(root), DATABASE);
}

interface Cluster {
  readonly root: string;
  readonly identity: Identity;
  readonly binaries: PostgresBinaries;
  readonly password: string;
  readonly log: (message: string) => void;
}

class Owner implements EmbeddedPostgres {
  readonly #cluster: Cluster;
  #port = 0;
  #pid = 0;
  /** The server that we started and do not own yet. */
  #starting: number | undefined;
  #lock: pg.Client | undefined;
  #recovery: Promise<void> | undefined;
  #reused = true;
  #stopping = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get url(): string {
    return connectionString(this.#port, this.#cluster.password, DATABASE);
  }

  get reused(): boolean {
    return this.#reused;
  }

  async start(): Promise<void> {
    const client = await this.#reach();
    try {
      await ensureDatabase(client);
    } catch (error) {
      await client.end();
      throw error;
    }
    this.#hold(client);
  }

  async stop(): Promise<void> {
    if (this.#stopping) return;
    this.#stopping = true;
    await this.#recovery;
    const lock = this.#lock;
    // The server is ended while the lock is held, so that no successor can start to rely on it.
    // Without the lock another may own it: then only a server that we were just starting is ours.
    if (lock !== undefined) await stopPostmaster(this.#pid);
    else if (this.#starting !== undefined) await stopPostmaster(this.#starting);
    await lock?.end().catch(() => {});
  }

  /** Finds or starts the server and takes the lock. */
  async #reach(): Promise<pg.Client> {
    const deadline = Date.now() + START_MS;
    let spawned: { readonly exited: Promise<number>; over: boolean } | undefined;
    for (;;) {
      const postmaster = await findPostmaster(this.#cluster.root);
      if (postmaster === null && (spawned === undefined || spawned.over)) {
        if (spawned?.over === true) await this.#explain(deadline);
        spawned = await this.#spawn();
      }
      const client = postmaster === null || postmaster.port === 0 ? null : await this.#connect(postmaster.port);
      if (client !== null && postmaster !== null) {
        await takeLock(client, this.#cluster.root);
        this.#port = postmaster.port;
        this.#pid = postmaster.pid;
        this.#starting = undefined;
        return client;
      }
      if (this.#stopping) throw new ClusterError("Start again: Postgres was stopped while it started");
      if (Date.now() > deadline)
        throw new ClusterError(`Look at ${this.#cluster.root}/server.log: Postgres does not start`);
      await Bun.sleep(STEP_MS);
    }
  }

  async #spawn(): Promise<{ readonly exited: Promise<number>; over: boolean }> {
    const { root, binaries, identity } = this.#cluster;
    // The address was given out: a restart keeps its port.
    const port = await choosePort(root, this.#port === 0 ? undefined : this.#port);
    const child = await spawnServer(root, binaries, identity, port);
    this.#reused = false;
    this.#starting = child.pid;
    const state = { exited: child.exited, over: false };
    void child.exited.then(() => {
      state.over = true;
    });
    return state;
  }

  /** A server that ended at once: its old children may still be leaving, so it is tried again for a while. */
  async #explain(deadline: number): Promise<void> {
    if (Date.now() > deadline - START_MS + LOCK_MS) {
      throw new ClusterError(
        `Look at ${this.#cluster.root}/server.log: Postgres ended: ${await lastWords(this.#cluster.root)}`,
      );
    }
    await Bun.sleep(10 * STEP_MS);
  }

  /** A connection to our own server, or null while it does not answer yet. */
  async #connect(port: number): Promise<pg.Client | null> {
    const client = new pg.Client({
      connectionString: connectionString(port, this.#cluster.password, "postgres"),
      application_name: "sotto owner",
      connectionTimeoutMillis: 3_000,
      keepAlive: true,
    });
    client.on("error", () => {}); // "end" follows, and is what counts
    try {
      await client.connect();
      const { rows } = await client.query<{ directory: string }>(
        "select current_setting('data_directory') as directory",
      );
      if (rows[0]?.directory === clusterPath(this.#cluster.root)) return client;
    } catch {
      // starting, stopping, or a stranger on the port
    }
    await client.end().catch(() => {});
    return null;
  }

  #hold(client: pg.Client): void {
    this.#lock = client;
    client.once("end", () => {
      this.#lock = undefined;
      if (this.#stopping) return;
      this.#cluster.log("The embedded Postgres went away: starting it again");
      this.#recovery = this.#recover();
    });
  }

  async #recover(): Promise<void> {
    while (!this.#stopping) {
      try {
        this.#hold(await this.#reach());
        this.#cluster.log("The embedded Postgres is back");
        return;
      } catch (error) {
        this.#cluster.log(`The embedded Postgres is not back: ${(error as Error).message}`);
        await Bun.sleep(1_000);
      }
    }
  }
}

async function takeLock(client: pg.Client, root: string): Promise<void> {
  const deadline = Date.now() + LOCK_MS;
  for (;;) {
    const { rows } = await client.query<{ mine: boolean }>("select pg_try_advisory_lock($1) as mine", [OWNER_LOCK]);
    if (rows[0]?.mine === true) return;
    if (Date.now() > deadline) break;
    await Bun.sleep(STEP_MS);
  }
  await client.end();
  throw new DataFolderInUseError(
    `Stop the other Sotto server that uses this data folder, or set DATA_DIR to another one: current value is ${join(root, "..")}`,
  );
}

async function ensureDatabase(client: pg.Client): Promise<void> {
  const { rowCount } = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
  if (rowCount === 0) await client.query(`create database ${DATABASE}`);
}

function connectionString(port: number, password: string, database: string): string {
  return `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/${database}`;
}
