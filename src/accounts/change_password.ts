import { DomainError, type SessionId } from "../protocol/mod.ts";
import { acceptPassword } from "./accept_password.ts";
import { findAccount, lockAccount, type StoredAccount, setPasswordHash } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { writeFor } from "./links.ts";
import { deleteLinks } from "./mail_links_store.ts";
import type { MailLanguage } from "./mail_texts.ts";
import { normalizePassword } from "./names.ts";
import type { Principal } from "./principal.ts";
import { requirePassword } from "./require_password.ts";
import { endSessionsOf } from "./sessions_store.ts";

/** What {@link changePassword} is asked. */
export interface ChangePasswordInput {
  readonly caller: Principal;
  readonly currentPassword: string;
  readonly newPassword: string;
  /** Where the request came from, for throttling. */
  readonly address: string;
  /** Of the mail that tells of the change. */
  readonly language: MailLanguage;
}

/**
 * Sets another password, for who knows the current one; gives the sessions that ended.
 *
 * - Every other session ends. The caller's goes on with the tokens it has: its holder has just shown
 *   the password, and a copy of its refresh token ends the session as soon as both were used.
 * - Links that were mailed before are void, and a verified address is told.
 *
 * Throws `wrong_password`, `weak_password`, `rate_limited`, `overloaded` and `unauthorized`.
 */
export async function changePassword(deps: AccountDeps, input: ChangePasswordInput): Promise<readonly SessionId[]> {
  const { accountId, sessionId } = input.caller;
  const known = await requirePassword(deps, { accountId, password: input.currentPassword, address: input.address });
  const account = await findAccount(deps.db, accountId);
  if (account === undefined) throw new DomainError("unauthorized");
  acceptPassword(deps, { password: input.newPassword, owner: account, strength: "rule" });
  const hash = await deps.passwords.hashPassword(normalizePassword(input.newPassword));
  const now = deps.clock.now();
  const ended = await deps.db.transaction(async (tx) => {
    const locked = await lockAccount(tx, accountId);
    // Of two changes at once the second no longer knew the current password.
    if (locked?.passwordVersion !== known.passwordVersion) throw new DomainError("wrong_password");
    await setPasswordHash(tx, { id: accountId, passwordHash: hash, now });
    await deleteLinks(tx, accountId, null);
    return endSessionsOf(tx, { accountId, except: sessionId, now });
  });
  deps.liveness.drop(ended);
  tellOfPassword(deps, account, input.language);
  return ended;
}

/** Tells a verified address that the password is another one now. A full queue keeps nobody from having changed it. */
export function tellOfPassword(deps: AccountDeps, account: StoredAccount, language: MailLanguage): void {
  const { email, emailVerified } = account;
  if (email === null || !emailVerified || deps.mails === null || deps.mails.isFull) return;
  deps.mails.post(async () => writeFor(deps, email, { about: "password_changed" }, language));
}
