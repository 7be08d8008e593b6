import type { Clock } from "../platform/clock.ts";
import type { Database } from "../platform/postgres.ts";

/** What the use cases of people are given. */
export interface PeopleDeps {
  readonly db: Database;
  readonly clock: Clock;
}
