/**
 * Encryption at rest of what the server can read: AES-256-GCM (NIST SP 800-38D) under a data key of its
 * owner (a `server` conversation, a report), which is itself wrapped by a master key from the configuration.
 * The first master key wraps new data keys; all of them unwrap.
 *
 * The calls are synchronous, because a sender's messages must reach the log in order.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

/** A master key: 32 bytes and the id that wrapped keys name. */
export interface MasterKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** What is sealed was sealed with a key that is not configured. */
export class MissingKeyError extends Error {
  override readonly name = "MissingKeyError";
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** See the head of this file. */
export class Sealer {
  readonly #masterKeys: readonly MasterKey[];
  /** Unwrapped data keys, for as long as somebody holds the wrapped one. */
  readonly #dataKeys = new WeakMap<Uint8Array, Uint8Array>();

  constructor(masterKeys: readonly MasterKey[]) {
    this.#masterKeys = masterKeys;
  }

  /** A new data key, wrapped: key id, 0x00, nonce, ciphertext, tag. It works for this owner alone. */
  newDataKey(owner: string): Uint8Array {
    const master = this.#masterKeys[0];
    if (master === undefined) throw new Error("Configure an encryption key: there is none");
    const wrapped = seal(master.key, randomBytes(32), `data-key ${owner}`);
    return Buffer.concat([Buffer.from(`${master.id}\0`), wrapped]);
  }

  /** Encrypts a body for its owner and id. */
  seal(dataKey: Uint8Array, owner: string, id: string, body: Uint8Array): Uint8Array {
    return seal(this.#unwrap(dataKey, owner), body, `body ${owner} ${id}`);
  }

  /** Decrypts what {@link seal} gave; throws where anything differs. */
  open(dataKey: Uint8Array, owner: string, id: string, sealed: Uint8Array): Uint8Array {
    return open(this.#unwrap(dataKey, owner), sealed, `body ${owner} ${id}`);
  }

  #unwrap(wrapped: Uint8Array, owner: string): Uint8Array {
    const known = this.#dataKeys.get(wrapped);
    if (known !== undefined) return known;
    const end = wrapped.indexOf(0);
    const id = Buffer.from(wrapped.subarray(0, end)).toString();
    const master = this.#masterKeys.find((candidate) => candidate.id === id);
    if (master === undefined)
      throw new MissingKeyError(`Configure the encryption key that wrapped this data key: its id is ${id}`);
    const dataKey = open(master.key, wrapped.subarray(end + 1), `data-key ${owner}`);
    this.#dataKeys.set(wrapped, dataKey);
    return dataKey;
  }
}

function seal(key: Uint8Array, plain: Uint8Array, context: string): Uint8Array {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array {
  const tagAt = sealed.length - TAG_BYTES;
  const decipher = createDecipheriv("aes-256-gcm", key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
    .setAAD(Buffer.from(context))
    .setAuthTag(sealed.subarray(tagAt));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, tagAt)), decipher.final()]);
}
