/** One conversation as the terminal knows it: its log, who types in it, and who has come how far. */
import type { Conversation } from "../client/mod.ts";
import type { AccountId } from "../protocol/mod.ts";
import { type Item, type Mark, Timeline } from "./timeline.ts";

/** A typing mark holds this long without another; milliseconds. */
const TYPING_MS = 6_000;

/** See the head of this file. */
export class Talk {
  readonly timeline = new Timeline();
  /** The conversation as the server described it last. */
  conversation: Conversation;
  /** Messages of others that were not shown yet. */
  unread: number;
  /** Milliseconds since the epoch. */
  lastActivity: number;
  /** The seq up to which the server was told that everything is read. */
  markedRead = 0;
  readonly #self: AccountId;
  /** Up to which seq `unread` has counted. */
  #countedTo: number;
  readonly #typing = new Map<AccountId, number>();
  readonly #delivered = new Map<AccountId, number>();
  readonly #read = new Map<AccountId, number>();

  constructor(conversation: Conversation, self: AccountId) {
    this.#self = self;
    this.conversation = conversation;
    this.unread = conversation.unread_count;
    this.#countedTo = conversation.last_seq;
    this.lastActivity = Date.parse(conversation.last_activity);
  }

  /** Takes the conversation as the server describes it now. */
  update(conversation: Conversation): void {
    this.conversation = conversation;
    this.lastActivity = Math.max(this.lastActivity, Date.parse(conversation.last_activity));
    if (conversation.last_seq < this.#countedTo) return; // the count is older than what came live
    this.#countedTo = conversation.last_seq;
    this.unread = conversation.unread_count;
  }

  /** A message came. `isUnread`: others wrote it, and nobody looks at it. The server's count may hold it already. */
  count(message: { readonly seq: number; readonly at: number; readonly isUnread: boolean }): void {
    this.lastActivity = Math.max(this.lastActivity, message.at);
    if (message.seq <= this.#countedTo) return;
    this.#countedTo = message.seq;
    if (message.isUnread) this.unread++;
  }

  /** Whether everybody in it is known by id: lists name only some of many. */
  get isComplete(): boolean {
    return this.conversation.participant_ids.length >= this.conversation.participant_count;
  }

  /** Everybody in it but oneself. */
  get others(): readonly AccountId[] {
    return this.conversation.participant_ids.filter((id) => id !== this.#self);
  }

  /** Somebody began or ceased to type. `now`: milliseconds since the epoch. */
  typed(who: AccountId, isTyping: boolean, now: number): void {
    if (isTyping && who !== this.#self) this.#typing.set(who, now + TYPING_MS);
    else this.#typing.delete(who);
  }

  /** Who types now. */
  typing(now: number): AccountId[] {
    return [...this.#typing].filter(([, until]) => until > now).map(([who]) => who);
  }

  /** Somebody has everything up to `seq`, or has read it. */
  reached(who: AccountId, how: "delivered" | "read", seq: number): void {
    // Oneself, on another device.
    if (who === this.#self && how === "read" && seq >= this.#countedTo) this.unread = 0;
    const places = how === "read" ? this.#read : this.#delivered;
    places.set(who, Math.max(seq, places.get(who) ?? 0));
  }

  /** How far an own message has come: what holds for all others. */
  markOf(item: Extract<Item, { kind: "message" }>): Mark {
    const all = (place: (who: AccountId) => number) =>
      this.isComplete && this.others.length > 0 && this.others.every((who) => place(who) >= item.seq);
    const readUpTo = (who: AccountId) => this.#read.get(who) ?? 0;
    if (item.mark === "read" || all(readUpTo)) return "read";
    const hasUpTo = (who: AccountId) => Math.max(this.#delivered.get(who) ?? 0, readUpTo(who));
    return item.mark === "delivered" || all(hasUpTo) ? "delivered" : "sent";
  }
}
