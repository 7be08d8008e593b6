/**
 * What this node knows of conversations: kind, encryption and who is a member, with the
 * version that this was true at. Kind and encryption never change; membership does, and
 * the log says so: every append gives the version under the head's lock, so a stale entry
 * is noticed by its first use and never decides anything.
 *
 * - Bounded: what was not used since it was last passed over goes first, the oldest of it.
 * - `use` keeps order: callers that wait for the same conversation go on in the order they
 *   came, and nobody who comes later overtakes them.
 */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import { loadHeads } from "./conversations_store.ts";
import type { Head, Member } from "./head.ts";

/** What a user of a head is given: the head, `null` where there is no such conversation, or why it is not known. */
type HeadAnswer = { readonly head: Head | null } | { readonly error: unknown };

type Entry = { head: Head; used: boolean } | { waiting: ((answer: HeadAnswer) => void)[]; stale: boolean };

/** One account that came, or is gone; `member` null. */
export interface MemberChange {
  readonly membersVersion: number;
  readonly accountId: AccountId;
  readonly member: Member | null;
}

/** Entries kept; a group of 1,000 costs about 100 KB, a dm about 1 KB. */
const MOST_MEMBERS = 500_000;

/** See the head of this file. */
export class Heads {
  readonly #sql: Sql;
  readonly #entries = new Map<ConversationId, Entry>();
  #members = 0;

  constructor(sql: Sql) {
    this.#sql = sql;
  }

  /** Calls `then` with the head: at once where it is known, else once it is loaded. */
  use(id: ConversationId, then: (answer: HeadAnswer) => void): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) this.#load(id, [then]);
    else if ("waiting" in entry) entry.waiting.push(then);
    else {
      entry.used = true;
      then(entry);
    }
  }

  /** The head as a promise, for callers to whom order does not matter. */
  get(id: ConversationId): Promise<Head | null> {
    return new Promise((resolve, reject) => {
      this.use(id, (answer) => ("head" in answer ? resolve(answer.head) : reject(answer.error)));
    });
  }

  /** The head at `version` or newer. */
  async atLeast(id: ConversationId, version: number): Promise<Head | null> {
    const head = await this.get(id);
    if (head === null || head.membersVersion >= version) return head;
    this.forget(id, version);
    return this.get(id);
  }

  /** Forgets a head that is older than `version`; the next use loads it. */
  forget(id: ConversationId, version: number): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    // What is being loaded may have been looked up before the change: it is loaded once more.
    if ("waiting" in entry) entry.stale = true;
    else if (entry.head.membersVersion < version) this.#drop(id, entry.head);
  }

  /**
   * Takes over a change of members that was made under the head's lock, where the head here is the one just
   * before it; an older one is forgotten. So who joins a channel of 10,000 costs no look at the others.
   */
  apply(id: ConversationId, change: MemberChange): void {
    const entry = this.#entries.get(id);
    if (entry === undefined || !("head" in entry) || entry.head.membersVersion !== change.membersVersion - 1) {
      return this.forget(id, change.membersVersion);
    }
    const { head } = entry;
    // Changed in place, because a copy would cost as much as all members: who still holds the head of before finds
    // a member of now in it, whose joinedSeq is beyond all that was said before.
    const members = head.members as Map<AccountId, Member>;
    // Who owns it after its owner has gone only the database knows.
    if (members.get(change.accountId)?.role === "owner") return this.forget(id, change.membersVersion);
    const before = members.size;
    if (change.member === null) members.delete(change.accountId);
    else members.set(change.accountId, change.member);
    this.#members += members.size - before;
    entry.head = { ...head, membersVersion: change.membersVersion };
  }

  /** Forgets every head, for somebody may have changed any of them. */
  forgetAll(): void {
    for (const id of [...this.#entries.keys()]) this.forget(id, Number.MAX_SAFE_INTEGER);
  }

  #load(id: ConversationId, waiting: ((answer: HeadAnswer) => void)[]): void {
    const entry = { waiting, stale: false };
    this.#entries.set(id, entry);
    loadHeads(this.#sql, [id]).then(
      (heads) => {
        const head = heads[0] ?? null;
        if (entry.stale && head !== null) this.#load(id, waiting);
        else this.#loaded(id, waiting, { head });
      },
      (error) => this.#loaded(id, waiting, { error }),
    );
  }

  /** Keeps the head and lets all who wait go on, in one step, so that nobody overtakes them. */
  #loaded(id: ConversationId, waiting: ((answer: HeadAnswer) => void)[], answer: HeadAnswer): void {
    this.#entries.delete(id);
    if ("head" in answer && answer.head !== null) {
      this.#entries.set(id, { head: answer.head, used: false });
      this.#members += answer.head.members.size + 10;
      this.#trim();
    }
    for (const then of waiting) then(answer);
  }

  #trim(): void {
    for (const [id, entry] of this.#entries) {
      if (this.#members <= MOST_MEMBERS) return;
      if (!("head" in entry)) continue;
      if (!entry.used) this.#drop(id, entry.head);
      else {
        // A second chance, at the end: the loop comes to it again if nothing else makes room.
        entry.used = false;
        this.#entries.delete(id);
        this.#entries.set(id, entry);
      }
    }
  }

  #drop(id: ConversationId, head: Head): void {
    this.#entries.delete(id);
    this.#members -= head.members.size + 10;
  }
}
