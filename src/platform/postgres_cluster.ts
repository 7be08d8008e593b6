/**
 * One Postgres cluster on disk: makes it, starts its server, tells whether the server lives,
 * ends it. Who may use it is not decided here but in `embedded_postgres.ts`.
 *
 * Layout below `root` (which others may enter but not list):
 *   cluster/       PGDATA, of the identity that runs the server
 *   password       the superuser's, 0600, made once
 *   port           the port of the last start
 *   server.log     what the server says; never statements or values
 */
import { closeSync, constants, openSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Identity, PostgresBinaries } from "./postgres_binaries.ts";
import { keepSecret } from "./secrets.ts";

/** The superuser and owner of everything in the cluster. */
export const CLUSTER_USER = "sotto";

/** The server process as its lock file names it. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

/** The cluster cannot be used as it is; the message is for the operator. */
export class ClusterError extends Error {
  override readonly name = "ClusterError";
}

/** PGDATA of the cluster below `root`. */
export function clusterPath(root: string): string {
  return join(root, "cluster");
}

/** Makes the folder; entering it must be possible for the identity that runs the server. */
export async function prepareRoot(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o711 });
  await chmod(root, 0o711);
}

/**
 * The identity that shall run the server: Postgres refuses root, so root hands over to the
 * owner of an existing cluster, else to the user `postgres`, else to `nobody`.
 */
export async function serverIdentity(root: string): Promise<Identity> {
  const uid = process.getuid?.() ?? 0;
  const owner = await stat(clusterPath(root)).catch(() => null);
  if (uid !== 0) {
    if (owner !== null && owner.uid !== uid) {
      throw new ClusterError(`Choose another DATA_DIR: user ${owner.uid} owns the database in ${root}`);
    }
    return null;
  }
  if (owner !== null && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = await readFile("/etc/passwd", "utf8").catch(() => "");
  for (const name of ["postgres", "nobody"]) {
    const fields = accounts
      .split("\n")
      .map((line) => line.split(":"))
      .find(([user]) => user === name);
    if (fields !== undefined) return { uid: Number(fields[2]), gid: Number(fields[3]) };
  }
  return { uid: 65534, gid: 65534 };
}

/** The superuser's password; of two starts at once both get the same. */
export function clusterPassword(root: string): Promise<string> {
  return keepSecret(join(root, "password"), 24);
}

/** Major version of the cluster on disk; undefined while there is none. */
export async function clusterMajor(root: string): Promise<number | undefined> {
  const text = await readFile(join(clusterPath(root), "PG_VERSION"), "utf8").catch(() => null);
  return text === null ? undefined : Number.parseInt(text, 10);
}

/** Makes the cluster where there is none: built beside its place and renamed, so it is whole or absent. */
export async function ensureCluster(root: string, binaries: PostgresBinaries, identity: Identity): Promise<void> {
  if ((await clusterMajor(root)) !== undefined) return;
  await removeAbandoned(root);
  const draft = join(root, `new-${Bun.randomUUIDv7()}`);
  await mkdir(draft, { mode: 0o700 });
  const passwordFile = join(draft, "password");
  await writeFile(passwordFile, await clusterPassword(root), { mode: 0o600 });
  if (identity !== null) {
    await chown(draft, identity.uid, identity.gid);
    await chown(passwordFile, identity.uid, identity.gid);
  }
  try {
    await initdb(join(draft, "data"), passwordFile, binaries, identity);
    await rename(join(draft, "data"), clusterPath(root)).catch(async (error: unknown) => {
      if ((await clusterMajor(root)) === undefined) throw error; // else another start made it
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function initdb(
  data: string,
  passwordFile: string,
  binaries: PostgresBinaries,
  identity: Identity,
): Promise<void> {
  // The built-in provider knows Unicode and sorts the same on every machine; 17 brought it.
  const locale =
    binaries.major >= 17
      ? ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
      : ["--locale=C.UTF-8"];
  const child = Bun.spawn(
    [
      join(binaries.binDir, "initdb"),
      `--pgdata=${data}`,
      `--username=${CLUSTER_USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--no-instructions",
      ...locale,
    ],
    { ...identity, cwd: "/", env: SERVER_ENVIRONMENT, stdio: ["ignore", "ignore", "pipe"] },
  );
  const said = await new Response(child.stderr).text();
  if ((await child.exited) === 0) return;
  const reason = said.trim().split("\n").slice(-2).join(" ");
  const hint =
    identity === null ? "" : ` (Postgres runs as user ${identity.uid}, who must be able to enter the folder)`;
  throw new ClusterError(`Choose another DATA_DIR: the database could not be made in ${data}${hint}: ${reason}`);
}

/** Nothing of ours goes to the server: its environment is readable by others of its user. */
const SERVER_ENVIRONMENT = { LC_ALL: "C", PATH: "/usr/bin:/bin" };

const ABANDONED_MS = 10 * 60_000;

async function removeAbandoned(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    const path = join(root, name);
    if (!name.startsWith("new-")) continue;
    const age = Date.now() - ((await stat(path).catch(() => null))?.mtimeMs ?? Date.now());
    if (age > ABANDONED_MS) await rm(path, { recursive: true, force: true });
  }
}

/** The port to start on: the last one when it is free, else a new one unless `fixed`. */
export async function choosePort(root: string, fixed?: number): Promise<number> {
  const path = join(root, "port");
  if (fixed !== undefined) return fixed;
  const last = Number(await readFile(path, "utf8").catch(() => "0"));
  if (last > 0 && (await isFree(last))) return last;
  for (let attempt = 0; attempt < 50; attempt += 1) {
    // Below the range from which outgoing connections take theirs, so it is still free next time.
    // security: a port is no secret
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    if (!(await isFree(port))) continue;
    await writeFile(path, String(port));
    return port;
  }
  throw new ClusterError("Free a port between 20000 and 32000 on 127.0.0.1 for the embedded Postgres");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Starts the server; resolves at once with the process, which outlives ours. */
export async function spawnServer(
  root: string,
  binaries: PostgresBinaries,
  identity: Identity,
  port: number,
): Promise<{ readonly pid: number; readonly exited: Promise<number> }> {
  const log = await openServerLog(root);
  const settings = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: "",
    max_connections: "100",
    cluster_name: "sotto",
    timezone: "UTC",
    log_timezone: "UTC",
    jit: "off",
    // Statements and the values in an error's detail would carry people's data into the file.
    log_min_error_statement: "panic",
    log_error_verbosity: "terse",
  };
  try {
    const child = Bun.spawn(
      [
        join(binaries.binDir, "postgres"),
        "-D",
        clusterPath(root),
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      // A session of its own: Ctrl-C in the terminal is for the server, which then ends Postgres in order.
      { ...identity, detached: true, cwd: "/", env: SERVER_ENVIRONMENT, stdio: ["ignore", log, log] },
    );
    child.unref();
    return { pid: child.pid, exited: child.exited };
  } finally {
    closeSync(log);
  }
}

const LOG_LIMIT_BYTES = 4 * 1024 * 1024;

async function openServerLog(root: string): Promise<number> {
  const path = join(root, "server.log");
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  if (size > LOG_LIMIT_BYTES) await rename(path, `${path}.1`);
  return openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
}

/** The last words of the server, for an error message. */
export async function lastWords(root: string): Promise<string> {
  const file = await open(join(root, "server.log")).catch(() => null);
  if (file === null) return "";
  try {
    const { size } = await file.stat();
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2_048), 0, 2_048, Math.max(0, size - 2_048));
    return buffer.toString("utf8", 0, bytesRead).trim().split("\n").slice(-3).join(" ");
  } finally {
    await file.close();
  }
}

/**
 * The running server of the cluster, or null. A lock file whose process is gone, or is now
 * another program (numbers are used again, at once so in a container), is removed: Postgres
 * itself would refuse to start over the latter.
 */
export async function findPostmaster(root: string): Promise<Postmaster | null> {
  const path = join(clusterPath(root), "postmaster.pid");
  const lines = (await readFile(path, "utf8").catch(() => "")).split("\n");
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  if (isAlive(pid) && (await runsPostgres(pid))) {
    const port = Number(lines[3]);
    // A server that is just starting has not written its port yet.
    return { pid, port: Number.isInteger(port) && port > 0 ? port : 0 };
  }
  await rm(path, { force: true });
  return null;
}

/** Whether a process is a Postgres by its program; what else it was told may well name one. */
async function runsPostgres(pid: number): Promise<boolean> {
  const given = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => null);
  if (given !== null) return isPostgres(given.split("\0")[0] ?? "");
  const child = Bun.spawn(["/bin/ps", "-o", "comm=", "-p", String(pid)], { stdio: ["ignore", "pipe", "ignore"] });
  return isPostgres(await new Response(child.stdout).text());
}

function isPostgres(program: string): boolean {
  return /(^|\/)postgres$/.test(program.trim());
}

/** Whether a process runs; one that ended and was not waited for does not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(pid);
}

function isZombie(pid: number): boolean {
  try {
    // The name in parentheses may hold anything, so the state is what follows the last one.
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false; // no /proc here
  }
}

const STOP_MS = 8_000;
const STEP_MS = 10;

/** Ends the server: transactions are rolled back and a checkpoint is written; forced when that takes too long. */
export async function stopPostmaster(pid: number): Promise<void> {
  // SIGINT is Postgres' fast shutdown, SIGQUIT its immediate one (PostgreSQL manual, 18.5).
  for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
    if (!isAlive(pid)) return;
    process.kill(pid, signal);
    for (let waited = 0; waited < STOP_MS && isAlive(pid); waited += STEP_MS) await Bun.sleep(STEP_MS);
  }
}
