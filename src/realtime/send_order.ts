/**
 * Keeps the order of one socket's messages across refusals [MSG-5]. A message that was refused as
 * retryable will come again; until it does, what was sent after it in the same conversation is
 * refused too, else a retry would be stored behind its successors.
 *
 * Messages are numbered as they arrive, because a refusal can come at the door (rate, full mailbox)
 * or much later (from the log), while earlier and later ones are still on their way.
 */
import type { ConversationId, MessageId } from "../protocol/mod.ts";

/** A message on its way: its number on this socket, and its id. */
export interface SendPlace {
  readonly conversationId: ConversationId;
  readonly id: MessageId;
  readonly number: number;
}

/** Conversations of one socket in which a refused message is waited for. */
const MOST = 1_000;

/** See the head of this file. */
export class SendOrder {
  #last = 0;
  readonly #refused = new Map<ConversationId, SendPlace>();

  /** Numbers a message that has arrived. */
  arrive(conversationId: ConversationId, id: MessageId): SendPlace {
    return { conversationId, id, number: ++this.#last };
  }

  /** Whether a message may go on; else the id that must come first. */
  admit(place: SendPlace): MessageId | null {
    const first = this.#refused.get(place.conversationId);
    if (first === undefined || place.number < first.number) return null;
    if (place.id !== first.id) return first.id;
    this.#refused.delete(place.conversationId);
    return null;
  }

  /** Notes a retryable refusal; false where the socket waits for too many to be kept. */
  refuse(place: SendPlace): boolean {
    const first = this.#refused.get(place.conversationId);
    if (first !== undefined && first.number < place.number) return true;
    this.#refused.set(place.conversationId, place);
    return this.#refused.size <= MOST;
  }
}
