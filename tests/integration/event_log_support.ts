/** What the tests of the event log share: people, conversations, events, and the log as it is stored. */
import { createHash } from "node:crypto";
import { type AppendRequest, type EventLog, openEventLog } from "../../src/conversations/event_log.ts";
import type { LaneOptions } from "../../src/conversations/lane.ts";
import { insertConversation, type NewConversation } from "../../src/conversations/membership_store.ts";
import { ensurePartitions } from "../../src/conversations/partitions.ts";
import type { Connection, Database, Sql } from "../../src/platform/postgres.ts";
import { type AccountId, type ConversationId, type MessageId, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitUntil } from "../support/wait.ts";

/** A database with partitions, ready for events. */
export async function createLogDatabase(now: number = Date.now()): Promise<TestDatabase> {
  const database = await createTestDatabase();
  await ensurePartitions(database.db, now);
  return database;
}

/** Inserts people and gives their ids. */
export async function createAccounts(sql: Sql, count: number): Promise<AccountId[]> {
  const ids = Array.from({ length: count }, () => uuidv7() as AccountId);
  await sql.query(
    `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
     select id, id::text, id::text, '', now(), now() from unnest($1::uuid[]) id`,
    [ids],
  );
  return ids;
}

/** Stores a conversation of the first of `members`, and gives its id. */
export async function createConversation(
  sql: Sql,
  members: readonly AccountId[],
  options: Partial<NewConversation> = {},
): Promise<ConversationId> {
  const [creatorId, ...otherIds] = members;
  if (creatorId === undefined) throw new Error("Name at least one member");
  const outcome = await insertConversation(sql, {
    ...{ id: uuidv7() as ConversationId, type: "group", encryption: "opaque", name: null, creatorId, otherIds },
    ...{ retentionSeconds: null, dmKey: null, dataKey: null, event: membershipEvent("created") },
    ...options,
  });
  if (outcome.status !== "stored") throw new Error(`Store the conversation: current value is ${outcome.status}`);
  return outcome.id;
}

/** A membership event with a new id. */
export function membershipEvent(text: string, id: MessageId = newMessageId()) {
  const body = new TextEncoder().encode(text);
  return { id, body, digest: digestOf(body) };
}

/** A message to append; `text` is its body. */
export function message(
  conversationId: ConversationId,
  senderId: AccountId,
  text: string,
  changes: Partial<AppendRequest> = {},
): AppendRequest {
  const body = new TextEncoder().encode(text);
  return {
    ...{ id: newMessageId(), conversationId, senderId, membersVersion: 1, kind: "message" as const },
    ...{ body, digest: digestOf(body), expireAfter: null, counts: true },
    ...changes,
  };
}

/** 16 bytes that stand for a body. */
export function digestOf(body: Uint8Array): Uint8Array {
  return createHash("sha256").update(body).digest().subarray(0, 16);
}

/** A log over `db`; faults are expected here and kept quiet. */
export function openLog(db: Database, options: LaneOptions & { readonly lanes?: number } = {}): EventLog {
  return openEventLog(db, { lanes: 2, ...options });
}

/** An event as it is stored. */
export interface StoredEvent {
  readonly seq: number;
  readonly id: MessageId;
  readonly sender: AccountId;
  readonly kind: number;
  readonly at: Date;
  readonly expires_at: Date | null;
  readonly body: string | null;
  readonly reason: number | null;
  readonly counted: number;
  readonly kept: boolean;
}

/** The log of a conversation in the order of its numbers. */
export function readLog(sql: Sql, conversationId: ConversationId): Promise<StoredEvent[]> {
  return sql.query<StoredEvent>(
    `select seq, id, sender, kind, at, expires_at, convert_from(body, 'UTF8') as body, reason, counted, kept
     from events where conversation = $1 order by seq`,
    [conversationId],
  );
}

/** The head of a conversation. */
export async function readHead(sql: Sql, conversationId: ConversationId) {
  const [head] = await sql.query<{
    last_seq: number;
    purged_seq: number;
    members_version: number;
    counted: number;
    last_activity: Date;
    last_message_id: MessageId | null;
    last_message_at: Date | null;
  }>(
    `select last_seq, purged_seq, members_version, counted, last_activity, last_message_id, last_message_at
     from conversations where id = $1`,
    [conversationId],
  );
  if (head === undefined) throw new Error("Read a head that exists");
  return head;
}

/** Numbers 1 to `last`. */
export function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1);
}

/** Waits until `count` backends of this database wait for a lock. */
export function untilWaiting(db: Database, count: number): Promise<void> {
  return waitUntil(`${count} backends wait for a lock`, async () => {
    const rows = await db.query(
      "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and application_name like 'sotto%'",
    );
    return rows.length >= count;
  });
}

/** Holds the head of a conversation until it is disposed. */
export async function holdHead(db: Database, conversationId: ConversationId): Promise<Connection> {
  const connection = await db.connect("holder");
  await connection.query("begin");
  await connection.query("select 1 from conversations where id = $1 for no key update", [conversationId]);
  return connection;
}
