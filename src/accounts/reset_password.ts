import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import { acceptPassword } from "./accept_password.ts";
import { findAccount, lockAccount, setPasswordHash, setVerifiedEmail } from "./accounts_store.ts";
import { tellOfPassword } from "./change_password.ts";
import type { AccountDeps } from "./deps.ts";
import { readLink } from "./links.ts";
import { deleteLinks, takeLink } from "./mail_links_store.ts";
import type { MailLanguage } from "./mail_texts.ts";
import { foldName, normalizePassword } from "./names.ts";
import { endSessionsOf } from "./sessions_store.ts";

/** What {@link resetPassword} did. */
export interface ResetPasswordResult {
  readonly accountId: AccountId;
  /** Sessions that ended: close their sockets. */
  readonly ended: readonly SessionId[];
}

/**
 * Sets another password, for who got the link. Ends every session and voids every other link; the link
 * shows that the address is theirs. Keys stay as they are.
 *
 * - A password that is refused leaves the link as it was.
 * - Of any number at once one wins.
 *
 * Throws `link_invalid`, `weak_password` and `overloaded`.
 */
export async function resetPassword(
  deps: AccountDeps,
  input: { readonly token: string; readonly newPassword: string; readonly language: MailLanguage },
): Promise<ResetPasswordResult> {
  const { accountId, email, hash: linkHash } = await readLink(deps, input.token, "reset_password");
  const account = await findAccount(deps.db, accountId);
  if (account === undefined) throw new DomainError("link_invalid");
  acceptPassword(deps, { password: input.newPassword, owner: account, strength: "rule" });
  const hash = await deps.passwords.hashPassword(normalizePassword(input.newPassword));
  const now = deps.clock.now();
  const ended = await deps.db.transaction(async (tx) => {
    await lockAccount(tx, accountId);
    if (!(await takeLink(tx, linkHash))) throw new DomainError("link_invalid");
    await setPasswordHash(tx, { id: accountId, passwordHash: hash, now });
    await setVerifiedEmail(tx, { id: accountId, email, emailKey: foldName(email), now });
    await deleteLinks(tx, accountId, null);
    return endSessionsOf(tx, { accountId, except: null, now });
  });
  deps.liveness.drop(ended);
  tellOfPassword(deps, { ...account, emailVerified: true }, input.language);
  return { accountId, ended };
}
