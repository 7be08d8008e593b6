/** What the use cases of this slice are given. */
import type { Database } from "../platform/postgres.ts";

/** Where the inboxes are. */
export interface InboxesDeps {
  readonly db: Database;
}
