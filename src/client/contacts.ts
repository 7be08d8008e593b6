/**
 * Whose public key is whose. The server hands keys out, so it could hand out a wrong one: the
 * first key seen of an account is kept (trust on first use), and another one later is not used until
 * the app says so with `trust`, after two people compared fingerprints.
 */
import type { AccountId } from "../protocol/mod.ts";
import type { Api, PublicKey } from "./api.ts";
import { fingerprintOf } from "./pem_encryption.ts";
import { SottoError } from "./sotto_error.ts";
import type { ClientStore } from "./store.ts";
import type { Timing } from "./timing.ts";

const FRESH_MS = 10 * 60 * 1_000;
const MOST = 2_000;

/** Keeps the accepted keys of the accounts that a device talks to. */
export class Contacts {
  readonly #api: Api;
  readonly #store: ClientStore;
  readonly #timing: Timing;
  /** Keys that agreed with the server's lately, by account. */
  readonly #checked = new Map<AccountId, { readonly key: string; readonly at: number }>();

  constructor(api: Api, store: ClientStore, timing: Timing) {
    this.#api = api;
    this.#store = store;
    this.#timing = timing;
  }

  /**
   * The key (PEM) to encrypt with for an account. Throws `no_public_key`, and `key_changed` with
   * `details.fingerprint` where the server now gives another key than the accepted one.
   */
  async keyFor(userId: AccountId): Promise<string> {
    const checked = this.#checked.get(userId);
    if (checked !== undefined && this.#timing.now() - checked.at < FRESH_MS) return checked.key;
    const current = await this.#fetch(userId);
    const accepted = (await this.#store.trustedKeys(userId)).at(-1);
    if (accepted === undefined) await this.#accept(userId, current.public_key);
    else if ((await fingerprintOf(accepted)) !== (await fingerprintOf(current.public_key))) {
      const fingerprint = await fingerprintOf(current.public_key);
      throw new SottoError("key_changed", "Compare fingerprints, then trust the new key", {
        details: { user_id: userId, fingerprint },
      });
    }
    this.#remember(userId, current.public_key);
    return current.public_key;
  }

  /** The keys (PEM) that an account may have signed with; none where it never had one. */
  async signingKeys(userId: AccountId): Promise<readonly string[]> {
    const accepted = await this.#store.trustedKeys(userId);
    if (accepted.length > 0) return accepted;
    try {
      return [await this.keyFor(userId)];
    } catch (error) {
      if (error instanceof SottoError && error.code === "no_public_key") return [];
      throw error;
    }
  }

  /** Accepts the account's current key from now on, if it has this fingerprint (SHA-256, hex). */
  async trust(userId: AccountId, fingerprint: string): Promise<void> {
    const { public_key: key } = await this.#fetch(userId);
    if ((await fingerprintOf(key)) !== fingerprint) {
      throw new SottoError("key_changed", "Compare fingerprints again: the key has changed meanwhile", {
        details: { user_id: userId, fingerprint: await fingerprintOf(key) },
      });
    }
    await this.#accept(userId, key);
    this.#remember(userId, key);
  }

  #accept(accountId: AccountId, publicKey: string): Promise<void> {
    return this.#store.commit({ trusted: { accountId, publicKey } });
  }

  #remember(userId: AccountId, key: string): void {
    if (this.#checked.size >= MOST) this.#checked.clear();
    this.#checked.set(userId, { key, at: this.#timing.now() });
  }

  async #fetch(userId: AccountId): Promise<PublicKey> {
    try {
      return await this.#api.publicKey(userId);
    } catch (error) {
      if (!(error instanceof SottoError) || error.code !== "not_found") throw error;
      const details = { user_id: userId };
      throw new SottoError("no_public_key", "Ask them to publish a public key", { details, cause: error });
    }
  }
}
