/** The commands about reports. A report is named by its number, or by its id. */
import { CloseReportBody, ListReportsQuery } from "../protocol/mod.ts";
import { closeReport, listReports, readReport } from "../reports/mod.ts";
import { type Arguments, UsageError } from "./arguments.ts";
import type { CommandContext } from "./commands.ts";
import { asked, none, only, type Plan, unasked, wholeOf } from "./plan.ts";
import { closedAnswer, reportAnswer, reportsAnswer } from "./report_answers.ts";

const MOST_REPORTS = 1_000;

/** Lists reports. */
export async function planReports({ deps, actor }: CommandContext, { words, options }: Arguments): Promise<Plan> {
  none(words);
  const state = ListReportsQuery.shape.state.safeParse(options.state);
  if (!state.success) throw new UsageError("Set --state to open, closed or all");
  const limit = wholeOf("--limit", options.limit ?? "50", MOST_REPORTS);
  const before = options.before === undefined ? null : wholeOf("--before", options.before, Number.MAX_SAFE_INTEGER);
  return unasked(async () => reportsAnswer(await listReports(deps, { actor, state: state.data, limit, before })));
}

/** Shows one. */
export async function planReport({ deps, actor }: CommandContext, { words }: Arguments): Promise<Plan> {
  const report = only(words, "REPORT");
  return unasked(async () => reportAnswer(await readReport(deps, { actor, report })));
}

/** Closes one. */
export async function planClose({ deps, actor }: CommandContext, { words, options }: Arguments): Promise<Plan> {
  const [report = "", outcome, ...more] = words;
  const judged = CloseReportBody.safeParse({ outcome, note: options.note });
  if (!judged.success || more.length > 0)
    throw new UsageError("Give a REPORT and one of dismissed, warned or disabled, and a --note that is not too long");
  const { outcome: what, note = null } = judged.data;
  const carryOut = async () => closedAnswer(await closeReport(deps, { actor, report, outcome: what, note }));
  if (what !== "disabled") return unasked(carryOut);
  return asked(`Close report ${report}, disable the account that it is about and end every session?`, carryOut);
}
