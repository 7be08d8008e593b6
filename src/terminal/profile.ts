/**
 * Who one is on this machine: a file with the account's name, its session and its private key, readable by
 * this user only (0600, in a folder that is 0700). A second file holds what is not finished; see `file_store.ts`.
 * A lock keeps two terminals from using one device at once, which would end its session.
 */

import { rmSync } from "node:fs";
import { chmod, mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { PemKeys, Session } from "../client/mod.ts";

/** What the file holds. Everything in it but names and the address is secret. */
export interface ProfileContent {
  readonly server: string;
  readonly username: string;
  readonly keys: PemKeys;
  /** The last session, also where it has ended: its device goes on with the next one. */
  readonly session: Session;
  /** Whether the session can be gone on with; false after signing out. */
  readonly signedIn: boolean;
}

/** Another terminal has this profile open. */
export class ProfileInUseError extends Error {
  override readonly name = "ProfileInUseError";
}

/** One profile's files. */
export class Profile implements Disposable {
  /** The file with the account. */
  readonly path: string;
  /** The file with what is not finished. */
  readonly statePath: string;
  readonly #unlock: () => void;
  #content: ProfileContent | null;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  private constructor(base: string, content: ProfileContent | null) {
    this.path = `${base}.json`;
    this.statePath = `${base}.state.json`;
    this.#unlock = () => rmSync(`${base}.lock`, { force: true });
    process.on("exit", this.#unlock);
    this.#content = content;
  }

  /** Opens a profile, a new one where there is none. Throws {@link ProfileInUseError}. */
  static async open(configFolder: string, name: string): Promise<Profile> {
    const folder = join(configFolder, "sotto");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    const base = join(folder, name);
    await takeLock(`${base}.lock`);
    try {
      const text = await readIfThere(`${base}.json`);
      // What is not finished belongs to an account: without one it is nobody's.
      if (text === null) await rm(`${base}.state.json`, { force: true });
      return new Profile(base, text === null ? null : (JSON.parse(text) as ProfileContent));
    } catch (cause) {
      await rm(`${base}.lock`, { force: true });
      throw new Error(`Mend or remove ${base}.json: it cannot be read`, { cause });
    }
  }

  /** What the file holds; `null` where there is none yet. */
  get content(): ProfileContent | null {
    return this.#content;
  }

  /** Writes the file; one change after the other. */
  save(content: ProfileContent): Promise<void> {
    this.#content = content;
    // What comes later is written later, also where an earlier write failed.
    const write = () => writeSecretly(this.path, JSON.stringify(content, null, 2));
    this.#writing = this.#writing.then(write, write);
    return this.#writing;
  }

  /** New tokens of the session. */
  async keepSession(session: Session): Promise<void> {
    if (this.#content !== null) await this.save({ ...this.#content, session });
  }

  /** The session has ended: the next start asks for the password. */
  async forgetSession(): Promise<void> {
    if (this.#content !== null) await this.save({ ...this.#content, signedIn: false });
  }

  /** Once: afterwards the lock may be another one's. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    process.off("exit", this.#unlock);
    this.#unlock();
  }
}

/** Replaces a file, all of it or nothing, readable by this user only; resolves once it would survive a crash. */
export async function writeSecretly(path: string, text: string): Promise<void> {
  const next = `${path}.next`;
  const file = await open(next, "w", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(next, path);
  const folder = await open(dirname(path), "r");
  await folder.sync().finally(() => folder.close());
}

/** The text of a file; `null` where there is none. */
export async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
}

async function takeLock(path: string): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return await writeFile(path, String(process.pid), { flag: "wx", mode: 0o600 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const holder = Number(await readIfThere(path));
    if (holder > 0 && isAlive(holder)) {
      throw new ProfileInUseError(`Close the other terminal first (process ${holder}), or choose another --profile`);
    }
    await rm(path, { force: true });
  }
  throw new ProfileInUseError(`Remove ${path}: it cannot be taken`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
