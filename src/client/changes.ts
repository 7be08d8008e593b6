/**
 * Changing messages: edits, reactions, deletions. Each is a request that is repeated until it is answered, under
 * the same id or saying how it is to be: so repeating it changes nothing more. They go past the outbox, which keeps
 * the order of messages: what it still holds is not stored yet, and cannot be changed.
 */
import { type ConversationId, type MessageId, newMessageId } from "../protocol/mod.ts";
import type { Api } from "./api.ts";
import type { Composer } from "./composer.ts";
import { untilAnswered } from "./repeating.ts";
import type { Timing } from "./timing.ts";

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
}
