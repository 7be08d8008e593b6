import { getPublicKey } from "../keys/mod.ts";
import { type AccountId, DomainError } from "../protocol/mod.ts";
import { findAccount, type Role } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";

/** An account as it sees itself. Times are ISO 8601, UTC. */
export interface UserAnswer {
  readonly id: AccountId;
  readonly username: string;
  readonly email: string | null;
  /** Whether somebody has shown that the address is theirs. */
  readonly email_verified: boolean;
  readonly display_name: string | null;
  readonly role: Role;
  /** The current public key as PEM, where there is one. */
  readonly public_key: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

/** The caller's own account. Throws `unauthorized` where it is gone. */
export async function getMe(deps: AccountDeps, input: { readonly accountId: AccountId }): Promise<UserAnswer> {
  const [account, key] = await Promise.all([
    findAccount(deps.db, input.accountId),
    getPublicKey({ db: deps.db }, input.accountId),
  ]);
  if (account === undefined) throw new DomainError("unauthorized");
  return {
    id: account.id,
    username: account.username,
    email: account.email,
    email_verified: account.emailVerified,
    display_name: account.displayName,
    role: account.role,
    public_key: key?.public_key ?? null,
    created_at: account.createdAt.toISOString(),
    updated_at: account.updatedAt.toISOString(),
  };
}
