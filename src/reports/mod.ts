/**
 * Reports: what somebody chose to show administrators of somebody else, and what became of it. Owns the table
 * `reports`.
 *
 * - Nothing of a conversation reaches administrators but what the reporter named. What the server knows itself
 *   stands beside what is only claimed, and the two never mix.
 * - What was said is sealed under a key of the report's own; so are administrators' notes.
 * - Whoever is reported is never told, and an administrator does not see what was reported about them.
 * - That a report is read is in the audit log before it is shown; it is closed in one transaction with its entry there.
 * - Closed reports go after {@link KEEP_CLOSED_DAYS} days, open ones after {@link KEEP_OPEN_DAYS}, and each with either account.
 *
 * Lifecycle: none; app.ts calls {@link purgeReports} now and then. May import protocol, platform, and the doors of
 * accounts, conversations, people and administration.
 */
export { type ClosedReport, type CloseReportInput, closeReport } from "./close_report.ts";
export type { ReportsAdminDeps, ReportsDeps } from "./deps.ts";
export { exportReports } from "./export_reports.ts";
export { type FiledReport, type FileReportInput, fileReport, REPORT_RATES } from "./file_report.ts";
export { KEEP_CLOSED_DAYS, KEEP_OPEN_DAYS, purgeReports } from "./purge_reports.ts";
export { type ListReportsInput, listReports, type ReportRef, readReport } from "./read_reports.ts";
export { countReports } from "./reports_store.ts";
