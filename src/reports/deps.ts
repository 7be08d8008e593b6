/** What the use cases of this slice are given. */
import type { Throttle } from "../accounts/mod.ts";
import type { ConversationsDeps } from "../conversations/mod.ts";
import type { Clock } from "../platform/clock.ts";
import type { Database } from "../platform/postgres.ts";
import type { Sealer } from "../platform/sealer.ts";
import type { ConversationId } from "../protocol/mod.ts";

/** What reading and closing needs. */
export interface ReportsAdminDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly sealer: Sealer;
}

/** What reporting needs beside that. */
export interface ReportsDeps extends ReportsAdminDeps {
  readonly conversations: ConversationsDeps;
  readonly throttle: Throttle<"report_account">;
  /** Conversations that everybody may read who is signed in, though no membership says so. */
  readonly openTo: readonly ConversationId[];
}
