/** Reports to administrators: bodies, parameters and answers of the HTTP API. Times are ISO 8601, UTC. */
import { z } from "zod";
import { ConversationType, Encryption } from "./content.ts";
import { AccountId, ConversationId, MessageId, ReportId } from "./ids.ts";
import { LIMITS } from "./limits.ts";

/** Why somebody reports somebody. */
export const ReportReason = z.enum(["spam", "abuse", "illegal", "impersonation", "other"]);
/** See {@link ReportReason}. */
export type ReportReason = z.infer<typeof ReportReason>;

/** What an administrator made of a report. `warned`: they talked to them; the server tells nobody anything. */
export const ReportOutcome = z
  .enum(["dismissed", "warned", "disabled"])
  .describe("`disabled` disables the account that was reported; `warned` says that somebody talked to them");
/** See {@link ReportOutcome}. */
export type ReportOutcome = z.infer<typeof ReportOutcome>;

const Text = z
  .string()
  .trim()
  .min(1)
  .max(LIMITS.reportChars)
  .refine((text) => text.isWellFormed(), { error: "must be text" });

/** `POST /api/reports`. The same `id` again is the same report. */
export const ReportBody = z.strictObject({
  id: ReportId.optional().describe("Made by the client; with it a retry is known"),
  user_id: AccountId,
  conversation_id: ConversationId.optional().describe("Where it happened, if the caller is or was there"),
  reason: ReportReason,
  note: Text.optional().describe("What the caller says of it"),
  messages: z
    .array(
      z.strictObject({
        message_id: MessageId,
        text: Text.optional().describe("What the caller's device shows of it, where the caller wants to show that"),
      }),
    )
    .max(LIMITS.reportMessages)
    .refine((all) => new Set(all.map(({ message_id }) => message_id)).size === all.length, {
      error: "must name each message once",
    })
    .default([]),
});

/** `/api/admin/reports/{id}`. */
export const ReportParams = z.object({ id: ReportId });

/** `GET /api/admin/reports`: the newest first; `before` is the `next` of the page before. */
export const ListReportsQuery = z.object({
  state: z.enum(["open", "closed", "all"]).default("open"),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  before: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
});

/** `POST /api/admin/reports/{id}/close`. */
export const CloseReportBody = z.strictObject({
  outcome: ReportOutcome,
  note: Text.optional().describe("For other administrators"),
});

const Time = z.iso.datetime();
const Person = z.strictObject({ id: AccountId, username: z.string() });

/** `POST /api/reports`: that it is there, and nothing else. */
export const ReportFiledAnswer = z.strictObject({ id: ReportId, created_at: Time });

/** A report in a list: who, whom and why. */
export const ReportHeadAnswer = z.strictObject({
  id: ReportId,
  number: z.int().min(1).describe("What administrators call it"),
  reporter: Person,
  reported: Person.extend({ disabled: z.boolean() }),
  reason: ReportReason,
  created_at: Time,
  state: z.enum(["open", "closed"]),
  outcome: ReportOutcome.nullable(),
  closed_at: Time.nullable(),
});
/** See {@link ReportHeadAnswer}. */
export type ReportHeadAnswer = z.infer<typeof ReportHeadAnswer>;

/** One message of a report. */
export const ReportedMessage = z.strictObject({
  message_id: MessageId,
  vouched: z
    .strictObject({
      conversation_id: ConversationId,
      conversation_type: ConversationType,
      encryption: Encryption,
      seq: z.int().min(1),
      stored_at: Time,
      edited_at: Time.nullable().describe("When it was changed to what the reporter saw"),
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .nullable()
        .describe("Of its `content` or `encrypted_content` as stored, in UTF-8; `null`: it was gone already"),
      text: z
        .string()
        .nullable()
        .describe(`In a \`server\` conversation what was stored, of that the first ${LIMITS.reportChars} characters`),
    })
    .describe("What the server knows itself, of when the report was made: the reported account sent this"),
  claimed: z
    .strictObject({ text: z.string().nullable() })
    .describe("What the reporter says that it says; the server cannot check it"),
});
/** See {@link ReportedMessage}. */
export type ReportedMessage = z.infer<typeof ReportedMessage>;

/** `GET /api/admin/reports/{id}`. */
export const ReportAnswer = ReportHeadAnswer.extend({
  conversation_id: ConversationId.nullable().describe("Where it happened, as the reporter says, who is or was there"),
  note: z.string().nullable().describe("What the reporter says of it"),
  messages: z.array(ReportedMessage),
  closing_note: z.string().nullable(),
});
/** See {@link ReportAnswer}. */
export type ReportAnswer = z.infer<typeof ReportAnswer>;

/** `GET /api/admin/reports`. */
export const ReportsAnswer = z.strictObject({
  reports: z.array(ReportHeadAnswer),
  next: z.int().nullable().describe("The `before` of the following page"),
});
/** See {@link ReportsAnswer}. */
export type ReportsAnswer = z.infer<typeof ReportsAnswer>;
