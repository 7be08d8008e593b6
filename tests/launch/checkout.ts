/** A clean copy of the checkout, and servers started in it as a person would start them. */
import { chown, cp, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { waitUntil } from "../support/wait.ts";

const ROOT = join(import.meta.dir, "../..");

/** Makes a folder that every user may enter, with the files that git would bring and nothing else. */
export async function copyCheckout(): Promise<{ readonly folder: string; readonly checkout: string }> {
  const folder = await mkdtemp(join(tmpdir(), "sotto-launch-"));
  await Bun.$`chmod 755 ${folder}`.quiet();
  const checkout = join(folder, "sotto");
  const listed = await Bun.$`git ls-files -z --cached --others --exclude-standard`.cwd(ROOT).quiet().text();
  for (const path of listed.split("\0").filter((name) => name !== "")) {
    if (!(await Bun.file(join(ROOT, path)).exists())) continue; // removed and not committed yet
    await mkdir(dirname(join(checkout, path)), { recursive: true });
    await cp(join(ROOT, path), join(checkout, path));
  }
  return { folder, checkout };
}

/** Gives a folder and all below it to a user. */
export async function giveTo(uid: number, folder: string): Promise<void> {
  await chown(folder, uid, uid);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await giveTo(uid, path);
    else if (entry.isFile()) await chown(path, uid, uid);
  }
}

/** What {@link launch} may be told. */
export interface LaunchOptions {
  readonly checkout: string;
  readonly env: Readonly<Record<string, string>>;
  /** Standard: `npm start`. */
  readonly command?: readonly string[];
  readonly uid?: number;
}

/** A command that was started. */
export interface Launched {
  /** Of the command itself: npm, or Bun. */
  readonly pid: number;
  readonly exited: Promise<number>;
  /** All that it printed so far. */
  output(): string;
  /** Waits for the line that gives the address; throws what was printed where the command ended. */
  ready(): Promise<string>;
}

/** Starts the server. */
export function launch({ checkout, env, command = ["npm", "start"], uid }: LaunchOptions): Launched {
  const child = Bun.spawn([...command], {
    cwd: checkout,
    env: { ...inherited(), ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const printed: string[] = [];
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const chunk of stream) printed.push(Buffer.from(chunk).toString());
  };
  const ends = Promise.all([collect(child.stdout), collect(child.stderr)]);
  const output = () => printed.join("");
  let over = false;
  const exited = child.exited.then(async (code) => {
    await Promise.race([ends, Bun.sleep(1_000)]); // a process that was left behind could hold the pipe
    over = true;
    return code;
  });
  return {
    pid: child.pid,
    exited,
    output,
    ready: async () => {
      const address = () => /^ {2}address {3}(http\S+)$/m.exec(output())?.[1];
      await waitUntil("the first lines, or the end", () => address() !== undefined || over, 120_000);
      const found = address();
      if (found === undefined) throw new Error(`It did not start:\n${output()}`);
      return found;
    },
  };
}

/** How npm is set up on this machine, and nothing of what started these tests. */
function inherited(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(PATH|HOME|npm_config_(registry|cache|offline|prefer_offline|userconfig|globalconfig))$/i.test(name),
  );
  return Object.fromEntries(kept.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])));
}

/** A running process that has to do with the folder. */
export interface Running {
  readonly pid: number;
  readonly command: string;
}

/** Processes that work in the folder or name it: npm, the launcher, the server, Postgres and its children. */
export async function processesOf(folder: string): Promise<Running[]> {
  const found: Running[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    const read = (file: string) => readFile(`/proc/${name}/${file}`, "utf8").catch(() => "");
    const command = (await read("cmdline")).replaceAll("\0", " ");
    const cwd = await Bun.$`readlink /proc/${name}/cwd`.quiet().nothrow().text();
    if (/^\d+ .*\) Z /.test(await read("stat"))) continue;
    if (command.includes(folder) || cwd.startsWith(folder)) found.push({ pid: Number(name), command });
  }
  return found;
}

/** Ends what a failed test left, and removes the folder. */
export async function removeCheckout(folder: string): Promise<void> {
  for (const { pid } of await processesOf(folder)) process.kill(pid, "SIGKILL");
  await rm(folder, { recursive: true, force: true });
}
