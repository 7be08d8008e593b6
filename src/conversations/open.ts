/** Opens the slice: partitions first, then the log, and the keeper of the retention beside it. */
import { hkdfSync } from "node:crypto";
import type { Clock } from "../platform/clock.ts";
import { KeyedHash } from "../platform/keyed_hash.ts";
import type { Database } from "../platform/postgres.ts";
import { type MasterKey, Sealer } from "../platform/sealer.ts";
import type { ConversationId } from "../protocol/mod.ts";
import { recipientsOf } from "./committed.ts";
import { CursorWriter } from "./cursors.ts";
import type { Address, ConversationsDeps } from "./deps.ts";
import { type LogObserver, openEventLog } from "./event_log.ts";
import { Heads } from "./heads.ts";
import { PageReader } from "./page_reader.ts";
import { ensurePartitions } from "./partitions.ts";
import { type Retention, startRetention } from "./retention.ts";
import { databaseTime } from "./retention_store.ts";

/** What {@link openConversations} is told. */
export interface OpenConversationsOptions {
  readonly db: Database;
  /** Where tables may be made and dropped; `db` unless the application's role may not. */
  readonly maintenance?: Database;
  readonly clock: Clock;
  readonly lanes: number;
  readonly masterKeys: readonly MasterKey[];
  /** The secret that the key of the digests is derived from; a new one makes retries across the change conflicts. */
  readonly secretKey: string;
  readonly existingAccounts: ConversationsDeps["existingAccounts"];
  readonly onFault: ConversationsDeps["onFault"];
  readonly observer?: LogObserver;
  /** Milliseconds between two writes of acknowledged cursors. */
  readonly cursorFlushMs?: number;
  /** An event was stored after its sender was told that this is not known: its members have not been told. */
  readonly onLate: (conversationId: ConversationId, recipients: readonly Address[], seq: number) => void;
}

/** The slice while it runs. */
export interface Conversations extends ConversationsDeps, AsyncDisposable {
  readonly retention: Retention;
}

/** See the head of this file. */
export async function openConversations(options: OpenConversationsOptions): Promise<Conversations> {
  const { db, onFault } = options;
  const maintenance = options.maintenance ?? db;
  await ensurePartitions(maintenance, await databaseTime(maintenance));
  const heads = new Heads(db);
  const sealer = new Sealer(options.masterKeys);
  const cursors = new CursorWriter(db, {
    onFault,
    ...(options.cursorFlushMs === undefined ? {} : { flushMs: options.cursorFlushMs }),
  });
  const log = openEventLog(db, {
    lanes: options.lanes,
    observer: {
      ...options.observer,
      late: (request, stored) => {
        options.observer?.late?.(request, stored);
        heads.atLeast(request.conversationId, stored.membersVersion).then(
          (head) => {
            const place = { seq: stored.seq, senderId: request.senderId };
            options.onLate(request.conversationId, recipientsOf(head, place), stored.seq);
          },
          (error) => onFault("late event", error),
        );
      },
    },
  });
  const retention = startRetention(maintenance, { fault: (error) => onFault("retention", error) });
  return {
    db,
    log,
    heads,
    cursors,
    sealer,
    pages: new PageReader(db, heads, sealer, cursors),
    digests: new KeyedHash(new Uint8Array(hkdfSync("sha256", options.secretKey, "", "sotto digest v1", 32))),
    clock: options.clock,
    existingAccounts: options.existingAccounts,
    onFault,
    retention,
    // The log first, because what it still stores is acknowledged; cursors last.
    [Symbol.asyncDispose]: async () => {
      await retention[Symbol.asyncDispose]();
      await log[Symbol.asyncDispose]();
      await cursors[Symbol.asyncDispose]();
    },
  };
}
