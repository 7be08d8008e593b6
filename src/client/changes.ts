/**
 * Changing messages, and reporting them: edits, reactions, deletions, reports. Each is a request that is repeated until it is answered, under
 * the same id or saying how it is to be: so repeating it changes nothing more. They go past the outbox, which keeps
 * the order of messages: what it still holds is not stored yet, and cannot be changed.
 */
import {
  type AccountId,
  type ConversationId,
  LIMITS,
  type MessageId,
  newMessageId,
  ReportId,
  type ReportReason,
  uuidv7,
} from "../protocol/mod.ts";
import type { Api } from "./api.ts";
import type { Composer } from "./composer.ts";
import { untilAnswered } from "./repeating.ts";
import type { Timing } from "./timing.ts";

/** What somebody tells administrators of the server about somebody. */
export interface Report {
  readonly user: AccountId;
  /** Where it happened. */
  readonly conversation?: ConversationId | undefined;
  readonly reason: ReportReason;
  /** At most `LIMITS.reportChars` characters. */
  readonly note?: string | undefined;
  /**
   * Messages of theirs, at most `LIMITS.reportMessages`. What `text` holds leaves the end-to-end encryption: ask before.
   * Without it administrators learn that there is such a message, and not what it says. One of `events()` or `history` fits.
   */
  readonly messages?: readonly { readonly id: MessageId; readonly text?: string | null }[];
}

/** See the head of this file. */
export class Changes {
  readonly #api: Api;
  readonly #composer: Composer;
  readonly #timing: Timing;

  constructor(api: Api, composer: Composer, timing: Timing) {
    this.#api = api;
    this.#composer = composer;
    this.#timing = timing;
  }

  /** Gives a message of one's own another text, encrypted as the conversation asks for it. */
  async edit(conversationId: ConversationId, messageId: MessageId, text: string): Promise<void> {
    const id = newMessageId(this.#timing.now());
    const { content } = await this.#composer.compose(conversationId, id, text, messageId);
    await untilAnswered(this.#timing, () => this.#api.editMessage(messageId, { id, ...content }));
  }

  /** Adds a reaction, or takes it back. */
  async react(messageId: MessageId, emoji: string, change: "added" | "removed"): Promise<void> {
    await untilAnswered(this.#timing, () => this.#api.react(messageId, emoji, change));
  }

  /** Deletes a message for everybody, or for the account alone. */
  async remove(messageId: MessageId, audience: "all" | "me"): Promise<void> {
    await untilAnswered(this.#timing, () => this.#api.deleteMessage(messageId, audience));
  }

  /** Reports somebody; what of a text is too long for a report is left out at its end. */
  async report(report: Report): Promise<void> {
    const { user, conversation, reason, note, messages = [] } = report;
    const body = {
      id: ReportId.parse(uuidv7(this.#timing.now())),
      ...{ user_id: user, conversation_id: conversation, reason, note },
      messages: messages.map(({ id, text }) => ({ message_id: id, text: shortened(text) })),
    };
    await untilAnswered(this.#timing, () => this.#api.report(body));
  }
}

function shortened(text: string | null | undefined): string | undefined {
  const trimmed = text?.trim().toWellFormed() ?? "";
  if (trimmed.length <= LIMITS.reportChars) return trimmed === "" ? undefined : trimmed;
  return `${trimmed.slice(0, LIMITS.reportChars - 1).toWellFormed()}…`;
}
