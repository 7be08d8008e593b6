/** What an administrator does to accounts that exist. Each throws `user_not_found` where there is none. */
import {
  disableAccount,
  enableAccount,
  endAllSessions,
  endSessionOf,
  findUser,
  type ListedSession,
  listSessionsOf,
  type StoredAccount,
  setRole,
} from "../accounts/mod.ts";
import type { Sql } from "../platform/postgres.ts";
import { type AccountId, DomainError, type SessionId } from "../protocol/mod.ts";
import { type Action, type Actor, record } from "./audit.ts";
import type { AdministrationDeps } from "./deps.ts";

/** Whom something is done to, and by whom: a user name, an e-mail address or an id. */
export interface ChangeInput {
  readonly actor: Actor;
  readonly user: string;
}

/** What was done; `changed` is false where it was so already, and then nothing was written down. */
export interface Change {
  readonly account: StoredAccount;
  readonly changed: boolean;
  /** Sessions that ended; their sockets close on every node. */
  readonly ended: readonly SessionId[];
}

/** Whose session ended. */
export interface EndedInput {
  readonly actor: Actor;
  readonly sessionId: SessionId;
}

/** Disables an account: nobody signs in to it until it is enabled, and its sessions end. */
export function disableUser(deps: AdministrationDeps, input: ChangeInput): Promise<Change> {
  return change(deps, input, "disable", (tx, accountId) => disableAccount(tx, { accountId, now: deps.clock.now() }));
}

/** Enables a disabled account; its sessions stay ended. */
export function enableUser(deps: AdministrationDeps, input: ChangeInput): Promise<Change> {
  return change(deps, input, "enable", async (tx, id) => ((await enableAccount(tx, id)) ? [] : null));
}

/** Makes somebody an administrator, or a user again. */
export function changeRole(
  deps: AdministrationDeps,
  input: ChangeInput & { readonly role: "admin" | "user" },
): Promise<Change> {
  const { role } = input;
  const action = role === "admin" ? "promote" : "demote";
  return change(deps, input, action, async (tx, id) => ((await setRole(tx, id, role)) ? [] : null));
}

/** Ends every session of an account. */
export function revokeAllSessions(deps: AdministrationDeps, input: ChangeInput): Promise<Change> {
  return change(deps, input, "revoke_all_sessions", (tx, accountId) =>
    endAllSessions(tx, { accountId, now: deps.clock.now() }),
  );
}

/** Ends one session; gives whose it was. Throws `not_found` where it has ended or never was. */
export async function revokeSession(deps: AdministrationDeps, input: EndedInput): Promise<AccountId> {
  const { actor, sessionId } = input;
  return deps.db.transaction(async (tx) => {
    const account = await endSessionOf(tx, { sessionId, now: deps.clock.now() });
    if (account === undefined) throw new DomainError("not_found");
    await record(tx, { actor, action: "revoke_session", account, session: sessionId });
    return account;
  });
}

/** Where somebody is signed in, newest first. */
export async function listSessions(
  deps: AdministrationDeps,
  input: ChangeInput,
): Promise<{ readonly account: StoredAccount; readonly sessions: readonly ListedSession[] }> {
  const account = await accountOf(deps.db, input.user);
  const sessions = await deps.db.transaction(async (tx) => {
    await record(tx, { actor: input.actor, action: "list_sessions", account: account.id });
    return listSessionsOf(tx, account.id, deps.clock.now());
  });
  return { account, sessions };
}

/** Does something to an account and writes it down; `work` gives the sessions that ended, or `null`: it was so already. */
async function change(
  deps: AdministrationDeps,
  { actor, user }: ChangeInput,
  action: Action,
  work: (tx: Sql, id: AccountId) => Promise<readonly SessionId[] | null>,
): Promise<Change> {
  const account = await accountOf(deps.db, user);
  const ended = await deps.db.transaction(async (tx) => {
    const sessions = await work(tx, account.id);
    if (sessions !== null) await record(tx, { actor, action, account: account.id });
    return sessions;
  });
  return { account, changed: ended !== null, ended: ended ?? [] };
}

async function accountOf(sql: Sql, user: string): Promise<StoredAccount> {
  const account = await findUser(sql, user);
  if (account === undefined) throw new DomainError("user_not_found");
  return account;
}
