/** The inboxes of devices as the spine is given them. */
import { createThrottle } from "../accounts/mod.ts";
import { acknowledgeInbox, INBOX_RATES, putInInbox, readInboxes } from "../devices/mod.ts";
import { KeyedHash } from "../platform/keyed_hash.ts";
import type { Database } from "../platform/postgres.ts";
import { deriveKey } from "../platform/secrets.ts";
import type { Inboxes } from "../realtime/mod.ts";
import type { Ground } from "./ground.ts";

/** Ties the use cases to the database and to the rate of an account. */
export function openInboxes({ config, limiter }: Pick<Ground, "config" | "limiter">, db: Database): Inboxes {
  const deps = {
    db,
    throttle: createThrottle({ limiter, rates: INBOX_RATES }),
    digests: new KeyedHash(deriveKey(config.secretKey, "sotto inbox digest")),
  };
  return {
    put: (input) => putInInbox(deps, input),
    read: (places) => readInboxes(deps, places),
    acknowledge: (deviceId, seq) => acknowledgeInbox(deps, deviceId, seq),
  };
}
