/** Accounts made, and passwords replaced, by an administrator: the password is made up here and told once. */
import { randomInt } from "node:crypto";
import { createAccount, findUser, replacePassword } from "../accounts/mod.ts";
import { type AccountId, DomainError, fieldsOf, type SessionId, SignUpBody } from "../protocol/mod.ts";
import { type Actor, record } from "./audit.ts";
import type { AdministrationDeps } from "./deps.ts";

/** What {@link createUser} is asked; judged as a sign-up is. */
export interface CreateUserInput {
  readonly actor: Actor;
  readonly username: string;
  readonly email?: string | undefined;
  readonly displayName?: string | undefined;
  readonly admin: boolean;
}

/** A password that is nowhere else: only its hash is stored. */
export interface WithPassword {
  readonly id: AccountId;
  readonly username: string;
  readonly password: string;
}

/** Makes an account that nobody is signed in to. Throws `bad_request`, `username_taken` and `email_taken`. */
export async function createUser(deps: AdministrationDeps, input: CreateUserInput): Promise<WithPassword> {
  const password = makePassword();
  const asked = { username: input.username, email: input.email, display_name: input.displayName, password };
  const judged = SignUpBody.safeParse(asked);
  if (!judged.success) throw new DomainError("bad_request", { details: { fields: fieldsOf(judged.error) } });
  const { username, email = null, display_name: displayName = null } = judged.data;
  const passwordHash = await deps.passwords.hashPassword(password);
  const now = deps.clock.now();
  const role = input.admin ? "admin" : "user";
  const id = await deps.db.transaction(async (tx) => {
    const account = await createAccount(tx, { username, email, displayName, passwordHash, role, now });
    await record(tx, { actor: input.actor, action: "create_user", account });
    if (input.admin) await record(tx, { actor: input.actor, action: "promote", account });
    return account;
  });
  return { id, username, password };
}

/** Gives somebody a new password and ends their sessions. Throws `user_not_found`. */
export async function resetPassword(
  deps: AdministrationDeps,
  input: { readonly actor: Actor; readonly user: string },
): Promise<WithPassword & { readonly ended: readonly SessionId[] }> {
  const account = await findUser(deps.db, input.user);
  if (account === undefined) throw new DomainError("user_not_found");
  const { id, username } = account;
  const password = makePassword();
  const passwordHash = await deps.passwords.hashPassword(password);
  const ended = await deps.db.transaction(async (tx) => {
    const sessions = await replacePassword(tx, { accountId: id, passwordHash, now: deps.clock.now() });
    await record(tx, { actor: input.actor, action: "reset_password", account: id });
    return sessions;
  });
  return { id, username, password, ended };
}

/** Without letters and digits that look alike: it is read out and typed. */
const ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS = 4;
const GROUP_LENGTH = 5;

/** Twenty characters of 31: 99 bits. */
function makePassword(): string {
  const group = () => Array.from({ length: GROUP_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}
