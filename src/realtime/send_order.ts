/**
 * Keeps the order of one socket's messages across refusals [MSG-5]. A message that was refused as
 * retryable will come again; until it does, what was sent after it in the same conversation is
 * refused too, else a retry would be stored behind its successors. Those are refused as retryable
 * themselves, so they come again one after another, each in its old place.
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

/** Refused messages of one socket that are waited for. */
const MOST = 1_000;

/** See the head of this file. */
export class SendOrder {
  #last = 0;
  #waiting = 0;
  /** By conversation, in the order in which they were first sent; never empty. Made when something is first refused. */
  #refused: Map<ConversationId, SendPlace[]> | null = null;

  /** Numbers a message that has arrived; one that was refused has its old place. */
  arrive(conversationId: ConversationId, id: MessageId): SendPlace {
    const refused = this.#refused?.get(conversationId)?.find((place) => place.id === id);
    return refused ?? { conversationId, id, number: ++this.#last };
  }

  /** Whether a message may go on; else the id that must come first. */
  admit(place: SendPlace): MessageId | null {
    const first = this.ahead(place);
    if (first === null) this.settle(place.conversationId, place.id);
    return first;
  }

  /** The id that was refused and must come before a message; `null`: none. */
  ahead(place: SendPlace): MessageId | null {
    const first = this.#refused?.get(place.conversationId)?.[0];
    return first === undefined || place.number <= first.number ? null : first.id;
  }

  /** Notes a retryable refusal; false where the socket waits for too many to be kept. */
  refuse(place: SendPlace): boolean {
    this.#refused ??= new Map();
    const refused = this.#refused.get(place.conversationId) ?? [];
    if (refused.some((other) => other.id === place.id)) return true;
    const behind = refused.findIndex((other) => other.number > place.number);
    refused.splice(behind < 0 ? refused.length : behind, 0, place);
    this.#refused.set(place.conversationId, refused);
    return ++this.#waiting <= MOST;
  }

  /** No longer waits for an id: it came again, or another attempt of it was stored. */
  settle(conversationId: ConversationId, id: MessageId): void {
    const refused = this.#refused?.get(conversationId);
    const at = refused?.findIndex((place) => place.id === id) ?? -1;
    if (refused === undefined || at < 0) return;
    refused.splice(at, 1);
    this.#waiting--;
    if (refused.length === 0) this.#refused?.delete(conversationId);
  }
}
