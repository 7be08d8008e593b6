/** HMAC-SHA-256 (RFC 2104) under one key, which is taken in once and not with every text. */
export class KeyedHash {
  readonly #keyed: Bun.CryptoHasher;

  constructor(key: Uint8Array) {
    this.#keyed = new Bun.CryptoHasher("sha256", key);
  }

  /** The hash of some parts, one behind the other: 32 bytes. */
  digest(...parts: readonly (string | Uint8Array)[]): Uint8Array {
    const hash = this.#keyed.copy();
    for (const part of parts) hash.update(part);
    return hash.digest();
  }
}
