/** `/api/reports`, and what administrators do with them under `/api/admin/reports`. */
import { Elysia } from "elysia";
import { listAdministrators, type Principal } from "../accounts/mod.ts";
import { type Actor, requireAdministrator } from "../administration/mod.ts";
import {
  type AccountId,
  CloseReportBody,
  ListReportsQuery,
  ReportBody,
  ReportId,
  ReportParams,
  type ReportReason,
  type ServerFrame,
  uuidv7,
} from "../protocol/mod.ts";
import { closeReport } from "./close_report.ts";
import type { ReportsDeps } from "./deps.ts";
import { type FiledReport, fileReport } from "./file_report.ts";
import { listReports, readReport } from "./read_reports.ts";

/** What app.ts passes in. */
export interface ReportRoutesContext {
  readonly reports: ReportsDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Sends a frame to whoever of these is connected; it is kept nowhere. */
  readonly signal: (to: readonly AccountId[], frame: ServerFrame) => void;
  /** Told of each new report. */
  readonly onFiled: (reason: ReportReason) => void;
}

/** See the head of this file. */
export function reportRoutes(context: ReportRoutesContext) {
  const { reports, authenticate } = context;
  return new Elysia({ name: "reports", prefix: "/api" })
    .post(
      "/reports",
      async ({ body, request, set }) => {
        const { accountId: reporterId } = await authenticate(request);
        const { user_id: reportedId, conversation_id: conversationId = null, reason, note = null } = body;
        const filed = await fileReport(reports, {
          ...{ id: body.id ?? ReportId.parse(uuidv7(reports.clock.now())), reporterId, reportedId },
          ...{ conversationId, reason, note },
          messages: body.messages.map(({ message_id, text = null }) => ({ messageId: message_id, text })),
        });
        if (filed.isNew) await tellAdministrators(context, filed, { reportedId, reason });
        set.status = filed.isNew ? 201 : 200;
        return { id: filed.id, created_at: filed.createdAt.toISOString() };
      },
      { body: ReportBody },
    )
    .use(administratorRoutes(context));
}

/** Administrators who are told of a new report; there are few. */
const MOST_TOLD = 1_000;

async function tellAdministrators(
  { reports, signal, onFiled }: ReportRoutesContext,
  { id }: FiledReport,
  { reportedId, reason }: { readonly reportedId: AccountId; readonly reason: ReportReason },
): Promise<void> {
  onFiled(reason);
  const told = await listAdministrators(reports.db, MOST_TOLD);
  signal(
    told.filter((administrator) => administrator !== reportedId),
    { type: "report_filed", report_id: id, reason },
  );
}

function administratorRoutes({ reports, authenticate }: ReportRoutesContext) {
  /** The caller, where they are an administrator; asked before anything is looked up, so that others learn nothing. */
  const actorOf = async (request: Request): Promise<Actor> => {
    const { accountId: id } = await authenticate(request);
    await requireAdministrator(reports.db, id);
    return { kind: "account", id };
  };
  return new Elysia({ name: "reports for administrators", prefix: "/admin/reports" })
    .get(
      "/",
      async ({ query, request }) => {
        const { state, limit, before = null } = query;
        return listReports(reports, { actor: await actorOf(request), state, limit, before });
      },
      { query: ListReportsQuery },
    )
    .get(
      "/:id",
      async ({ params, request }) => readReport(reports, { actor: await actorOf(request), report: params.id }),
      { params: ReportParams },
    )
    .post(
      "/:id/close",
      async ({ params, body, request }) => {
        const { outcome, note = null } = body;
        const actor = await actorOf(request);
        return (await closeReport(reports, { actor, report: params.id, outcome, note })).report;
      },
      { params: ReportParams, body: CloseReportBody },
    );
}
