/** What devices are given of their inboxes, and that they have it. */
import type { DeviceId } from "../protocol/mod.ts";
import type { InboxesDeps } from "./deps.ts";
import { deleteOldEntries, dropAcknowledged, type InboxEntry, type InboxPlace, listInboxes } from "./inbox_store.ts";

const BATCH = 1_000;
const MOST_BATCHES = 100;

/**
 * What each of some devices is to be given next, in rising seq: what it holds beyond `after`, as far as that and what was
 * given before and not acknowledged is within `LIMITS.inboxWindow`. One statement, however many devices.
 */
export function readInboxes(
  { db }: InboxesDeps,
  places: readonly InboxPlace[],
): Promise<readonly (readonly InboxEntry[])[]> {
  return listInboxes(db, places);
}

/** A device has everything up to a seq: nothing of it is kept any longer. Again is the same. */
export function acknowledgeInbox({ db }: InboxesDeps, deviceId: DeviceId, seq: number): Promise<void> {
  return dropAcknowledged(db, deviceId, seq);
}

/** Removes what nobody fetched in time, and what is known of acknowledged entries, a bounded part of it; gives how many rows went. Any node may, at any time. */
export async function purgeInboxes({ db }: InboxesDeps): Promise<number> {
  let removed = 0;
  for (let i = 0; i < MOST_BATCHES; i++) {
    const count = await deleteOldEntries(db, BATCH);
    removed += count;
    if (count < BATCH) break;
  }
  return removed;
}
