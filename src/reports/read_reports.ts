/** What administrators read of reports. That one was read is written down, for it holds what people said to each other. */
import { type Actor, record } from "../administration/mod.ts";
import type { Sql } from "../platform/postgres.ts";
import {
  type AccountId,
  DomainError,
  type ReportAnswer,
  type ReportHeadAnswer,
  ReportId,
  type ReportsAnswer,
} from "../protocol/mod.ts";
import type { ReportsAdminDeps } from "./deps.ts";
import {
  findReport,
  findReportId,
  listHeads,
  type ReportsPage,
  type StoredHead,
  type StoredReport,
} from "./reports_store.ts";
import { openNote, openReport } from "./sealed_report.ts";

/** Which reports, and who asks. */
export interface ListReportsInput extends Omit<ReportsPage, "except"> {
  readonly actor: Actor;
}

/** A page of reports, the newest first, without what is in them. */
export async function listReports(deps: Pick<ReportsAdminDeps, "db">, input: ListReportsInput): Promise<ReportsAnswer> {
  const { actor, state, before, limit } = input;
  const found = await listHeads(deps.db, { state, before, limit: limit + 1, except: accountOf(actor) });
  const page = found.slice(0, limit);
  return { reports: page.map(headAnswer), next: found.length > limit ? (page.at(-1)?.number ?? null) : null };
}

/** Which report, by its id or its number, and who asks. */
export interface ReportRef {
  readonly actor: Actor;
  readonly report: string;
}

/** One report with all that is in it. Throws `not_found`. */
export async function readReport(deps: ReportsAdminDeps, { actor, report }: ReportRef): Promise<ReportAnswer> {
  const found = await getReport(deps.db, { actor, report });
  await record(deps.db, { actor, action: "read_report", account: null, report: found.id });
  return fullAnswer(deps, found);
}

/** A report that the actor may see: nobody administers what was reported about themselves. Throws `not_found`. */
export async function getReport(sql: Sql, { actor, report }: ReportRef): Promise<StoredReport> {
  const isNumber = /^\d{1,15}$/.test(report);
  const id = isNumber ? await findReportId(sql, Number(report)) : ReportId.safeParse(report).data;
  const found = id === undefined ? undefined : await findReport(sql, id);
  if (found === undefined || found.reported.id === accountOf(actor)) throw new DomainError("not_found");
  return found;
}

/** Opens a report. */
export function fullAnswer(deps: Pick<ReportsAdminDeps, "sealer">, report: StoredReport): ReportAnswer {
  const { conversation_id, note, messages } = openReport(deps.sealer, report);
  return {
    ...headAnswer(report),
    ...{ conversation_id, note, messages: [...messages] },
    closing_note: openNote(deps.sealer, report),
  };
}

function headAnswer(head: StoredHead): ReportHeadAnswer {
  const { id, number, reporter, reported, reason, createdAt, closedAt, outcome } = head;
  return {
    ...{ id, number, reporter, reported, reason },
    created_at: createdAt.toISOString(),
    state: closedAt === null ? "open" : "closed",
    outcome,
    closed_at: closedAt?.toISOString() ?? null,
  };
}

function accountOf(actor: Actor): AccountId | null {
  return actor.kind === "account" ? actor.id : null;
}
