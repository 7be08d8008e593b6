/**
 * What somebody else does to an account: steps within a transaction of the caller, who also writes down
 * that it was done. Sockets of sessions that end close by themselves: every node watches for such ends.
 */
import type { Sql } from "../platform/postgres.ts";
import { AccountId, DomainError, type SessionId, uuidv7 } from "../protocol/mod.ts";
import {
  findAccountBy,
  insertAccount,
  lockAccount,
  type Role,
  type StoredAccount,
  setDisabled,
  setPasswordHash,
  setRole,
} from "./accounts_store.ts";
import { deleteLinks } from "./mail_links_store.ts";
import { foldName } from "./names.ts";
import { endAnySession, endSessionsOf } from "./sessions_store.ts";

/**
 * The account that somebody means: by its id, by its e-mail address, or by its user name. A name may look
 * like an id; then the id counts, so that nobody takes the place of another by choosing a name.
 */
export async function findUser(sql: Sql, meant: string): Promise<StoredAccount | undefined> {
  const id = AccountId.safeParse(meant);
  if (id.success) return findAccountBy(sql, { by: "id", id: id.data });
  return findAccountBy(sql, { by: meant.includes("@") ? "email" : "username", key: foldName(meant) });
}

/** What {@link createAccount} makes; the fields are those of a sign-up. */
export interface CreatedAccount {
  readonly username: string;
  readonly email: string | null;
  readonly displayName: string | null;
  readonly passwordHash: string;
  readonly role: Role;
  readonly now: number;
}

/** Makes an account that nobody is signed in to. Throws `username_taken` and `email_taken`. */
export async function createAccount(tx: Sql, account: CreatedAccount): Promise<AccountId> {
  const { username, email, displayName, passwordHash, role, now } = account;
  const id = AccountId.parse(uuidv7(now));
  const emailKey = email === null ? null : foldName(email);
  const displayNameKey = displayName === null ? null : foldName(displayName);
  const names = { username, usernameKey: foldName(username), email, emailKey, displayName, displayNameKey };
  const inserted = await insertAccount(tx, { id, ...names, passwordHash, now });
  if (inserted !== "stored") throw new DomainError(inserted);
  await setRole(tx, id, role);
  return id;
}

/** Which account's sessions a step ends. */
export interface AccountStep {
  readonly accountId: AccountId;
  readonly now: number;
}

/** Gives an account another password, ends its sessions and voids links on their way; gives the sessions. */
export async function replacePassword(
  tx: Sql,
  step: AccountStep & { readonly passwordHash: string },
): Promise<readonly SessionId[]> {
  await lockAccount(tx, step.accountId);
  await setPasswordHash(tx, { id: step.accountId, passwordHash: step.passwordHash, now: step.now });
  await deleteLinks(tx, step.accountId, null);
  return endSessionsOf(tx, { accountId: step.accountId, except: null, now: step.now });
}

/** Disables an account, ends its sessions and voids links on their way; gives the sessions, or `null` where it was disabled already. */
export async function disableAccount(tx: Sql, step: AccountStep): Promise<readonly SessionId[] | null> {
  await lockAccount(tx, step.accountId);
  if (!(await setDisabled(tx, step.accountId, step.now))) return null;
  await deleteLinks(tx, step.accountId, null);
  return endSessionsOf(tx, { ...step, except: null, reason: "account_disabled" });
}

/** Enables a disabled account; `false` where it was not disabled. */
export async function enableAccount(tx: Sql, id: AccountId): Promise<boolean> {
  return setDisabled(tx, id, null);
}

/** Ends all sessions of an account; gives those that ended. */
export async function endAllSessions(tx: Sql, step: AccountStep): Promise<readonly SessionId[]> {
  await lockAccount(tx, step.accountId);
  return endSessionsOf(tx, { ...step, except: null });
}

/** Ends one session; gives whose it was, or `undefined` where it had ended or never was. */
export function endSessionOf(
  tx: Sql,
  step: { readonly sessionId: SessionId; readonly now: number },
): Promise<AccountId | undefined> {
  return endAnySession(tx, step.sessionId, step.now);
}
