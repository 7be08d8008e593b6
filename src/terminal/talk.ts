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
  readonly #typing = new Map<AccountId, number>();
  readonly #delivered = new Map<AccountId, number>();
  readonly #read = new Map<AccountId, number>();

  constructor(conversation: Conversation, self: AccountId) {
    this.conversation = conversation;
    this.#self = self;
    const { last_activity: activity, unread_count: unread } = conversation;
    this.lastActivity = typeof activity === "string" ? Date.parse(activity) : 0;
    this.unread = typeof unread === "number" ? unread : 0;
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
    const places = how === "read" ? this.#read : this.#delivered;
    places.set(who, Math.max(seq, places.get(who) ?? 0));
  }

  /** How far an own message has come: what holds for all others. */
  markOf(item: Extract<Item, { kind: "message" }>): Mark {
    const all = (place: (who: AccountId) => number) =>
      this.others.length > 0 && this.others.every((who) => place(who) >= item.seq);
    const readUpTo = (who: AccountId) => this.#read.get(who) ?? 0;
    if (item.mark === "read" || all(readUpTo)) return "read";
    const hasUpTo = (who: AccountId) => Math.max(this.#delivered.get(who) ?? 0, readUpTo(who));
    return item.mark === "delivered" || all(hasUpTo) ? "delivered" : "sent";
  }
}
