/** What the use cases of this slice are given, and what they give back to be delivered. */
import type { Clock } from "../platform/clock.ts";
import type { KeyedHash } from "../platform/keyed_hash.ts";
import type { Database } from "../platform/postgres.ts";
import type { Sealer } from "../platform/sealer.ts";
import type { AccountId, ConversationId, LogEntry } from "../protocol/mod.ts";
import type { CursorWriter } from "./cursors.ts";
import type { EventLog } from "./event_log.ts";
import type { Heads } from "./heads.ts";
import type { PageReader } from "./page_reader.ts";

/** See the head of this file; made by `openConversations`. */
export interface ConversationsDeps {
  readonly db: Database;
  readonly log: EventLog;
  readonly heads: Heads;
  readonly pages: PageReader;
  readonly cursors: CursorWriter;
  readonly sealer: Sealer;
  /** Makes the digests in the log. */
  readonly digests: KeyedHash;
  readonly clock: Clock;
  /** Which of these accounts there are. */
  readonly existingAccounts: (ids: readonly AccountId[]) => Promise<ReadonlySet<AccountId>>;
  /** Told of a fault that the caller need not know of. */
  readonly onFault: (what: string, error: unknown) => void;
}

/** Somebody to be told of an entry: an account, or the feeds of a public channel by its id. */
export type Address = AccountId | ConversationId;

/** What changed in who is a member without an entry: the devices of `to` look at the log, and what is known of members is old. */
export interface Doorbell {
  readonly to: readonly AccountId[];
  readonly conversationId: ConversationId;
  readonly seq: number;
  /** All who are in it now, where they are few enough to be told who types: their nodes tell by what they know of members. */
  readonly members?: readonly AccountId[];
}

/** A committed entry, for those who may see it. */
export interface Delivery {
  readonly entry: LogEntry;
  /** False for a retry's twin: the log may know more of it than the retry does, so it is read there. */
  readonly stored: boolean;
  readonly recipients: readonly Address[];
  /** Whose membership ended with this entry, which they do not see. */
  readonly left?: readonly AccountId[];
}
