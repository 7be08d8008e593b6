/** The folder that holds what must last on this machine: the embedded database and kept secrets. */
import { constants } from "node:fs";
import { access, mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** A folder that can be written, and why it is not the one expected. */
export interface DataFolder {
  readonly path: string;
  /** One sentence for the operator when a fallback was taken. */
  readonly notice: string | null;
}

/** What {@link prepareDataFolder} chooses from. */
export interface DataFolderWish {
  /** What the operator asked for; nothing else is tried then. */
  readonly asked: string | null;
  /** Where it goes otherwise. */
  readonly usual: string;
}

/** The folder that was asked for cannot be written. */
export class DataFolderError extends Error {
  override readonly name = "DataFolderError";
}

/**
 * Makes the folder and gives its absolute path.
 *
 * @throws {DataFolderError} when it cannot be written
 */
export async function prepareDataFolder({ asked, usual }: DataFolderWish): Promise<DataFolder> {
  const wanted = resolve(asked ?? usual);
  const problem = await prepare(wanted);
  if (problem === null) return { path: wanted, notice: null };
  if (asked !== null) throw new DataFolderError(`Set DATA_DIR to a folder that can be written: ${wanted}: ${problem}`);
  const fallback = join(tmpdir(), `sotto-${process.getuid?.() ?? 0}`);
  const second = await prepare(fallback);
  if (second !== null) throw new DataFolderError(`Set DATA_DIR to a folder that can be written: ${wanted}: ${problem}`);
  return {
    path: fallback,
    notice: `${wanted} cannot be written (${problem}), so data is in ${fallback}, which may not outlive a reboot: set DATA_DIR`,
  };
}

async function prepare(path: string): Promise<string | null> {
  try {
    // As root, the user that runs Postgres must be able to pass through to its own folder.
    await mkdir(path, { recursive: true, mode: process.getuid?.() === 0 ? 0o711 : 0o700 });
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
}
