/**
 * Links that are mailed. A token is 32 random bytes; only its hash is stored, and it stands after the `#`
 * of the link, which browsers send to no server. So it is in no log of a proxy, and a program that
 * opens links to look at them uses nothing up: redeeming is a POST.
 */
import { createHash, randomBytes } from "node:crypto";
import type { Mail } from "../platform/mail_transport.ts";
import { type AccountId, DomainError, LIMITS } from "../protocol/mod.ts";
import { type LockedAccount, lockAccount } from "./accounts_store.ts";
import type { AccountDeps } from "./deps.ts";
import { findLink, insertLink, type LinkPurpose, type StoredLink } from "./mail_links_store.ts";
import { type MailContent, type MailLanguage, writeMail } from "./mail_texts.ts";

/** Milliseconds that links of each kind work. */
export const LINK_MS: Readonly<Record<LinkPurpose, number>> = {
  sign_in: LIMITS.signInLinkMs,
  reset_password: LIMITS.signInLinkMs,
  verify_email: LIMITS.verifyLinkMs,
};

const PATHS: Readonly<Record<LinkPurpose, string>> = {
  sign_in: "auth/magic-link",
  reset_password: "auth/password-reset",
  verify_email: "auth/email",
};
const TOKEN_BYTES = 32;
const TOKEN_TEXT = /^[A-Za-z0-9_-]{43}$/;
const LIMIT_MS = 10 * 60_000;

/** What {@link createLink} makes. */
export interface LinkInput {
  readonly accountId: AccountId;
  readonly purpose: LinkPurpose;
  /** Where it will be sent. */
  readonly email: string;
  /**
   * What it was asked for by: the account's address, or its password. A link is made when its mail's turn comes, and
   * whoever changed either meanwhile voided all that was asked for before.
   */
  readonly by: { readonly email: string } | { readonly passwordVersion: number };
}

/**
 * Makes a link and stores its hash; `null` where the account has had enough of this kind for now, is disabled or gone, or
 * where what it was asked for by holds no longer.
 */
export async function createLink(deps: AccountDeps, input: LinkInput): Promise<string | null> {
  const token = randomBytes(TOKEN_BYTES).toString("base64url");
  const now = deps.clock.now();
  const stored = await deps.db.transaction(async (tx) => {
    const account = await lockAccount(tx, input.accountId);
    if (account === undefined || account.disabled || !holds(account, input.by)) return false;
    const { accountId, purpose, email } = input;
    const link = { accountId, purpose, email, hash: hashOf(token), now, expiresAt: now + LINK_MS[purpose] };
    return insertLink(tx, link, { most: LIMITS.linksPerTenMinutes, since: now - LIMIT_MS });
  });
  return stored ? `${deps.links.url}/${PATHS[input.purpose]}#token=${token}` : null;
}

function holds(account: LockedAccount, by: LinkInput["by"]): boolean {
  return "email" in by ? account.email === by.email : account.passwordVersion === by.passwordVersion;
}

/** Makes a link and writes the mail that carries it; `null` as {@link createLink}. */
export async function writeLinkMail(deps: AccountDeps, input: LinkInput, language: MailLanguage): Promise<Mail | null> {
  const link = await createLink(deps, input);
  return link === null ? null : writeFor(deps, input.email, { about: input.purpose, link }, language);
}

/** Writes a mail in the server's name. */
export function writeFor(deps: AccountDeps, to: string, content: MailContent, language: MailLanguage): Mail {
  return writeMail(to, content, { language, server: deps.links.server });
}

/** What a token stands for, without using it up. Throws `link_invalid`. */
export async function readLink(
  deps: AccountDeps,
  token: string,
  purpose: LinkPurpose,
): Promise<StoredLink & { readonly hash: Buffer }> {
  const hash = hashOf(token);
  const link = TOKEN_TEXT.test(token) ? await findLink(deps.db, hash, purpose, deps.clock.now()) : undefined;
  if (link === undefined) throw new DomainError("link_invalid");
  return { ...link, hash };
}

function hashOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}
