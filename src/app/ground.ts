/** What the parts of the server are given when it is put together. */
import type { AccountDeps, AccountRates, Principal } from "../accounts/mod.ts";
import type { Config } from "../config.ts";
import type { Conversations } from "../conversations/mod.ts";
import type { DeparturesOptions } from "../people/mod.ts";
import type { Clock } from "../platform/clock.ts";
import type { Log } from "../platform/log.ts";
import type { Metrics } from "../platform/metrics.ts";
import type { PasswordHasher } from "../platform/password_hash.ts";
import type { Database } from "../platform/postgres.ts";
import type { RateLimiter } from "../platform/rate_limit.ts";
import type { Bus, HubOptions } from "../realtime/mod.ts";
import type { OnFault } from "./observers.ts";

/** What `createApp` is told beside the configuration. */
export interface AppOptions {
  readonly databaseUrl: string;
  /** Standard: Redis where the configuration names one, else a bus of its own. Apps that are given the same one are nodes of one server. */
  readonly bus?: Bus;
  readonly clock?: Clock;
  /** Standard: one that hashes as the configuration says. */
  readonly passwords?: PasswordHasher;
  readonly log?: Log;
  /** Where it counts; standard: metrics of its own. */
  readonly metrics?: Metrics;
  /** Milliseconds between two writes of acknowledged cursors; standard 10,000. */
  readonly cursorFlushMs?: number;
  readonly departures?: Pick<DeparturesOptions, "everyMs" | "settleMs">;
  /** In the place of some of the standard rates of sign-ins and the like. */
  readonly rates?: AccountRates;
  readonly hub?: Pick<HubOptions, "dispatch" | "compareMs" | "publicPerAddress" | "presence">;
}

/** What every part is given. */
export interface Ground {
  readonly config: Config;
  readonly options: AppOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limiter: RateLimiter;
  readonly onFault: OnFault;
  /** Takes what was started apart again, last first. */
  readonly started: AsyncDisposableStack;
}

/** The slices that are open. */
export interface Slices {
  readonly db: Database;
  readonly accounts: AccountDeps;
  readonly conversations: Conversations;
  /** Whose an access token is; throws for one that is not good. */
  readonly verify: (token: string) => Promise<Principal>;
}
