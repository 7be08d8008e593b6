/** The promises of `send`, and how a message is made for its first id and for another one. */
import { type ConversationId, type MessageContent, type MessageId, newMessageId } from "../protocol/mod.ts";
import type { Composer } from "./composer.ts";
import type { Receipt } from "./intake.ts";
import type { SottoError } from "./sotto_error.ts";
import type { OutgoingMessage } from "./store.ts";
import type { Timing } from "./timing.ts";

/** What may be sent: text, or content of the app's own making as `encrypted_content`. */
export type Sendable = string | Partial<MessageContent>;

/** What `send` may be told beside the content. */
export interface SendOptions {
  /** The id to give the message, made with `newMessageId` and used for no other. Default: a new one. */
  readonly id?: MessageId;
  /** Seconds until the message expires. */
  readonly expiresIn?: number;
  /** For text: the message that it answers. Not encrypted. */
  readonly replyTo?: MessageId;
}

/** Whom the answer to one message goes to. */
export interface Waiting {
  readonly resolve: (receipt: Receipt) => void;
  readonly reject: (error: unknown) => void;
  /** What was given to `send`, to make it anew under another id. */
  readonly content: Sendable;
  readonly renewedFrom: MessageId | null;
}

/** Knows which messages somebody waits for. */
export class Sends {
  readonly #composer: Composer;
  readonly #timing: Timing;
  readonly #waiting = new Map<MessageId, Waiting>();

  constructor(composer: Composer, timing: Timing) {
    this.#composer = composer;
    this.#timing = timing;
  }

  /** Makes a message with an id of its own; text is encrypted where the conversation asks for it. */
  async make(
    conversationId: ConversationId,
    content: Sendable,
    options: SendOptions,
  ): Promise<Omit<OutgoingMessage, "order">> {
    const id = options.id ?? newMessageId(this.#timing.now());
    const { fields, idBound } = await this.#compose(conversationId, id, content);
    const frame = JSON.stringify({
      type: "message",
      id,
      conversation_id: conversationId,
      ...fields,
      ...(options.replyTo === undefined ? {} : { reply_to: options.replyTo }),
      ...(options.expiresIn === undefined ? {} : { expires_in: options.expiresIn }),
    });
    return { id, conversationId, idBound, frame };
  }

  /** Somebody waits for the answer to this message. */
  expect(id: MessageId, waiting: Waiting): void {
    this.#waiting.set(id, waiting);
  }

  /** A message is stored. False where nobody waits for it. */
  received(receipt: Receipt): boolean {
    const waiting = this.#take(receipt.id);
    waiting?.resolve({ ...receipt, renewedFrom: waiting.renewedFrom });
    return waiting !== undefined;
  }

  /** A message is refused for good. False where nobody waits for it. */
  refused(id: MessageId, error: unknown): boolean {
    const waiting = this.#take(id);
    waiting?.reject(error);
    return waiting !== undefined;
  }

  /**
   * The same message under another id. `undefined` where that is not possible: after a restart the
   * text is not at hand any more, and the ciphertext is bound to the old id.
   */
  async renew(message: OutgoingMessage): Promise<OutgoingMessage | undefined> {
    const waiting = this.#waiting.get(message.id);
    if (waiting === undefined && message.idBound) return undefined;
    const id = newMessageId(this.#timing.now());
    const content = waiting?.content ?? {};
    const { fields } = await this.#compose(message.conversationId, id, content);
    if (this.#take(message.id) !== undefined && waiting !== undefined) {
      this.#waiting.set(id, { ...waiting, renewedFrom: waiting.renewedFrom ?? message.id });
    }
    return { ...message, id, frame: JSON.stringify({ ...JSON.parse(message.frame), ...fields, id }) };
  }

  /** Nobody will be answered any more. */
  abandon(error: SottoError): void {
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }

  #take(id: MessageId): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  async #compose(conversationId: ConversationId, id: MessageId, content: Sendable) {
    if (typeof content !== "string") return { fields: content, idBound: false };
    const { content: fields, idBound } = await this.#composer.compose(conversationId, id, content);
    return { fields, idBound };
  }
}
