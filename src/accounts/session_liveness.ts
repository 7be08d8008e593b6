/**
 * Whether a session still lives, asked on every request and answered from memory for a second.
 *
 * - A session that ended anywhere is refused within {@link FRESH_MS}: an answer is as old as the
 *   start of the look-up that gave it. One that ended on this node is refused at once.
 * - Bounded: at most {@link MAX_SESSIONS} answers, the oldest goes first; and none is kept for long after
 *   it is stale, for most sessions ask once and then hold a socket for hours.
 */
import type { Clock } from "../platform/clock.ts";
import type { SessionId } from "../protocol/mod.ts";

/** What {@link createSessionLiveness} is given. */
export interface SessionLivenessOptions {
  readonly clock: Clock;
  /** Asks the database. */
  readonly look: (sessionId: SessionId) => Promise<boolean>;
}

/** See the head of this file. */
export interface SessionLiveness {
  /** Whether the session lives; rejects where the database does not answer. */
  isLive(sessionId: SessionId): Promise<boolean>;
  /** Forgets what is known of sessions that just ended. Call it after the commit. */
  drop(sessionIds: readonly SessionId[]): void;
}

interface Answer {
  readonly askedAt: number;
  readonly live: Promise<boolean>;
}

const FRESH_MS = 1_000;
const MAX_SESSIONS = 50_000;

/** Makes a cache with nothing in it. */
export function createSessionLiveness(options: SessionLivenessOptions): SessionLiveness {
  const known = new Map<SessionId, Answer>();
  return {
    isLive(sessionId) {
      const now = options.clock.now();
      const entry = known.get(sessionId);
      if (entry !== undefined && isFresh(entry, now)) return entry.live;
      // Kept while under way, so a burst of requests asks once.
      const live = options.look(sessionId);
      const fresh = { askedAt: now, live };
      known.delete(sessionId);
      known.set(sessionId, fresh);
      live.catch(() => {
        if (known.get(sessionId) === fresh) known.delete(sessionId);
      });
      dropStale(known, now);
      return live;
    },
    drop(sessionIds) {
      for (const sessionId of sessionIds) known.delete(sessionId);
    },
  };
}

/** The oldest stand first. */
function dropStale(known: Map<SessionId, Answer>, now: number): void {
  for (const [sessionId, answer] of known) {
    if (isFresh(answer, now) && known.size <= MAX_SESSIONS) return;
    known.delete(sessionId);
  }
}

/** Not where the clock was set back either. */
function isFresh({ askedAt }: Answer, now: number): boolean {
  return now - askedAt < FRESH_MS && now >= askedAt;
}
