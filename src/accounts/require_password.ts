import { type AccountId, DomainError } from "../protocol/mod.ts";
import { type Credentials, findCredentials } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { beginGuess } from "./guesses.ts";
import { normalizePassword } from "./names.ts";

/**
 * Step-up: the password again, before a change that a stolen access token shall not be enough for.
 * Whoever has such a token guesses no faster here than at sign-in.
 *
 * Throws `wrong_password`, `rate_limited` and `overloaded`; `unauthorized` where the account is gone.
 */
export async function requirePassword(
  deps: AccountDeps,
  input: {
    readonly accountId: AccountId;
    readonly password: string;
    /** Where the request came from, for throttling. */
    readonly address: string;
  },
): Promise<Credentials> {
  await deps.throttle.take(["password_account", input.accountId], ["sign_in_address", input.address]);
  const known = await findCredentials(deps.db, "id", input.accountId);
  if (known === undefined) throw new DomainError("unauthorized");
  const guess = await beginGuess(deps, `account ${input.accountId}`);
  const correct = await deps.passwords
    .verifyPassword(normalizePassword(input.password), known.passwordHash)
    .catch(async (error) => {
      await guess.forget(deps.db);
      throw error;
    });
  if (!correct) throw new DomainError("wrong_password");
  await guess.forget(deps.db);
  return known;
}
