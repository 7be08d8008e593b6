/** The statements on `relay_requests`. Times are milliseconds since the epoch. */
import type { Sql } from "../../platform/postgres.ts";
import type { AccountId, MessageId } from "../../protocol/mod.ts";

/** A request that came with an Idempotency-Key. */
export interface RelayRequest {
  readonly senderId: AccountId;
  readonly keyHash: Buffer;
  readonly digest: Buffer;
  /** The id to use if the key is new. */
  readonly messageId: MessageId;
  readonly now: number;
  /** Keys that were first used before this are new again. */
  readonly staleBefore: number;
}

/** What a key stands for. */
export interface ReservedRequest {
  readonly messageId: MessageId;
  readonly digest: Buffer;
}

/*
 * Of several at once one inserts and the others, who wait for its row, update nothing and return the row
 * as it then is: the update that keeps every column is what makes RETURNING give it.
 */
const RESERVE = `
insert into relay_requests as held (sender, key_hash, digest, message, created_at) values ($1, $2, $3, $4, $5)
on conflict (sender, key_hash) do update set
  digest     = case when held.created_at < $6 then excluded.digest     else held.digest end,
  message    = case when held.created_at < $6 then excluded.message    else held.message end,
  created_at = case when held.created_at < $6 then excluded.created_at else held.created_at end
returning message, digest`;

/** Writes down a message id under a key, or gives what was written down before. */
export async function reserveMessageId(sql: Sql, request: RelayRequest): Promise<ReservedRequest> {
  const { senderId, keyHash, digest, messageId } = request;
  const times = [request.now, request.staleBefore].map((time) => new Date(time));
  const [row] = await sql.query<{ message: MessageId; digest: Buffer }>(
    RESERVE,
    [senderId, keyHash, digest, messageId, ...times],
    "relay_reserve",
  );
  if (row === undefined) throw new Error("Write down a relay request: nothing came back");
  return { messageId: row.message, digest: row.digest };
}

/** Removes a sender's keys that have had their time. Index: relay_requests_age. */
export async function deleteOldRequests(sql: Sql, senderId: AccountId, before: number): Promise<void> {
  await sql.query(
    "delete from relay_requests where sender = $1 and created_at < $2",
    [senderId, new Date(before)],
    "relay_delete_old",
  );
}
