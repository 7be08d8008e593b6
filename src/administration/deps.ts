import type { Clock } from "../platform/clock.ts";
import type { PasswordHasher } from "../platform/password_hash.ts";
import type { Database } from "../platform/postgres.ts";

/** What the use cases of administration are given. */
export interface AdministrationDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly passwords: Pick<PasswordHasher, "hashPassword">;
}
