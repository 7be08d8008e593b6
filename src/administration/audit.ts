/** The record of what administrators did: who, what, to whom, when. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ReportId, SessionId } from "../protocol/mod.ts";
import { type AuditRow, deleteOldAudit, insertAudit, listAuditRows } from "./audit_store.ts";
import type { AdministrationDeps } from "./deps.ts";

/** Who administers: somebody on the machine, by the name it knows them by, or an administrator's account. */
export type Actor =
  | { readonly kind: "cli"; readonly name: string }
  | { readonly kind: "account"; readonly id: AccountId };

/** What was done. To read where somebody is signed in counts too. */
export type Action =
  | "create_user"
  | "reset_password"
  | "disable"
  | "enable"
  | "promote"
  | "demote"
  | "list_sessions"
  | "revoke_session"
  | "revoke_all_sessions"
  | "announce"
  | "read_report"
  | "close_report";

/** An entry as it is shown. */
export type AuditEntry = AuditRow;

/** Entries, newest first. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** The `before` of the next page; `null` after the last one. */
  readonly next: number | null;
}

/** Entries are kept this long; the database refuses to remove them sooner than after a year. */
const KEEP_MS = 366 * 24 * 60 * 60 * 1_000;
const BATCH = 1_000;

/** Writes down what is done, in the transaction that does it. */
export async function record(
  tx: Sql,
  entry: {
    readonly actor: Actor;
    readonly action: Action;
    readonly account: AccountId | null;
    readonly session?: SessionId;
    readonly report?: ReportId;
  },
): Promise<void> {
  const { actor, action, account, session = null, report = null } = entry;
  const name = actor.kind === "cli" ? actor.name : actor.id;
  await insertAudit(tx, { actorKind: actor.kind, actor: name, action, account, session, report });
}

/** A page of the log, of everybody or of one account. */
export async function listAudit(
  deps: Pick<AdministrationDeps, "db">,
  page: { readonly before: number | null; readonly account: AccountId | null; readonly limit: number },
): Promise<AuditPage> {
  const rows = await listAuditRows(deps.db, { ...page, limit: page.limit + 1 });
  const entries = rows.slice(0, page.limit);
  return { entries, next: rows.length > page.limit ? (entries.at(-1)?.id ?? null) : null };
}

/** Removes entries that have had their time, a thousand at most; gives how many. Any node may, at any time. */
export async function purgeAudit(deps: Pick<AdministrationDeps, "db" | "clock">): Promise<number> {
  return deleteOldAudit(deps.db, new Date(deps.clock.now() - KEEP_MS), BATCH);
}
