/** Secrets made once and kept in a file that only its owner may read, and keys made of secrets. */
import { createHmac } from "node:crypto";
import { chmod, link, readFile, stat, unlink, writeFile } from "node:fs/promises";

/**
 * The secret kept at `path`: text without white space, `bytes` random bytes as base64url when it is
 * made now. Of two processes that ask at once, both get the same.
 */
export async function keepSecret(path: string, bytes: number): Promise<string> {
  if ((await stat(path).catch(() => null)) === null) await make(path, bytes);
  const { mode } = await stat(path);
  // An earlier copy or restore may have opened it.
  if ((mode & 0o077) !== 0) await chmod(path, 0o600);
  const secret = (await readFile(path, "utf8")).trim();
  if (secret.length < bytes) throw new Error(`Restore or remove the secret in ${path}: it is empty or cut off`);
  return secret;
}

async function make(path: string, bytes: number): Promise<void> {
  const draft = `${path}.${Bun.randomUUIDv7()}`;
  const fresh = Buffer.from(crypto.getRandomValues(new Uint8Array(bytes))).toString("base64url");
  await writeFile(draft, `${fresh}\n`, { mode: 0o600, flush: true });
  // A link appears whole or not at all, and never replaces another process's.
  await link(draft, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  await unlink(draft);
}

/** 32 bytes made of a secret for one use: a key made for one is of no use for another. */
export function deriveKey(secret: string | Uint8Array, use: string): Uint8Array {
  return new Uint8Array(createHmac("sha256", secret).update(use).digest());
}
