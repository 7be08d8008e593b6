/**
 * What became of the messages that this client sent since it was opened: derived from receipts, from the marks
 * of the other members, and, after a time without a connection, from a page of the conversation.
 *
 * - A status never goes back, but from `failed`, which is told once.
 * - In a group all other members count, in a channel every message stays `sent`.
 * - Bounded: of more messages than are watched the oldest are told of no more.
 */
import type { AccountId, ConversationId, EventFrame, MessageId, MessageStatus } from "../protocol/mod.ts";
import type { Conversation } from "./api.ts";
import type { Receipt, Signal } from "./intake.ts";

/** How a message is: on its way, stored, with all others, read by all others, or refused for good. */
export type SendStatus = "sending" | MessageStatus | "failed";

/** A message has another status. */
export interface StatusUpdate {
  readonly conversationId: ConversationId;
  readonly id: MessageId;
  readonly status: SendStatus;
  /** The id that it had before, where the server would not take that one for its age; else `null`. */
  readonly renewedFrom: MessageId | null;
}

/** What {@link Statuses} are made of. */
export interface StatusesOptions {
  readonly self: () => AccountId;
  readonly conversation: (id: ConversationId) => Promise<Conversation>;
  /** A page of a conversation, from a seq on. */
  readonly page: (id: ConversationId, after: number) => Promise<readonly EventFrame[]>;
  readonly tell: (update: StatusUpdate) => void;
}

interface Watched {
  readonly conversationId: ConversationId;
  seq: number | null;
  status: SendStatus;
}

type Mark = Extract<Signal, { type: "message_delivered" | "message_read" }>;
type Progress = { delivered: number; read: number };

const RANKS = { sending: 0, sent: 1, delivered: 2, read: 3, failed: 4 } as const satisfies Record<SendStatus, number>;
const MOST_WATCHED = 1_000;
/** Conversations that are asked about after a time without a connection: those of the latest messages. */
const MOST_ASKED = 10;

/** See the head of this file. */
export class Statuses {
  readonly #options: StatusesOptions;
  readonly #messages = new Map<MessageId, Watched>();
  readonly #progress = new Map<ConversationId, Map<AccountId, Progress>>();

  constructor(options: StatusesOptions) {
    this.#options = options;
  }

  /** A message is on its way. */
  sending(conversationId: ConversationId, id: MessageId, renewedFrom: MessageId | null = null): void {
    if (renewedFrom !== null) this.#messages.delete(renewedFrom);
    this.#messages.set(id, { conversationId, seq: null, status: "sending" });
    this.#options.tell({ conversationId, id, status: "sending", renewedFrom });
    for (const [oldest, { conversationId: of }] of this.#messages) {
      if (this.#messages.size <= MOST_WATCHED) break;
      this.#forget(oldest, of);
    }
  }

  /** A message is stored. */
  received({ id, conversationId, seq }: Receipt): void {
    const message = this.#messages.get(id);
    if (message === undefined) return;
    message.seq = seq;
    this.#raise(id, message, "sent");
    void this.#judge(conversationId); // a mark may have come before the receipt
  }

  /** A message was refused for good. */
  failed(id: MessageId): void {
    const message = this.#messages.get(id);
    if (message === undefined) return;
    this.#raise(id, message, "failed");
    this.#forget(id, message.conversationId);
  }

  /** A member has been given, or has read, everything up to a seq. */
  marked(mark: Mark): void {
    const { conversation_id: id, user_id: userId, seq } = mark;
    if (userId === this.#options.self() || !this.#isWatched(id)) return;
    const members = this.#progress.get(id) ?? new Map<AccountId, Progress>();
    this.#progress.set(id, members);
    const known = members.get(userId) ?? { delivered: 0, read: 0 };
    const delivered = Math.max(known.delivered, seq);
    members.set(userId, { delivered, read: mark.type === "message_read" ? Math.max(known.read, seq) : known.read });
    void this.#judge(id);
  }

  /** The connection is live again: marks may have been missed. */
  async refresh(): Promise<void> {
    const asked = new Map<ConversationId, number>();
    for (const { conversationId, seq, status } of [...this.#messages.values()].reverse()) {
      if (seq === null || status === "read") continue;
      if (asked.size >= MOST_ASKED && !asked.has(conversationId)) continue;
      asked.set(conversationId, Math.min(seq, asked.get(conversationId) ?? seq));
    }
    for (const [id, first] of asked) {
      try {
        for (const entry of await this.#options.page(id, first - 1)) this.#shown(entry);
      } catch {
        // The next mark, or the next connection, says it.
      }
    }
  }

  #shown(entry: EventFrame): void {
    const message = this.#messages.get(entry.id);
    if (message !== undefined && entry.type === "message" && entry.status !== undefined)
      this.#raise(entry.id, message, entry.status);
  }

  async #judge(id: ConversationId): Promise<void> {
    const members = this.#progress.get(id);
    if (members === undefined) return;
    let conversation: Conversation;
    try {
      conversation = await this.#options.conversation(id);
    } catch {
      return; // as above
    }
    if (conversation.conversation_type === "channel") return;
    const self = this.#options.self();
    const others = conversation.participant_ids.filter((userId) => userId !== self);
    if (others.length === 0) return;
    const delivered = Math.min(...others.map((userId) => members.get(userId)?.delivered ?? 0));
    const read = Math.min(...others.map((userId) => members.get(userId)?.read ?? 0));
    for (const [messageId, message] of this.#messages) {
      if (message.conversationId !== id || message.seq === null) continue;
      if (message.seq <= read) this.#raise(messageId, message, "read");
      else if (message.seq <= delivered) this.#raise(messageId, message, "delivered");
    }
  }

  #raise(id: MessageId, message: Watched, status: SendStatus): void {
    if (RANKS[status] <= RANKS[message.status]) return;
    message.status = status;
    this.#options.tell({ conversationId: message.conversationId, id, status, renewedFrom: null });
  }

  #isWatched(id: ConversationId): boolean {
    for (const { conversationId } of this.#messages.values()) if (conversationId === id) return true;
    return false;
  }

  #forget(id: MessageId, conversationId: ConversationId): void {
    this.#messages.delete(id);
    if (!this.#isWatched(conversationId)) this.#progress.delete(conversationId);
  }
}
