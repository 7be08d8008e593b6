import type { ExportSource } from "../people/mod.ts";
import type { ReportsAdminDeps } from "./deps.ts";
import { listReportsOf } from "./reports_store.ts";
import { openReport } from "./sealed_report.ts";

/**
 * The reports that an account made, for its export: what it said, and whether that is closed. What administrators
 * made of it is about somebody else.
 */
export function exportReports({ db, sealer }: Pick<ReportsAdminDeps, "db" | "sealer">): ExportSource {
  return {
    table: "reports",
    read: async ({ account: reporter, behind, limit }) => {
      const found = await listReportsOf(db, { reporter, behind: Number(behind), limit });
      const rows = found.map((report) => {
        const { conversation_id, note, messages } = openReport(sealer, report);
        const said = messages.map(({ message_id, claimed }) => ({ message_id, text: claimed.text }));
        const { id, reported, reason, createdAt, closedAt } = report;
        return JSON.stringify({
          ...{ id, user_id: reported.id, conversation_id, reason, note, messages: said },
          ...{ created_at: createdAt.toISOString(), state: closedAt === null ? "open" : "closed" },
        });
      });
      return { rows, next: found.length < limit ? null : String(found.at(-1)?.number ?? 0) };
    },
  };
}
