/**
 * Pairs of people who may have ceased to be contacts: one of them left the group that they shared, it was ended, it
 * grew too large, or one blocked the other. Who has is told that the other has gone, both ways.
 *
 * - By the look after the next, so one or two seconds later: what another node was about to tell when it happened
 *   has been told by then, and is taken back too.
 * - Of a pair of whom nobody is connected nothing need be told. While nodes or the database cannot be asked pairs wait.
 * - Bounded: beyond `MOST_WAITING` pairs a further one stands as it was told, until one of them connects again.
 */
import type { Delivery } from "../conversations/mod.ts";
import { type AccountId, LIMITS } from "../protocol/mod.ts";
import type { PresenceHint } from "./watched.ts";

/** Two people. */
export type PersonPair = readonly [AccountId, AccountId];

/** What {@link Partings} is made of. */
export interface PartingsOptions {
  /** Those of some pairs who are contacts. */
  readonly inContact: (pairs: readonly PersonPair[]) => Promise<readonly PersonPair[]>;
  /** Which of some accounts are connected to any node; rejects where that cannot be found out. */
  readonly connected: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, unknown>>;
  /** Sends a hint to the nodes of those it is for, this one too. */
  readonly send: (hint: PresenceHint) => void;
  readonly onFault: (error: unknown) => void;
}

/** Pairs in one look, and in its one statement. */
const A_LOOK = 1_000;
const MOST_WAITING = 100_000;

/** See the head of this file. */
export class Partings {
  readonly #options: PartingsOptions;
  /** Pairs of the next look, and those that came since the last one. */
  #ripe: PersonPair[] = [];
  #fresh: PersonPair[] = [];

  constructor(options: PartingsOptions) {
    this.#options = options;
  }

  /** Pairs that wait. */
  get size(): number {
    return this.#ripe.length + this.#fresh.length;
  }

  /** These may have ceased to be contacts. */
  add(pairs: readonly PersonPair[]): void {
    const room = MOST_WAITING - this.size;
    if (pairs.length > room) this.#options.onFault(new Error(`Look at fewer partings: ${this.size} wait`));
    this.#fresh.push(...pairs.slice(0, room));
  }

  /** Looks at those that have waited for a whole look, and tells who has parted. Rejects where that cannot be found out. */
  async look(): Promise<void> {
    const some = this.#ripe.slice(0, A_LOOK);
    if (some.length > 0) this.part(await this.#parted(some));
    this.#ripe = [...this.#ripe.slice(some.length), ...this.#fresh];
    this.#fresh = [];
  }

  /** Tells each of these that the other has gone. */
  part(pairs: readonly PersonPair[]): void {
    const toldOf = new Map<AccountId, AccountId[]>();
    for (const [one, other] of pairs) {
      for (const [of, to] of [[one, other] as const, [other, one] as const]) {
        const tell = toldOf.get(of);
        if (tell === undefined) toldOf.set(of, [to]);
        else tell.push(to);
      }
    }
    const gone = { type: "presence", status: "offline", lastSeen: null } as const;
    for (const [of, to] of toldOf) this.#options.send({ ...gone, of, to });
  }

  async #parted(pairs: readonly PersonPair[]): Promise<PersonPair[]> {
    const { connected, inContact } = this.#options;
    const there = await connected([...new Set(pairs.flat())]);
    const seen = pairs.filter((pair) => pair.some((one) => there.has(one)));
    if (seen.length === 0) return [];
    const together = new Set((await inContact(seen)).map((pair) => pair.join()));
    return seen.filter((pair) => !together.has(pair.join()));
  }
}

/** The pairs of whom a change of members may be the end as contacts. */
export function partingsOf({ entry, recipients, left = [] }: Delivery): PersonPair[] {
  if (entry.kind !== "membership") return [];
  // Nobody was a contact by a group that was too large before.
  const members = [...recipients, ...left] as AccountId[];
  if (left.length > 0) return members.length > LIMITS.contactGroup ? [] : pairsOf(left, members);
  const { change, user_ids: came } = entry.content;
  if (change !== "joined" || members.length <= LIMITS.contactGroup) return [];
  const before = members.filter((member) => !came.includes(member));
  return before.length > LIMITS.contactGroup ? [] : pairsOf(before, before);
}

/** Each of `some` with each of `all`, once. */
function pairsOf(some: readonly AccountId[], all: readonly AccountId[]): PersonPair[] {
  const pairs = some.flatMap((one) => all.map((other) => [one, other] as const));
  return pairs.filter(([one, other]) => one !== other && (one < other || !some.includes(other)));
}
