/**
 * Accounts: who there is, and who is signed in. Owns the tables `accounts`, `devices`, `sessions`,
 * `socket_tickets`, `mail_links` and `password_guesses`.
 *
 * - A user name and an e-mail address are unique without regard to case, by constraint.
 * - Passwords, refresh tokens, tickets and links are stored as hashes only.
 * - A device has at most one live session, an account at most `LIMITS.sessionsPerAccount`.
 * - Every use case that ends sessions says which, after its commit, so that the caller closes sockets.
 *
 * Lifecycle: `openAccounts` at start; nothing to close. Routes are in `routes.ts`.
 * May import protocol, platform and keys.
 */
export { accountExists } from "./account_exists.ts";
export { countAccounts, listAdministrators, type Role, type StoredAccount, setRole } from "./accounts_store.ts";
export {
  type AccountStep,
  type CreatedAccount,
  createAccount,
  disableAccount,
  enableAccount,
  endAllSessions,
  endSessionOf,
  findUser,
  replacePassword,
} from "./administer.ts";
export { closeAccount, closedAccounts, type RemovedAccount, removeAccount } from "./close_account.ts";
export { type AccessClaims, type AccessTokens, type AccountDeps, type AccountOptions, openAccounts } from "./deps.ts";
export { endedSessions } from "./ended_sessions.ts";
export { getMe, type UserAnswer } from "./get_me.ts";
export { mailLanguage } from "./mail_texts.ts";
export { foldName } from "./names.ts";
export type { Principal } from "./principal.ts";
export { purgeSessions } from "./purge_sessions.ts";
export { type RefreshResult, refreshSession } from "./refresh_session.ts";
export { requirePassword } from "./require_password.ts";
export { ensureServerAccount } from "./server_account.ts";
export { sessionEnds } from "./session_ends.ts";
export { countSessions, type EndedSession, type ListedSession, listSessionsOf } from "./session_lists_store.ts";
export { type SignInInput, type SignInResult, signIn } from "./sign_in.ts";
export { type SignOutInput, type SignOutResult, signOut } from "./sign_out.ts";
export { type SignUpInput, type SignUpResult, signUp } from "./sign_up.ts";
export type { DeviceInput, TokenAnswer } from "./start_session.ts";
export {
  ACCOUNT_RATES,
  type AccountPolicy,
  type AccountRates,
  createThrottle,
  type Throttle,
  type ThrottleOptions,
} from "./throttle.ts";
export { createTicket, redeemTicket, type TicketAnswer } from "./tickets.ts";
export { usernamesOf } from "./usernames.ts";
export { verifyAccessToken } from "./verify_access_token.ts";
