/**
 * Administration: what somebody who runs the server does to other people's accounts, and the record of
 * it. Owns the table `audit_log`.
 *
 * - Whatever is done to an account is done in one transaction with its entry in the log: neither is there without the
 *   other. An announcement is written down before it is said.
 * - The log is only added to; the database refuses everything else. An entry goes after a year.
 * - Sessions that end here are found by every node within a second, as those that end at another node.
 *
 * Lifecycle: none. May import protocol, platform, and the doors of accounts and conversations.
 */
export { type AnnounceInput, type Announcer, announce } from "./announce.ts";
export { type Action, type Actor, type AuditEntry, type AuditPage, listAudit, purgeAudit, record } from "./audit.ts";
export { type CreateUserInput, createUser, resetPassword, type WithPassword } from "./create_user.ts";
export type { AdministrationDeps } from "./deps.ts";
export {
  type Change,
  type ChangeInput,
  changeRole,
  disableUser,
  type EndedInput,
  enableUser,
  listSessions,
  revokeAllSessions,
  revokeSession,
} from "./manage_user.ts";
export { requireAdministrator } from "./require_administrator.ts";
export { readStats, type Stats } from "./stats.ts";
