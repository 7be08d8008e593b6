/**
 * A private key that the client sealed: the server keeps it and gives it back to its owner. Its version
 * is its ETag (RFC 9110 section 8.8.3), so that of two devices that change it at once one is told.
 */
import { type AccountId, DomainError } from "../protocol/mod.ts";
import type { PeopleDeps } from "./deps.ts";
import { findPrivateKey, writePrivateKey } from "./private_keys_store.ts";

/** A sealed key and its ETag. */
export interface PrivateKey {
  readonly etag: string;
  readonly private_key_encrypted: string;
  /** ISO 8601, UTC. */
  readonly updated_at: string;
}

/** The caller's sealed key; `not_found` where there is none. */
export async function readPrivateKey(deps: PeopleDeps, input: { readonly accountId: AccountId }): Promise<PrivateKey> {
  const stored = await findPrivateKey(deps.db, input.accountId);
  if (stored === undefined) throw new DomainError("not_found");
  return {
    etag: etagOf(stored.version),
    private_key_encrypted: stored.blob,
    updated_at: stored.updatedAt.toISOString(),
  };
}

/** What {@link putPrivateKey} is asked. */
export interface PutPrivateKeyInput {
  readonly accountId: AccountId;
  readonly blob: string;
  /** The header `If-Match`: the ETag of the version that is replaced. */
  readonly ifMatch: string | null;
  /** The header `If-None-Match`: `*` for the first key. */
  readonly ifNoneMatch: string | null;
}

/**
 * Stores a sealed key, and gives its ETag. Throws `precondition_required` where the request does not say
 * what it replaces, and `precondition_failed` where that is not what is there.
 */
export async function putPrivateKey(deps: PeopleDeps, input: PutPrivateKeyInput): Promise<string> {
  const replaces = versionToReplace(input);
  const { accountId: account, blob } = input;
  const version = await writePrivateKey(deps.db, { account, blob, replaces, now: deps.clock.now() });
  if (version === null) throw new DomainError("precondition_failed");
  return etagOf(version);
}

const ETAG = /^"v([1-9]\d{0,14})"$/;

function versionToReplace({ ifMatch, ifNoneMatch }: PutPrivateKeyInput): number {
  if (ifMatch === null && ifNoneMatch === "*") return 0;
  if (ifMatch === null || ifNoneMatch !== null) throw new DomainError("precondition_required");
  // One ETag: `*` and lists would replace what nobody has read.
  const version = ETAG.exec(ifMatch)?.[1];
  if (version === undefined) throw new DomainError("precondition_failed");
  return Number(version);
}

function etagOf(version: number): string {
  return `"v${version}"`;
}
