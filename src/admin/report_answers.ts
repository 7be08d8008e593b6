/** Reports as text and as JSON. What people wrote in them cannot move the cursor or pass for a line of ours. */
import type { ReportAnswer, ReportedMessage, ReportsAnswer } from "../protocol/mod.ts";
import type { ClosedReport } from "../reports/mod.ts";
import { type Outcome, table } from "./answers.ts";

/** A list of reports. */
export function reportsAnswer({ reports, next }: ReportsAnswer): Outcome {
  const rows = reports.map((report) => [
    ...[String(report.number), report.created_at, report.reason, report.reported.username],
    ...[report.reporter.username, report.outcome ?? report.state],
  ]);
  const lines =
    rows.length === 0 ? "No report" : table([["report", "when", "why", "whom", "by", "what came of it"], ...rows]);
  return { json: { reports, next }, text: next === null ? lines : `${lines}\nMore: --before ${next}` };
}

/** One report. What the server knows and what is only claimed stand apart. */
export function reportAnswer(report: ReportAnswer): Outcome {
  const { reported, reporter, outcome, closed_at } = report;
  const closed = closed_at === null ? "open" : `${outcome}, ${closed_at}`;
  const head = table([
    ["report", `${report.number} (${report.id})`],
    ["when", report.created_at],
    ["whom", `${reported.username} (${reported.id})${reported.disabled ? ", disabled" : ""}`],
    ["by", `${reporter.username} (${reporter.id})`],
    ["why", report.reason],
    ["where", report.conversation_id ?? "not said"],
    ["state", closed],
  ]);
  const note = quoted("The reporter says", report.note);
  const closing = quoted("Administrators note", report.closing_note);
  return { json: report, text: [head, ...note, ...report.messages.flatMap(messageLines), ...closing].join("\n") };
}

/** A report that was closed. */
export function closedAnswer({ report, ended }: ClosedReport): Outcome {
  const text = `Closed report ${report.number} about ${report.reported.username} as ${report.outcome}`;
  return {
    json: { ...report, ended: ended.length },
    text: ended.length === 0 ? text : `${text}\nSessions that ended: ${ended.length}`,
  };
}

function messageLines({ message_id, vouched, claimed }: ReportedMessage): string[] {
  const { conversation_type, conversation_id, seq, stored_at, edited_at, sha256, encryption, text } = vouched;
  return [
    `Message ${message_id}`,
    `  sent by the account in ${conversation_type} ${conversation_id}, seq ${seq}, ${stored_at}`,
    ...(edited_at === null ? [] : [`  edited ${edited_at}`]),
    sha256 === null ? "  gone when it was reported" : `  SHA-256 ${sha256}`,
    ...(encryption === "server" ? quoted("  Stored", text) : []),
    ...quoted("  Claimed by the reporter, and not known to the server", claimed.text),
  ];
}

/** A text below its title, each line marked as such; nothing where there is none. */
function quoted(title: string, text: string | null): string[] {
  if (text === null) return [];
  return [`${title}:`, ...text.split(/\r\n|[\n\r\u2028\u2029]/).map((line) => `  | ${harmless(line)}`)];
}

/** Without what a terminal obeys, and without what turns the direction of writing. */
function harmless(line: string): string {
  return line.replace(/[\p{Cc}\p{Cs}]/gu, "\ufffd").replace(/(?![\u200c\u200d])\p{Cf}/gu, "");
}
