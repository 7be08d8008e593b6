/** The inboxes of devices as the spine is given them. */
import { createThrottle } from "../accounts/mod.ts";
import { acknowledgeInbox, INBOX_RATES, putInInbox, readInboxes } from "../devices/mod.ts";
import { KeyedHash } from "../platform/keyed_hash.ts";
import type { Database } from "../platform/postgres.ts";
import { deriveKey } from "../platform/secrets.ts";
import { createSemaphore } from "../platform/semaphore.ts";
import type { Inboxes } from "../realtime/mod.ts";
import type { Ground } from "./ground.ts";

/** Of those that wait for each other's locks, more at once would only hold connections that others need. */
const PUTS = { concurrency: 2, queue: 1_000, waitMs: 4_000 };

/** Ties the use cases to the database and to the rate of an account. */
export function openInboxes({ config, limiter }: Pick<Ground, "config" | "limiter">, db: Database): Inboxes {
  const deps = {
    db,
    throttle: createThrottle({ limiter, rates: INBOX_RATES }),
    digests: new KeyedHash(deriveKey(config.secretKey, "sotto inbox digest")),
  };
  const puts = createSemaphore(PUTS);
  return {
    put: (input) => puts.run(() => putInInbox(deps, input)),
    read: (places) => readInboxes(deps, places),
    acknowledge: (deviceId, seq) => acknowledgeInbox(deps, deviceId, seq),
  };
}
