/** Who is in which conversation, as far as the entries that anybody was shown tell. */
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import type { Frame } from "../support/peer.ts";

/** Whether somebody is in a conversation, and the seq that says so. */
export interface Membership {
  readonly seq: number;
  readonly inside: boolean;
}

/** See the head of this file. */
export class Members {
  readonly #known = new Map<ConversationId, Map<AccountId, Membership>>();

  /** What is known of somebody; `null`: nothing. */
  of(conversation: ConversationId, account: AccountId): Membership | null {
    return this.#known.get(conversation)?.get(account) ?? null;
  }

  /** Whether somebody is known to be in a conversation. */
  inside(conversation: ConversationId, account: AccountId): boolean {
    return this.of(conversation, account)?.inside === true;
  }

  /** An entry was shown to somebody; they come in no order, so a later seq counts. */
  entry(frame: Frame): void {
    if (frame.type !== "membership") return;
    const inside = frame.change === "created" || frame.change === "joined";
    for (const account of frame.user_ids) this.#note(frame.conversation_id, account, { seq: frame.seq, inside });
  }

  /** The server says that somebody is not in a conversation, without saying since when. */
  outside(conversation: ConversationId, account: AccountId): void {
    this.#note(conversation, account, { seq: this.of(conversation, account)?.seq ?? 0, inside: false });
  }

  #note(conversation: ConversationId, account: AccountId, membership: Membership): void {
    let known = this.#known.get(conversation);
    if (known === undefined) {
      known = new Map();
      this.#known.set(conversation, known);
    }
    if ((known.get(account)?.seq ?? 0) <= membership.seq) known.set(account, membership);
  }
}
