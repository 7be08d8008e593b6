/**
 * When somebody was last here: noted as they disconnect, and as a day, so that it is written at most
 * once a day however often they come and go, and tells no more than it shows.
 */
import { Batcher } from "../platform/batcher.ts";
import type { AccountId } from "../protocol/mod.ts";
import type { PeopleDeps } from "./deps.ts";
import { noteLastSeen } from "./profiles_store.ts";

/** See the head of this file. */
export interface LastSeen {
  /** Somebody disconnected. Returns at once. */
  left(accountId: AccountId): void;
}

/** Notes of one statement, and notes that may wait; what is more is not noted. */
const MOST = 500;
const MOST_WAITING = 20_000;
/** Accounts that are remembered as noted today. */
const MOST_KNOWN = 50_000;

/** Makes the queue of notes. `onFault`: a note was lost; the next disconnection notes again. */
export function createLastSeen(deps: PeopleDeps, onFault: (error: unknown) => void): LastSeen {
  let day = "";
  let known = new Set<AccountId>();
  const notes = new Batcher<AccountId, true>(
    async (ids) => {
      await noteLastSeen(deps.db, [...new Set(ids)], day);
      return ids.map(() => true);
    },
    { most: MOST, waiting: MOST_WAITING },
  );
  return {
    left(accountId) {
      const today = new Date(deps.clock.now()).toISOString().slice(0, 10);
      if (today !== day || known.size >= MOST_KNOWN) known = new Set();
      day = today;
      if (known.has(accountId)) return;
      known.add(accountId);
      notes.ask(accountId).catch((error) => {
        known.delete(accountId);
        onFault(error);
      });
    },
  };
}
