/**
 * Postgres: one bounded pool for ordinary statements, and dedicated connections for the
 * few users that need their own settings (the log's lanes, the cursor flush).
 *
 * - Every statement has a deadline on both sides; a wait for a free connection has one too.
 * - A fault of the database leaves here as {@link DatabaseFault}; the statement's own errors
 *   (a violated constraint) keep their SQLSTATE in `code` and pass through.
 * - int8 comes back as a number: every int8 of the schema stays below 2^53.
 */
import pg from "pg";

pg.types.setTypeParser(pg.types.builtins.INT8, Number);

/** What runs statements: the pool, a transaction, or a dedicated connection. */
export interface Sql {
  /** Runs one statement and gives its rows. `name` makes it a prepared statement. */
  query<Row extends object>(text: string, values?: readonly unknown[], name?: string): Promise<Row[]>;
}

/** A connection of its own, for one user; it is not replaced when it breaks. */
export interface Connection extends Sql, AsyncDisposable {
  /** Whether the connection has ended or failed. */
  readonly broken: boolean;
}

/** What {@link Database.connect} may be told. */
export interface ConnectOptions {
  /** Run-time parameters, as `{ lock_timeout: "200ms" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Milliseconds until a statement is given up. */
  readonly queryTimeoutMs?: number;
}

/** The database as the slices see it. */
export interface Database extends Sql, AsyncDisposable {
  /** Runs `work` in one transaction: commits what it returns from, rolls back what it throws from. */
  transaction<T>(work: (tx: Sql) => Promise<T>): Promise<T>;
  /** Opens a connection of its own. */
  connect(name: string, options?: ConnectOptions): Promise<Connection>;
}

/** What {@link openDatabase} may be told. */
export interface OpenDatabaseOptions {
  /** Connections in the pool. */
  readonly poolSize?: number;
  /** Milliseconds until a statement is given up. */
  readonly queryTimeoutMs?: number;
  /** Told of faults on idle connections. */
  readonly onFault?: (error: Error) => void;
}

/** The database does not answer, or ended the connection: nothing is known of the statement's effect. */
export class DatabaseFault extends Error {
  override readonly name = "DatabaseFault";
}

const CONNECT_TIMEOUT_MS = 3_000;

/** Opens a database; connections are made when they are needed. */
export function openDatabase(url: string, options: OpenDatabaseOptions = {}): Database {
  const queryTimeoutMs = options.queryTimeoutMs ?? 4_000;
  const onFault = options.onFault ?? (() => {});
  const pool = new pg.Pool({
    connectionString: url,
    max: options.poolSize ?? 8,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: queryTimeoutMs,
    statement_timeout: queryTimeoutMs,
    application_name: "sotto",
  });
  pool.on("error", onFault);
  return {
    query: (text, values, name) => run(pool, text, values, name),
    transaction: (work) => inTransaction(pool, work),
    connect: (name, connectOptions) => connect(url, name, { queryTimeoutMs, ...connectOptions }, onFault),
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

/** Asks the database for nothing but an answer. */
export async function pingDatabase(sql: Sql): Promise<void> {
  await sql.query("select 1");
}

async function inTransaction<T>(pool: pg.Pool, work: (tx: Sql) => Promise<T>): Promise<T> {
  const client = await guarded(() => checkOut(pool));
  let fault: Error | undefined;
  try {
    await run(client, "begin");
    const result = await work({ query: (text, values, name) => run(client, text, values, name) });
    await run(client, "commit");
    return result;
  } catch (error) {
    // A connection whose rollback fails is not given back to the pool.
    await run(client, "rollback").catch((cause: Error) => {
      fault = cause;
    });
    throw error;
  } finally {
    client.off("error", ignore);
    client.release(fault);
  }
}

/**
 * Takes a connection out of the pool, which from then on does not listen to it. It is listened to in the step in
 * which it is handed over: that it is ready and that it has ended may come in one packet.
 */
function checkOut(pool: pg.Pool): Promise<pg.PoolClient> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client) => {
      if (client === undefined) return reject(error);
      client.on("error", ignore);
      resolve(client);
    });
  });
}

/** The statement under way, or the next one, rejects with the same error. */
function ignore(): void {}

async function connect(
  url: string,
  name: string,
  options: ConnectOptions,
  onFault: (error: Error) => void,
): Promise<Connection> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    application_name: `sotto ${name}`,
    keepAlive: true,
    ...(options.queryTimeoutMs === undefined
      ? {}
      : { query_timeout: options.queryTimeoutMs, statement_timeout: options.queryTimeoutMs }),
    options: Object.entries(options.settings ?? {})
      .map(([key, value]) => `-c ${key}=${value.replaceAll(" ", "\\ ")}`)
      .join(" "),
  });
  let broken = false;
  client.on("error", (error) => {
    broken = true;
    onFault(error);
  });
  client.on("end", () => {
    broken = true;
  });
  await guarded(() => client.connect());
  return {
    get broken() {
      return broken;
    },
    query: async (text, values, statementName) => {
      try {
        return await run(client, text, values, statementName);
      } catch (error) {
        // After a client-side timeout the answer may still arrive: the connection is of no more use.
        if (error instanceof DatabaseFault) broken = true;
        throw error;
      }
    },
    [Symbol.asyncDispose]: async () => {
      broken = true;
      await client.end().catch(onFault);
    },
  };
}

async function run<Row extends object>(
  on: pg.Pool | pg.ClientBase,
  text: string,
  values?: readonly unknown[],
  name?: string,
): Promise<Row[]> {
  const query = {
    text,
    ...(values === undefined ? {} : { values: [...values] }),
    ...(name === undefined ? {} : { name }),
  };
  return guarded(async () => (await on.query<Row>(query)).rows);
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isFault(error) ? new DatabaseFault("The database does not answer", { cause: error }) : error;
  }
}

/** SQLSTATE classes that speak of the server and not of the statement (PostgreSQL, appendix A). */
const FAULT_STATES = /^(08|53|57P|58|XX|25P03|57014)/;

function isFault(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  // No SQLSTATE: the driver's own errors (time-out, connection ended, ECONNREFUSED).
  return typeof code !== "string" || !/^[0-9A-Z]{5}$/.test(code) || FAULT_STATES.test(code);
}
