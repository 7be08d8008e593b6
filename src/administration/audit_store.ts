/** The statements on `audit_log`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ReportId, SessionId } from "../protocol/mod.ts";

/** A row of `audit_log` to be written; the database says when. */
export interface NewAuditRow {
  readonly actorKind: "cli" | "account";
  readonly actor: string;
  readonly action: string;
  readonly account: AccountId | null;
  readonly session: SessionId | null;
  readonly report: ReportId | null;
}

/** A row of `audit_log`, with the name that the account has now. */
export interface AuditRow extends NewAuditRow {
  readonly id: number;
  readonly at: Date;
  /** `null` where the account is gone. */
  readonly username: string | null;
}

/** Adds an entry. */
export async function insertAudit(tx: Sql, row: NewAuditRow): Promise<void> {
  await tx.query(
    "insert into audit_log (actor_kind, actor, action, account, session, report) values ($1, $2, $3, $4, $5, $6)",
    [row.actorKind, row.actor, row.action, row.account, row.session, row.report],
    "audit_insert",
  );
}

/** A page of entries, newest first: those below an id, of one account or of all. */
export async function listAuditRows(
  sql: Sql,
  page: { readonly before: number | null; readonly account: AccountId | null; readonly limit: number },
): Promise<AuditRow[]> {
  return sql.query<AuditRow>(
    `select audit_log.id, at, actor_kind as "actorKind", actor, action, account, session, report, username
     from audit_log left join accounts on accounts.id = audit_log.account
     where ($1::int8 is null or audit_log.id < $1) and ($2::uuid is null or account = $2)
     order by audit_log.id desc limit $3`,
    [page.before, page.account, page.limit],
  );
}

/** Removes entries of before a time, at most `limit`; gives how many. The database refuses what is younger than a year. */
export async function deleteOldAudit(sql: Sql, before: Date, limit: number): Promise<number> {
  const rows = await sql.query(
    "delete from audit_log where id in (select id from audit_log where at < $1 order by at limit $2) returning 1",
    [before, limit],
    "audit_delete_old",
  );
  return rows.length;
}

/** Bytes of the database on disk. */
export async function databaseBytes(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ bytes: number }>("select pg_database_size(current_database()) as bytes");
  return row?.bytes ?? 0;
}
