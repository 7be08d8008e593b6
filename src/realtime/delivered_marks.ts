/**
 * Telling members how far a message got: that an account has been given everything up to a seq, on any of
 * its devices. Gathered for a second, so that a mark is told at most once a second for each account and
 * conversation, and all marks of that second look their receivers up together.
 *
 * - Kept nowhere and told as a hint: what is lost is in the members' cursors, which pages are derived from.
 * - A mark never goes back here; another node may know an older one, so receivers keep the highest.
 * - Bounded: what is beyond the receivers of a second waits, and is one mark by then; what is beyond the
 *   accounts that may wait is dropped.
 */

import type { Head } from "../conversations/mod.ts";
import { isBlocked } from "../conversations/mod.ts";
import { forgetOldest } from "../platform/forget_oldest.ts";
import { type AccountId, type Codec, type ConversationId, LIMITS } from "../protocol/mod.ts";

/** What {@link DeliveredMarks} are made of. */
export interface DeliveredMarksOptions {
  readonly codec: Codec;
  readonly head: (id: ConversationId) => Promise<Head | null>;
  /** Sends a frame to whoever of these is connected. */
  readonly signal: (to: readonly AccountId[], text: string) => void;
  readonly onFault: (error: unknown) => void;
}

/** Members told in one look; a look is once a second. */
const MOST_TOLD = 20_000;
/** Accounts, counted by conversation, whose marks wait. */
const MOST_WAITING = 50_000;
/** Conversations whose last marks are remembered; of others a mark may be told again. */
const MOST_REMEMBERED = 20_000;

type Marks = Map<AccountId, number>;

/** See the head of this file. */
export class DeliveredMarks {
  readonly #options: DeliveredMarksOptions;
  #waiting = new Map<ConversationId, Marks>();
  #waitingCount = 0;
  #told = new Map<ConversationId, Marks>();
  #telling = false;
  /** Channels, of which nothing is told; of more than are remembered the oldest are looked up again. */
  readonly #channels = new Set<ConversationId>();

  constructor(options: DeliveredMarksOptions) {
    this.#options = options;
  }

  /** An account has everything up to `seq`. */
  add(account: AccountId, conversationId: ConversationId, seq: number): void {
    if (this.#channels.has(conversationId)) return;
    if (seq <= (this.#told.get(conversationId)?.get(account) ?? 0)) return;
    const marks = this.#waiting.get(conversationId);
    const before = marks?.get(account);
    if (before === undefined) {
      if (this.#waitingCount >= MOST_WAITING) return;
      this.#waitingCount++;
    }
    if (marks === undefined) this.#waiting.set(conversationId, new Map([[account, seq]]));
    else if (before === undefined || before < seq) marks.set(account, seq);
  }

  /** Tells what waits, as much as a second may; called every second. Never rejects. */
  async tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    try {
      let left = MOST_TOLD;
      for (const [id, marks] of this.#waiting) {
        if (left <= 0) break;
        this.#waiting.delete(id);
        this.#waitingCount -= marks.size;
        const head = await this.#options.head(id);
        if (head?.type === "channel") this.#rememberChannel(id);
        else if (head !== null) left -= this.#tellIn(head, marks);
      }
    } catch (error) {
      this.#options.onFault(error); // what was taken is lost, and the cursors know it
    } finally {
      this.#telling = false;
    }
  }

  #rememberChannel(id: ConversationId): void {
    this.#channels.add(id);
    forgetOldest(this.#channels, MOST_REMEMBERED);
  }

  #tellIn(head: Head, marks: Marks): number {
    if (head.members.size > LIMITS.contactGroup || isBlocked(head)) return 0;
    const { codec, signal } = this.#options;
    let told = 0;
    for (const [account, seq] of marks) {
      if (!head.members.has(account) || !this.#remember(head.id, account, seq)) continue;
      const others = [...head.members.keys()].filter((member) => member !== account);
      told += others.length;
      signal(others, codec.encode({ type: "message_delivered", conversation_id: head.id, user_id: account, seq }));
    }
    return told;
  }

  /** False where as much was told meanwhile. */
  #remember(id: ConversationId, account: AccountId, seq: number): boolean {
    const marks = this.#told.get(id) ?? new Map<AccountId, number>();
    if (seq <= (marks.get(account) ?? 0)) return false;
    marks.set(account, seq);
    this.#told.delete(id); // to the end: the most recent
    this.#told.set(id, marks);
    forgetOldest(this.#told, MOST_REMEMBERED);
    return true;
  }
}
