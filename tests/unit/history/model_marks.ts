/** What the model's server knows of how far people are, whom it tells, and what it says of it on pages. */
import type { AccountId, ConversationId } from "../../../src/protocol/mod.ts";
import type { Entry } from "../../support/history/entry.ts";
import type { Status } from "../../support/history/history.ts";

/** Somebody who is in a conversation. */
interface Member {
  readonly account: AccountId;
  readonly joined: number;
  readonly left: number | null;
}

/** A log as far as this is concerned. */
export interface MarkedLog {
  readonly conversation: ConversationId;
  readonly isDm: boolean;
  readonly entries: readonly Entry[];
  readonly members: readonly Member[];
}

interface Place {
  readonly delivered: number;
  readonly read: number;
}

/** See the head of this file. */
export class Marks {
  readonly #places = new Map<string, Place>();
  /** How far the two of a dm seemed to be to each other when a block began. */
  readonly #standing = new Map<string, Place>();
  readonly #blocks = new Set<string>();
  readonly silent = new Set<AccountId>();
  readonly hidden = new Set<AccountId>();
  /** Messages that were confirmed by the relay's contract, by account and id. */
  readonly confirmed = new Set<string>();

  /** Somebody has everything up to a seq, or has read it; false where that is no news. */
  raise(
    what: keyof Place,
    account: AccountId,
    { conversation }: Pick<MarkedLog, "conversation">,
    seq: number,
  ): boolean {
    const key = `${account} ${conversation}`;
    const before = this.#places.get(key) ?? { delivered: 0, read: 0 };
    if (seq <= before[what]) return false;
    this.#places.set(key, { ...before, [what]: seq });
    return true;
  }

  /** How far somebody has read. */
  readOf(account: AccountId, conversation: ConversationId): number {
    return this.#places.get(`${account} ${conversation}`)?.read ?? 0;
  }

  /** Somebody blocks somebody, or ends that; the dms of the two. */
  block(change: "block" | "unblock", one: AccountId, other: AccountId, dms: readonly MarkedLog[]): void {
    const before = this.areParted(one, other);
    if (change === "block") this.#blocks.add(`${one} ${other}`);
    else this.#blocks.delete(`${one} ${other}`);
    for (const { conversation } of dms) {
      for (const who of [one, other]) {
        const key = `${who} ${conversation}`;
        if (!this.areParted(one, other)) this.#standing.delete(key);
        else if (!before) this.#standing.set(key, this.#places.get(key) ?? { delivered: 0, read: 0 });
      }
    }
  }

  /** Whether one of two blocks the other. */
  areParted(one: AccountId, other: AccountId): boolean {
    return this.#blocks.has(`${one} ${other}`) || this.#blocks.has(`${other} ${one}`);
  }

  /** Whether a mark of somebody is told to somebody. */
  mayTell(what: keyof Place, of: AccountId, to: AccountId, log: MarkedLog): boolean {
    if (of === to) return what === "read";
    const inside = (account: AccountId) => log.members.some((one) => one.account === account && one.left === null);
    if (!inside(of) || !inside(to) || (log.isDm && this.areParted(of, to))) return false;
    return what === "delivered" || (!this.silent.has(of) && !this.silent.has(to));
  }

  /** Statuses of one's own messages. */
  statuses(log: MarkedLog, account: AccountId, entries: readonly Entry[]): Map<number, Status> {
    const others = log.members.filter((member) => member.account !== account && member.left === null);
    const own = entries.filter(({ kind, sender }) => kind === "message" && sender === account);
    return new Map(own.map(({ seq }) => [seq, this.#status(log, account, others, seq)]));
  }

  #status({ conversation, entries }: MarkedLog, account: AccountId, others: readonly Member[], seq: number): Status {
    const id = entries.find((entry) => entry.seq === seq)?.id;
    const of = ({ account: other, joined }: Member, what: keyof Place): boolean => {
      const key = `${other} ${conversation}`;
      const place = this.#standing.get(key) ?? this.#places.get(key);
      if (joined > seq) return true;
      if (what === "delivered" && this.confirmed.has(`${other} ${id}`)) return true;
      if (what === "read" && (this.silent.has(other) || this.silent.has(account))) return false;
      return (
        (place?.[what] ?? 0) >= seq || (what === "delivered" && of({ account: other, joined, left: null }, "read"))
      );
    };
    if (others.length === 0 || !others.every((other) => of(other, "delivered"))) return "sent";
    return others.every((other) => of(other, "read")) ? "read" : "delivered";
  }
}
