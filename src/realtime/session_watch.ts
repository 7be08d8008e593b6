/**
 * Closes the sockets of sessions that ended on another node, whatever the bus does: every second
 * the database is asked which sessions ended of late. So a sign-out needs no Redis, and a node that
 * is deaf, mute or alone and does not know it is no later than any other [AUTH-6].
 *
 * - One range of an index a second and node, whatever the number of sockets: 0.1 ms of Postgres.
 * - A row carries the time of the node that wrote it and is seen only after its commit, so every
 *   look goes back {@link OVERLAP_MS} behind the last one that succeeded. A row that is later
 *   still, or of a clock that is further off, is found by the check of each socket's minute.
 * - Each is told once, and again only where the actor had no room: what is told keeps an actor from
 *   ending. A socket that opens later asks for itself whether its session lives.
 */
import type { EndedSession } from "../accounts/mod.ts";
import type { SessionId } from "../protocol/mod.ts";

/** What a {@link SessionWatch} is made of. */
export interface SessionWatchOptions {
  /** Sessions that ended at a time (ms since the epoch) or later. */
  readonly endedSince: (since: number) => Promise<readonly EndedSession[]>;
  /** Tells an account's actor, if there is one, that a session is over; false where it had no room. */
  readonly tell: (ended: EndedSession) => boolean;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Told once of each outage. */
  readonly onFault: (error: unknown) => void;
}

/** More than the longest transaction that ends a session, and than clocks are apart. */
const OVERLAP_MS = 30_000;

/** See the head of this file. */
export class SessionWatch {
  readonly #options: SessionWatchOptions;
  /** When the last look began that succeeded. */
  #lookedAt: number;
  /** Those of the last look that need not be told again. */
  #told: ReadonlySet<SessionId> = new Set();
  #looking = false;
  #failing = false;

  constructor(options: SessionWatchOptions) {
    this.#options = options;
    this.#lookedAt = options.now();
  }

  /** Asks once and tells; called every second. Never rejects; does nothing while a look is under way. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    const { endedSince, tell, now, onFault } = this.#options;
    const startedAt = now();
    try {
      const told = new Set<SessionId>();
      for (const ended of await endedSince(Math.min(this.#lookedAt, startedAt) - OVERLAP_MS)) {
        if (this.#told.has(ended.id) || tell(ended)) told.add(ended.id);
      }
      this.#told = told;
      this.#lookedAt = startedAt;
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) onFault(error);
      this.#failing = true;
    } finally {
      this.#looking = false;
    }
  }
}
