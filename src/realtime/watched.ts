/**
 * Who of those that are not offline somebody here was told of: what is told about a person goes to those of
 * them alone to whom it is new, and who was told that somebody is there is told when they are not any more,
 * even where the node of that person has died and tells nobody.
 *
 * - All who watch one person were told the same of them.
 * - Every second some of the persons are looked up. Who was found at no node for as long as a person may be
 *   without a socket counts as offline. While nodes cannot be asked nobody becomes offline.
 * - Bounded: beyond the pairs that are remembered people are told all the same, and perhaps twice.
 */
import type { AccountId, UserStatus } from "../protocol/mod.ts";
import type { Hint } from "./bus.ts";

/** What is told of a person. */
export type PresenceHint = Extract<Hint, { type: "presence" }>;

/** What {@link Watched} is made of. */
export interface WatchedOptions {
  /** Tells an account here of a person; false where it is not here, or had no room. */
  readonly tell: (watcher: AccountId, presence: Pick<PresenceHint, "of" | "status" | "lastSeen">) => boolean;
  /** Whether an account is connected here. */
  readonly isHere: (account: AccountId) => boolean;
  /** Whether this node itself tells what becomes of a person. */
  readonly isOwn: (account: AccountId) => boolean;
  /** Which of some accounts are connected to any node; rejects where that cannot be found out. */
  readonly connected: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, unknown>>;
  readonly graceMs: number;
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
}

interface Person {
  status: UserStatus;
  readonly watchers: Set<AccountId>;
  /** Since when nobody finds them, or `null`. */
  absentSince: number | null;
}

/** Persons looked up in one look. */
const A_LOOK = 1_000;
const MOST_PAIRS = 2_000_000;

/** See the head of this file. */
export class Watched {
  readonly #options: WatchedOptions;
  readonly #people = new Map<AccountId, Person>();
  #pairs = 0;
  #round: Iterator<[AccountId, Person]> | undefined;

  constructor(options: WatchedOptions) {
    this.#options = options;
  }

  /** How many pairs of a watcher and a person are remembered. */
  get pairs(): number {
    return this.#pairs;
  }

  /** What the watchers of a person were told; `undefined`: nothing, or that they are offline. */
  statusOf(person: AccountId): UserStatus | undefined {
    return this.#people.get(person)?.status;
  }

  /** Something is told of a person. */
  heard({ of, to, status, lastSeen }: PresenceHint): void {
    const isNews = this.#people.get(of)?.status !== status;
    for (const watcher of to) {
      if (watcher === of) continue;
      const knew = this.#people.get(of)?.watchers.has(watcher) === true;
      // Of those that are not remembered nobody knows what they were told.
      const isFull = this.#pairs >= MOST_PAIRS;
      if (status === "offline" ? !knew && !isFull : knew && !isNews) continue;
      const told = this.#options.tell(watcher, { of, status, lastSeen });
      if (status === "offline" || !told) this.#forget(of, watcher);
      else this.remember(watcher, of, status);
    }
    const person = this.#people.get(of);
    if (person !== undefined && status !== "offline") person.status = status;
  }

  /** A watcher was told of a person. */
  remember(watcher: AccountId, of: AccountId, status: UserStatus): void {
    let person = this.#people.get(of);
    if (this.#pairs >= MOST_PAIRS) return;
    if (person === undefined) {
      person = { status, watchers: new Set(), absentSince: null };
      this.#people.set(of, person);
    }
    if (person.watchers.has(watcher)) return;
    person.watchers.add(watcher);
    this.#pairs++;
  }

  /** Looks some of the persons up. Rejects where nodes cannot be asked. */
  async look(): Promise<void> {
    const { isOwn, connected, graceMs, now } = this.#options;
    const some = this.#nextOfRound();
    if (some.length === 0) return;
    const others = some.filter(([id]) => !isOwn(id)).map(([id]) => id);
    const there = others.length === 0 ? new Map() : await connected(others);
    for (const [of, person] of some) {
      this.#prune(of, person);
      if (there.has(of) || isOwn(of)) person.absentSince = null;
      else {
        person.absentSince ??= now();
        if (now() - person.absentSince < graceMs) continue;
        // Whether they may still know the day is for the person's own node to say, and there is none.
        const gone = { type: "presence", of, status: "offline", lastSeen: null } as const;
        this.heard({ ...gone, to: [...person.watchers] });
      }
    }
  }

  #nextOfRound(): [AccountId, Person][] {
    const some: [AccountId, Person][] = [];
    const most = Math.min(A_LOOK, this.#people.size);
    while (some.length < most) {
      this.#round ??= this.#people.entries();
      const next = this.#round.next();
      if (next.done === true) {
        this.#round = undefined;
        if (some.length > 0) break;
      } else some.push(next.value);
    }
    return some;
  }

  /** Watchers that have gone would be told nothing. */
  #prune(of: AccountId, { watchers }: Person): void {
    for (const watcher of watchers) if (!this.#options.isHere(watcher)) this.#forget(of, watcher);
  }

  #forget(of: AccountId, watcher: AccountId): void {
    const person = this.#people.get(of);
    if (person === undefined || !person.watchers.delete(watcher)) return;
    this.#pairs--;
    if (person.watchers.size === 0) this.#people.delete(of);
  }
}
