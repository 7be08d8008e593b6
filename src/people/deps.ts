import type { Clock } from "../platform/clock.ts";
import type { Database } from "../platform/postgres.ts";
import type { AccountId, DeviceStatus } from "../protocol/mod.ts";

/** How somebody is by their sockets, at any node; who has none is missing. */
export type Connected = ReadonlyMap<AccountId, DeviceStatus>;

/** What the use cases of people are given. */
export interface PeopleDeps {
  readonly db: Database;
  readonly clock: Clock;
}

/** What showing people needs beside that. */
export interface ProfileDeps extends PeopleDeps {
  /** Asks how some accounts are connected. Never rejects. */
  readonly connected: (ids: readonly AccountId[]) => Promise<Connected>;
}
