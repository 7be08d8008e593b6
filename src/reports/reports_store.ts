/** The statements on `reports`. */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation } from "../platform/sql_states.ts";
import type { AccountId, ReportId, ReportOutcome, ReportReason } from "../protocol/mod.ts";

/** A report to be stored. `now`: milliseconds since the epoch. */
export interface NewReport {
  readonly id: ReportId;
  readonly reporter: AccountId;
  readonly reported: AccountId;
  readonly reason: ReportReason;
  readonly now: number;
  readonly dataKey: Uint8Array;
  readonly body: Uint8Array;
}

/** A report as it is listed, with the names that the two have now. */
export interface StoredHead {
  readonly id: ReportId;
  readonly number: number;
  readonly reporter: { readonly id: AccountId; readonly username: string };
  readonly reported: { readonly id: AccountId; readonly username: string; readonly disabled: boolean };
  readonly reason: ReportReason;
  readonly createdAt: Date;
  readonly closedAt: Date | null;
  readonly outcome: ReportOutcome | null;
}

/** The same with what is sealed. */
export interface StoredReport extends StoredHead {
  readonly dataKey: Uint8Array;
  readonly body: Uint8Array;
  readonly closing: Uint8Array | null;
}

interface Row {
  id: ReportId;
  number: number;
  reporter: AccountId;
  reporter_name: string;
  reported: AccountId;
  reported_name: string;
  disabled: boolean;
  reason: ReportReason;
  created_at: Date;
  closed_at: Date | null;
  outcome: ReportOutcome | null;
  data_key: Uint8Array;
  body: Uint8Array;
  closing: Uint8Array | null;
}

const HEAD = `r.id, r.number, r.reporter, a.username as reporter_name, r.reported, b.username as reported_name,
  b.disabled_at is not null as disabled, r.reason, r.created_at, r.closed_at, r.outcome`;
const FROM = "from reports r join accounts a on a.id = r.reporter join accounts b on b.id = r.reported";

/** Stores a report; `known` where there is one of this id, `no_account` where one of the two has just gone. */
export async function insertReport(sql: Sql, report: NewReport): Promise<"stored" | "known" | "no_account"> {
  const { id, reporter, reported, reason, now, dataKey, body } = report;
  try {
    const rows = await sql.query(
      `insert into reports (id, reporter, reported, reason, created_at, data_key, body)
       values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do nothing returning 1`,
      [id, reporter, reported, reason, new Date(now), Buffer.from(dataKey), Buffer.from(body)],
    );
    return rows.length > 0 ? "stored" : "known";
  } catch (error) {
    if (isForeignKeyViolation(error)) return "no_account";
    throw error;
  }
}

/** One report by its id. */
export async function findReport(sql: Sql, id: ReportId): Promise<StoredReport | undefined> {
  const [row] = await sql.query<Row>(`select ${HEAD}, r.data_key, r.body, r.closing ${FROM} where r.id = $1`, [id]);
  return row === undefined ? undefined : toReport(row);
}

/** The id of the report with a number. */
export async function findReportId(sql: Sql, number: number): Promise<ReportId | undefined> {
  const [row] = await sql.query<{ id: ReportId }>("select id from reports where number = $1", [number]);
  return row?.id;
}

/** Locks a report until the end of the transaction, so that it is closed once; `false` where it is gone. */
export async function lockReport(tx: Sql, id: ReportId): Promise<boolean> {
  return (await tx.query("select 1 from reports where id = $1 for no key update", [id])).length > 0;
}

/** Closes a report. */
export async function setClosed(
  tx: Sql,
  closed: {
    readonly id: ReportId;
    readonly outcome: ReportOutcome;
    readonly closing: Uint8Array | null;
    readonly now: number;
  },
): Promise<void> {
  const { id, outcome, closing, now } = closed;
  await tx.query("update reports set closed_at = $2, outcome = $3, closing = $4 where id = $1", [
    ...[id, new Date(now), outcome, closing === null ? null : Buffer.from(closing)],
  ]);
}

/** Which part of the list. */
export interface ReportsPage {
  readonly state: "open" | "closed" | "all";
  /** Below this number; `null`: from the newest. */
  readonly before: number | null;
  /** Whom the list is not to name as reported; `null`: nobody. */
  readonly except: AccountId | null;
  readonly limit: number;
}

/** Lists reports, the newest first. Indexes: reports_open, reports_number. */
export async function listHeads(sql: Sql, page: ReportsPage): Promise<StoredHead[]> {
  const rows = await sql.query<Row>(
    `select ${HEAD} ${FROM}
     where ($1 = 'all' or ($1 = 'open') = (r.closed_at is null)) and ($2::int8 is null or r.number < $2)
       and ($3::uuid is null or r.reported <> $3)
     order by r.number desc limit $4`,
    [page.state, page.before, page.except, page.limit],
  );
  return rows.map(toHead);
}

/** Lists the reports that somebody made, in the order of their numbers. Index: reports_reporter. */
export async function listReportsOf(
  sql: Sql,
  of: { readonly reporter: AccountId; readonly behind: number; readonly limit: number },
): Promise<StoredReport[]> {
  const rows = await sql.query<Row>(
    `select ${HEAD}, r.data_key, r.body, r.closing ${FROM}
     where r.reporter = $1 and r.number > $2 order by r.number limit $3`,
    [of.reporter, of.behind, of.limit],
  );
  return rows.map(toReport);
}

/** How many reports there are. */
export async function countReports(sql: Sql): Promise<{ readonly open: number; readonly closed: number }> {
  const [row] = await sql.query<{ open: number; closed: number }>(
    "select count(*) filter (where closed_at is null) as open, count(closed_at) as closed from reports",
  );
  return row ?? { open: 0, closed: 0 };
}

/** Removes reports that were closed before one time, or made before another and never closed, at most `limit` of each. */
export async function deleteOldReports(
  sql: Sql,
  before: { readonly closed: Date; readonly created: Date },
  limit: number,
): Promise<number> {
  const rows = await sql.query(
    `delete from reports where id in (
       (select id from reports where closed_at is not null and closed_at < $1 order by closed_at limit $3) union all
       (select id from reports where closed_at is null and created_at < $2 order by created_at limit $3)) returning 1`,
    [before.closed, before.created, limit],
    "reports_delete_old",
  );
  return rows.length;
}

function toHead(row: Row): StoredHead {
  return {
    id: row.id,
    number: row.number,
    reporter: { id: row.reporter, username: row.reporter_name },
    reported: { id: row.reported, username: row.reported_name, disabled: row.disabled },
    reason: row.reason,
    createdAt: row.created_at,
    closedAt: row.closed_at,
    outcome: row.outcome,
  };
}

function toReport(row: Row): StoredReport {
  return { ...toHead(row), dataKey: row.data_key, body: row.body, closing: row.closing };
}
