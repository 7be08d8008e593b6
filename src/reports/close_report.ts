/** Closing a report, and disabling who was reported where that is what came of it. */
import { disableAccount, findUser } from "../accounts/mod.ts";
import { record } from "../administration/mod.ts";
import type { Sql } from "../platform/postgres.ts";
import { DomainError, type ReportAnswer, type ReportOutcome, type SessionId } from "../protocol/mod.ts";
import type { ReportsAdminDeps } from "./deps.ts";
import { fullAnswer, getReport, type ReportRef } from "./read_reports.ts";
import { lockReport, type StoredReport, setClosed } from "./reports_store.ts";
import { openNote, sealNote } from "./sealed_report.ts";

/** What came of a report, and what to remember of it. */
export interface CloseReportInput extends ReportRef {
  readonly outcome: ReportOutcome;
  readonly note: string | null;
}

/** A report that is closed, and sessions that ended by that; every node finds them within a second. */
export interface ClosedReport {
  readonly report: ReportAnswer;
  readonly ended: readonly SessionId[];
}

/**
 * Closes a report; in the same way again is the same. Throws `not_found`, `report_closed` where it was closed in
 * another way, and `forbidden` where an administrator's account is to be disabled: that is for whoever runs the server.
 */
export async function closeReport(deps: ReportsAdminDeps, input: CloseReportInput): Promise<ClosedReport> {
  const { id } = await getReport(deps.db, input);
  return deps.db.transaction(async (tx) => {
    if (!(await lockReport(tx, id))) throw new DomainError("not_found");
    const report = await getReport(tx, { actor: input.actor, report: id });
    if (report.closedAt !== null) return { report: sameAgain(deps, report, input), ended: [] };
    const ended = input.outcome === "disabled" ? await disable(tx, deps, input, report) : [];
    const closing = input.note === null ? null : sealNote(deps.sealer, report, input.note);
    await setClosed(tx, { id, outcome: input.outcome, closing, now: deps.clock.now() });
    await record(tx, { actor: input.actor, action: "close_report", account: null, report: id });
    const closed = await getReport(tx, { actor: input.actor, report: id });
    return { report: fullAnswer(deps, closed), ended };
  });
}

function sameAgain(deps: ReportsAdminDeps, report: StoredReport, input: CloseReportInput): ReportAnswer {
  if (report.outcome !== input.outcome || openNote(deps.sealer, report) !== input.note)
    throw new DomainError("report_closed", { details: { outcome: report.outcome } });
  return fullAnswer(deps, report);
}

/** Nothing to do, and nothing to write down, where the account is disabled already. */
async function disable(
  tx: Sql,
  deps: ReportsAdminDeps,
  { actor }: CloseReportInput,
  { id: report, reported }: StoredReport,
): Promise<readonly SessionId[]> {
  const account = await findUser(tx, reported.id);
  if (account?.role === "admin" && actor.kind === "account") throw new DomainError("forbidden");
  const ended = await disableAccount(tx, { accountId: reported.id, now: deps.clock.now() });
  if (ended !== null) await record(tx, { actor, action: "disable", account: reported.id, report });
  return ended ?? [];
}
