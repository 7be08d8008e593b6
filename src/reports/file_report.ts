/**
 * Reporting somebody. The server takes down what it knows itself of each message that the reporter names, as it
 * is at that moment: what the reported deletes afterwards is still reported.
 */
import { createHash } from "node:crypto";
import { accountExists } from "../accounts/mod.ts";
import { findSeenMessage, wasIn } from "../conversations/mod.ts";
import type { Rate } from "../platform/rate_limit.ts";
import {
  type AccountId,
  type ConversationId,
  DomainError,
  LIMITS,
  type MessageId,
  type ReportedMessage,
  type ReportId,
  type ReportReason,
} from "../protocol/mod.ts";
import type { ReportsDeps } from "./deps.ts";
import { findReport, insertReport, type StoredReport } from "./reports_store.ts";
import { openReport, sealReport } from "./sealed_report.ts";

/** How often somebody may report: so often at once, and as often in the course of a day. */
export const REPORT_RATES: Readonly<Record<"report_account", Rate>> = {
  report_account: { perMinute: LIMITS.reportsPerDay / (24 * 60), burst: LIMITS.reportsPerDay },
};

/** What the reporter sends. */
export interface FileReportInput {
  readonly id: ReportId;
  readonly reporterId: AccountId;
  readonly reportedId: AccountId;
  readonly conversationId: ConversationId | null;
  readonly reason: ReportReason;
  readonly note: string | null;
  readonly messages: readonly { readonly messageId: MessageId; readonly text: string | null }[];
}

/** A report that is stored; `isNew` is false for a retry. */
export interface FiledReport {
  readonly id: ReportId;
  readonly createdAt: Date;
  readonly isNew: boolean;
}

/**
 * Reports somebody. What was stored under the id wins over every refusal.
 *
 * Errors: `user_not_found`; `conversation_not_found` and `message_not_found` for what the reporter is not and was
 * not in, or never could see; `bad_request` for oneself and for messages of others; `conflict` for somebody
 * else's id, `idempotency_conflict` for another report under it, `rate_limited`.
 */
export async function fileReport(deps: ReportsDeps, input: FileReportInput): Promise<FiledReport> {
  const known = await findReport(deps.db, input.id);
  if (known !== undefined) return repeated(deps, known, input);
  await checkPlace(deps, input);
  const messages: ReportedMessage[] = [];
  for (const [index, said] of input.messages.entries()) messages.push(await vouchFor(deps, input, said, index));
  await deps.throttle.take(["report_account", input.reporterId]);
  const { id, reporterId: reporter, reportedId: reported, reason, conversationId, note } = input;
  const now = deps.clock.now();
  const sealed = sealReport(deps.sealer, id, { conversation_id: conversationId, note, messages });
  const stored = await insertReport(deps.db, { id, reporter, reported, reason, now, ...sealed });
  if (stored === "no_account") throw new DomainError("user_not_found");
  if (stored === "stored") return { id, createdAt: new Date(now), isNew: true };
  const twin = await findReport(deps.db, id);
  if (twin === undefined) throw new DomainError("conflict"); // it went in the same moment
  return repeated(deps, twin, input);
}

async function checkPlace(deps: ReportsDeps, input: FileReportInput): Promise<void> {
  const { reporterId, reportedId, conversationId } = input;
  if (reporterId === reportedId) throw refused("user_id", "must be somebody else");
  if (!(await accountExists(deps, [reportedId])).has(reportedId)) throw new DomainError("user_not_found");
  if (conversationId === null || deps.openTo.includes(conversationId)) return;
  if (!(await wasIn(deps.conversations, { accountId: reporterId, conversationId })))
    throw new DomainError("conversation_not_found");
}

/** What the server knows of a message, beside what the reporter says of it. */
async function vouchFor(
  deps: ReportsDeps,
  input: FileReportInput,
  said: FileReportInput["messages"][number],
  index: number,
): Promise<ReportedMessage> {
  const { reporterId: readerId, reportedId, conversationId } = input;
  const { messageId } = said;
  const { entry, conversation } = await findSeenMessage(deps.conversations, {
    ...{ readerId, messageId, conversationId, openTo: deps.openTo },
  });
  if (entry.senderId !== reportedId)
    throw refused(`messages.${index}.message_id`, "must be a message of the user who is reported");
  const content = entry.kind === "message" ? entry.content : null;
  const stored = content?.content ?? content?.encrypted_content ?? null;
  return {
    message_id: messageId,
    vouched: {
      conversation_id: entry.conversationId,
      conversation_type: conversation.type,
      encryption: conversation.encryption,
      seq: entry.seq,
      stored_at: new Date(entry.createdAt).toISOString(),
      edited_at: content !== null && "edited_at" in content ? (content.edited_at ?? null) : null,
      sha256: stored === null ? null : createHash("sha256").update(stored).digest("hex"),
      text: content?.content?.slice(0, LIMITS.reportChars).toWellFormed() ?? null,
    },
    claimed: { text: said.text },
  };
}

/** The answer to a report whose id is known: the same again, if it is the same. */
function repeated(deps: ReportsDeps, stored: StoredReport, input: FileReportInput): FiledReport {
  if (stored.reporter.id !== input.reporterId) throw new DomainError("conflict");
  const text = openReport(deps.sealer, stored);
  const before = [
    ...[stored.reported.id, stored.reason, text.conversation_id, text.note],
    text.messages.map(({ message_id, claimed }) => [message_id, claimed.text]),
  ];
  const again = [
    ...[input.reportedId, input.reason, input.conversationId, input.note],
    input.messages.map(({ messageId, text: claim }) => [messageId, claim]),
  ];
  if (JSON.stringify(before) !== JSON.stringify(again)) throw new DomainError("idempotency_conflict");
  return { id: stored.id, createdAt: stored.createdAt, isNew: false };
}

function refused(field: string, why: string): DomainError {
  return new DomainError("bad_request", { details: { fields: { [field]: why } } });
}
