/** The statements on `account_blocks`. What a block means for a dm is in migration 0024. */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation, isLockTimeout } from "../platform/sql_states.ts";
import type { AccountId, ConversationId, PagePlace } from "../protocol/mod.ts";

/** A dm in which somebody is, from now on, told more or less than before. */
export interface ChangedDm {
  readonly conversationId: ConversationId;
  /** The last seq of its log at that moment. */
  readonly seq: number;
}

/** Blocks somebody. Waits at most 2 s for their dms. */
export async function insertBlock(
  sql: Sql,
  block: { readonly blocker: AccountId; readonly blocked: AccountId; readonly now: number; readonly most: number },
): Promise<readonly ChangedDm[] | "too_many" | "no_account" | "busy"> {
  try {
    const rows = await sql.query<{ status: number; conversation: ConversationId; seq: number }>(
      "select o_status as status, o_conversation as conversation, o_seq as seq from block_account($1, $2, $3, $4)",
      [block.blocker, block.blocked, new Date(block.now), block.most],
      "blocks_insert",
    );
    if (rows[0]?.status === 1) return "too_many";
    return rows.map(({ conversation, seq }) => ({ conversationId: conversation, seq }));
  } catch (error) {
    if (isForeignKeyViolation(error)) return "no_account";
    if (isLockTimeout(error)) return "busy";
    throw error;
  }
}

/** Ends a block. */
export async function deleteBlock(
  sql: Sql,
  block: { readonly blocker: AccountId; readonly blocked: AccountId },
): Promise<readonly ChangedDm[] | "busy"> {
  try {
    const rows = await sql.query<{ conversation: ConversationId; seq: number }>(
      "select o_conversation as conversation, o_seq as seq from unblock_account($1, $2)",
      [block.blocker, block.blocked],
      "blocks_delete",
    );
    return rows.map(({ conversation, seq }) => ({ conversationId: conversation, seq }));
  } catch (error) {
    if (isLockTimeout(error)) return "busy";
    throw error;
  }
}

/** Those of some accounts that block an account or are blocked by it. Read by the primary key. */
export async function listBlocking(
  sql: Sql,
  account: AccountId,
  others: readonly AccountId[],
): Promise<ReadonlySet<AccountId>> {
  const rows = await sql.query<{ id: AccountId }>(
    `select blocker as id from account_blocks where blocked = $1 and blocker = any ($2::uuid[])
     union select blocked from account_blocks where blocker = $1 and blocked = any ($2::uuid[])`,
    [account, others],
    "blocks_among",
  );
  return new Set(rows.map((row) => row.id));
}

/** For each of some accounts those that it blocks or is blocked by; who has none of them is missing. */
export async function listBlockedPairs(
  sql: Sql,
  accounts: readonly AccountId[],
): Promise<ReadonlyMap<AccountId, ReadonlySet<AccountId>>> {
  const rows = await sql.query<{ account: AccountId; others: AccountId[] }>(
    `select account, array_agg(other::text) as others from (
       select blocked as account, blocker as other from account_blocks where blocked = any ($1::uuid[])
       union select blocker, blocked from account_blocks where blocker = any ($1::uuid[])) b group by account`,
    [accounts],
    "blocks_pairs",
  );
  return new Map(rows.map((row) => [row.account, new Set(row.others)]));
}

/** Somebody who is blocked. */
export interface StoredBlock {
  readonly id: AccountId;
  readonly username: string;
  readonly displayName: string | null;
  readonly at: Date;
}

/** Whom an account blocks, the latest first. */
export async function listBlocks(
  sql: Sql,
  blocker: AccountId,
  behind: PagePlace<AccountId> | null,
  limit: number,
): Promise<StoredBlock[]> {
  const rows = await sql.query<{ id: AccountId; username: string; display_name: string | null; created_at: Date }>(
    `select a.id, a.username, a.display_name, b.created_at from account_blocks b join accounts a on a.id = b.blocked
     where b.blocker = $1 and ($2::timestamptz is null or (b.created_at, b.blocked) < ($2::timestamptz, $3::uuid))
     order by b.created_at desc, b.blocked desc limit $4`,
    [blocker, behind === null ? null : new Date(behind.at), behind?.id ?? null, limit],
    "blocks_list",
  );
  return rows.map((row) => ({
    id: row.id,
    username: row.username,
    displayName: row.display_name,
    at: row.created_at,
  }));
}
