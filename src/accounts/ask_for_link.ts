/**
 * Asking for a link by mail. The answer is always the same, and so is the work until it is given: whether
 * there is an account, and what is sent, is found out afterwards.
 */
import type { MailQueue } from "../platform/mail_queue.ts";
import { type AccountId, DomainError } from "../protocol/mod.ts";
import { findAccount, findByEmail } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { LINK_MS, writeLinkMail } from "./links.ts";
import type { LinkPurpose } from "./mail_links_store.ts";
import type { MailLanguage } from "./mail_texts.ts";
import { foldName } from "./names.ts";
import { requirePassword } from "./require_password.ts";

/** What every one of these is asked beside its own. */
export interface AskInput {
  /** Where the request came from, for throttling. */
  readonly address: string;
  readonly language: MailLanguage;
}

/** The same whether or not a link is sent; `expires_in`: seconds that it would work. */
export interface LinkAsked {
  readonly expires_in: number;
}

/**
 * Has a link sent to an address, to sign in or to choose a new password, if an account has that address.
 * An address that is not verified gets it too: using the link verifies it.
 *
 * Throws `mail_disabled`, `rate_limited` and `overloaded`, for known and unknown addresses alike.
 */
export async function askForLink(
  deps: AccountDeps,
  input: AskInput & { readonly email: string; readonly purpose: Exclude<LinkPurpose, "verify_email"> },
): Promise<LinkAsked> {
  const { purpose, language } = input;
  const mails = requireMails(deps);
  const key = foldName(input.email);
  await throttle(deps, input.address, key);
  mails.post(async () => {
    const account = await findByEmail(deps.db, key);
    // Sent to the address as it was registered: what was typed now may only look like it.
    if (account === undefined) return null;
    const { id: accountId, email } = account;
    return writeLinkMail(deps, { accountId, purpose, email, by: { email } }, language);
  });
  return answerFor(purpose);
}

/**
 * Has a link sent that makes another address the account's, for who knows the password. Nothing is sent
 * to an address that another account has, and the answer does not tell.
 *
 * Throws `wrong_password`, `mail_disabled`, `rate_limited` and `overloaded`.
 */
export async function askForEmailChange(
  deps: AccountDeps,
  input: AskInput & { readonly accountId: AccountId; readonly email: string; readonly password: string },
): Promise<LinkAsked> {
  const { accountId, email, language } = input;
  const mails = requireMails(deps);
  const { passwordVersion } = await requirePassword(deps, input);
  mails.post(async () => {
    const owner = await findByEmail(deps.db, foldName(email));
    if (owner !== undefined && owner.id !== accountId) return null;
    return writeLinkMail(deps, { accountId, purpose: "verify_email", email, by: { passwordVersion } }, language);
  });
  return answerFor("verify_email");
}

/**
 * Has the link sent again that verifies the account's address. Nothing is sent where it has none, or is verified.
 *
 * Throws `mail_disabled`, `rate_limited` and `overloaded`.
 */
export async function askForVerification(
  deps: AccountDeps,
  input: AskInput & { readonly accountId: AccountId },
): Promise<LinkAsked> {
  const mails = requireMails(deps);
  await throttle(deps, input.address, input.accountId);
  postVerification(deps, mails, input.accountId, input.language);
  return answerFor("verify_email");
}

/** Has the address of a new account verified, if mails are sent at all. A full queue refuses no registration. */
export function verifyNewAddress(deps: AccountDeps, accountId: AccountId, language: MailLanguage): void {
  if (deps.mails !== null && !deps.mails.isFull) postVerification(deps, deps.mails, accountId, language);
}

function postVerification(deps: AccountDeps, mails: MailQueue, accountId: AccountId, language: MailLanguage): void {
  mails.post(async () => {
    const account = await findAccount(deps.db, accountId);
    if (account === undefined || account.email === null || account.emailVerified) return null;
    const { email } = account;
    return writeLinkMail(deps, { accountId, purpose: "verify_email", email, by: { email } }, language);
  });
}

function throttle(deps: AccountDeps, address: string, name: string): Promise<void> {
  return deps.throttle.take(
    ["mail_name_address", `${address} ${name}`],
    ["mail_address", address],
    ["mail_name", name],
    ["mail_everybody", ""],
  );
}

function requireMails({ mails }: AccountDeps): MailQueue {
  if (mails === null) throw new DomainError("mail_disabled");
  return mails;
}

function answerFor(purpose: LinkPurpose): LinkAsked {
  return { expires_in: LINK_MS[purpose] / 1_000 };
}
