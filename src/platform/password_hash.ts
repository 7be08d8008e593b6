/**
 * Password hashes, few at a time: each costs a core some 20 ms (Argon2id) or 190 ms (bcrypt) and
 * Argon2id 19 MiB, so without a bound a burst of sign-ins would stop everything else.
 *
 * - Argon2id with 19 MiB and two passes (OWASP Password Storage Cheat Sheet), or bcrypt with cost 12.
 * - Hashes of either kind verify whatever the setting; `needsRehash` says when to replace one.
 * - bcrypt reads 72 bytes and stops at a zero byte, so what it is given here is a digest of the
 *   whole password. Plain bcrypt hashes made elsewhere verify too, by the bytes bcrypt reads.
 */
import { createHmac } from "node:crypto";
import { createSemaphore } from "./semaphore.ts";

/** What {@link createPasswordHasher} is told. */
export interface PasswordHasherOptions {
  /** What new hashes are made with. */
  readonly algorithm: "argon2id" | "bcrypt";
  /** Hashes at once; as many as cores is right. */
  readonly concurrency: number;
  /** Hashes that may wait. */
  readonly queue: number;
  /** What a new Argon2id hash costs; standard 19 MiB and two passes. Less is for tests in which many sign up. */
  readonly argon2?: { readonly memoryKiB: number; readonly passes: number };
}

/** Hashes and checks passwords. All may throw `OverloadedError` when too many wait. */
export interface PasswordHasher {
  /** A self-describing hash (PHC string). */
  hashPassword(password: string): Promise<string>;
  /** Whether the password belongs to the hash; false also for a hash of unknown form. */
  verifyPassword(password: string, hash: string): Promise<boolean>;
  /** Whether the hash was made in another way than new ones are. */
  needsRehash(hash: string): boolean;
}

const ARGON2 = { memoryKiB: 19_456, passes: 2 } as const;
const BCRYPT = { algorithm: "bcrypt", cost: 12 } as const;
/** Marks a bcrypt hash of our digest, so that plain ones stay distinguishable. */
const DIGESTED = "sotto:";
const BCRYPT_START = `${DIGESTED}$2b$${BCRYPT.cost}$`;
/** Milliseconds a password may wait for its turn: after that the caller has gone away. */
const WAIT_MS = 5_000;

/** Makes a hasher with its own bound. */
export function createPasswordHasher(options: PasswordHasherOptions): PasswordHasher {
  const semaphore = createSemaphore({ concurrency: options.concurrency, queue: options.queue, waitMs: WAIT_MS });
  const { algorithm, argon2 = ARGON2 } = options;
  const argon2Start = `$argon2id$v=19$m=${argon2.memoryKiB},t=${argon2.passes},p=1$`;
  const current = algorithm === "argon2id" ? argon2Start : BCRYPT_START;
  return {
    hashPassword: (password) => semaphore.run(() => make(password, algorithm, argon2)),
    verifyPassword: (password, hash) => semaphore.run(() => check(password, hash)),
    needsRehash: (hash) => !hash.startsWith(current),
  };
}

async function make(
  password: string,
  algorithm: PasswordHasherOptions["algorithm"],
  { memoryKiB, passes }: { readonly memoryKiB: number; readonly passes: number },
): Promise<string> {
  if (algorithm === "argon2id")
    return Bun.password.hash(password, { algorithm, memoryCost: memoryKiB, timeCost: passes });
  return DIGESTED + (await Bun.password.hash(digest(password), BCRYPT));
}

async function check(password: string, hash: string): Promise<boolean> {
  try {
    if (hash.startsWith(DIGESTED)) return await Bun.password.verify(digest(password), hash.slice(DIGESTED.length));
    if (/^\$2[aby]\$/.test(hash)) return await verifyPlainBcrypt(password, hash);
    return await Bun.password.verify(password, hash);
  } catch {
    return false; // not a hash that can be read
  }
}

/** Bun digests passwords above 72 bytes with SHA-512, other programs cut them: here the cut is the one that counts. */
async function verifyPlainBcrypt(password: string, hash: string): Promise<boolean> {
  // Two different long passwords would match one cut hash, so long ones are refused for plain bcrypt: after
  // the same work, else the time would tell that there is an account.
  const fits = Buffer.byteLength(password) <= 72 && !password.includes("\0");
  const matches = await Bun.password.verify(fits ? password : "x", hash.replace(/^\$2[ay]\$/, "$2b$"));
  return fits && matches;
}

function digest(password: string): string {
  return createHmac("sha384", "sotto bcrypt").update(password).digest("base64"); // 64 characters, no zero byte
}
