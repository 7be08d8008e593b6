import type { Clock } from "../platform/clock.ts";
import type { Database } from "../platform/postgres.ts";

/** What the use cases of the keys slice are given. */
export interface KeysDeps {
  readonly db: Database;
  readonly clock: Clock;
}
