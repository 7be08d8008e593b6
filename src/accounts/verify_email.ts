import { DomainError } from "../protocol/mod.ts";
import { findAccount, lockAccount, setVerifiedEmail } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { readLink, writeFor } from "./links.ts";
import { deleteLinks, takeLink } from "./mail_links_store.ts";
import type { MailLanguage } from "./mail_texts.ts";
import { foldName } from "./names.ts";

/**
 * Makes the address that a link was sent to the account's, and verified; gives it. Where it is another one
 * than before, every other link is void, and the address before is told if it was verified.
 *
 * Throws `link_invalid`, and `email_taken` where another account has verified or registered it meanwhile.
 */
export async function verifyEmail(
  deps: AccountDeps,
  input: { readonly token: string; readonly language: MailLanguage },
): Promise<string> {
  const { accountId, email, hash } = await readLink(deps, input.token, "verify_email");
  const emailKey = foldName(email);
  const now = deps.clock.now();
  const before = await deps.db.transaction(async (tx) => {
    await lockAccount(tx, accountId);
    if (!(await takeLink(tx, hash))) throw new DomainError("link_invalid");
    const account = await findAccount(tx, accountId);
    const stored = await setVerifiedEmail(tx, { id: accountId, email, emailKey, now });
    if (stored === "email_taken") throw new DomainError("email_taken");
    const old = account?.email ?? null;
    const isNew = old === null || foldName(old) !== emailKey;
    await deleteLinks(tx, accountId, isNew ? null : "verify_email");
    return isNew && account?.emailVerified === true ? old : null;
  });
  if (before !== null && deps.mails !== null && !deps.mails.isFull) {
    deps.mails.post(async () => writeFor(deps, before, { about: "email_changed" }, input.language));
  }
  return email;
}
