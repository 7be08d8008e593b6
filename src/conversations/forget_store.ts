/** The statements that take somebody who leaves for good out of conversations: see `forget_member.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import { type AnswerRow, type Appended, placeOf } from "./event_log_store.ts";
import { unlessBusy } from "./held_head.ts";
import { bytes, type MembershipEvent } from "./membership_store.ts";

/** Conversations that somebody is or was a member of, by id. Index: members_account. */
export async function listMemberships(sql: Sql, account: AccountId, limit: number): Promise<ConversationId[]> {
  const rows = await sql.query<{ conversation: ConversationId }>(
    "select distinct m.conversation from members m where m.account = $1 order by m.conversation limit $2",
    [account, limit],
    "forget_list",
  );
  return rows.map((row) => row.conversation);
}

/** Ends a membership with an event; `null` where it had ended before, `busy` where the head was locked for 2 s. */
export async function depart(
  sql: Sql,
  from: { readonly conversationId: ConversationId; readonly accountId: AccountId; readonly event: MembershipEvent },
): Promise<Appended | "busy" | null> {
  const { event } = from;
  const row = await unlessBusy(() =>
    sql.query<AnswerRow>(
      `select o_status as status, o_seq as seq, o_version as version, o_at as at, o_expires as expires
       from depart_conversation($1, $2, $3, $4, $5)`,
      [from.conversationId, from.accountId, event.id, bytes(event.digest), bytes(event.body)],
      "forget_depart",
    ),
  );
  if (row === "busy") return "busy";
  return row.status === 0 ? placeOf(row) : null;
}

/** The end of a log. */
export async function lastSeqOf(sql: Sql, id: ConversationId): Promise<number> {
  const [row] = await sql.query<{ last_seq: number }>(
    "select last_seq from conversations where id = $1",
    [id],
    "forget_end",
  );
  return row?.last_seq ?? 0;
}

/**
 * Removes the bodies of what somebody said, and of notices about them, from a stretch of a log. Who was
 * a member when stays, as it does for everybody, and so do deletions: who was away has to hear of them. Index: events (conversation, seq).
 */
export async function eraseBodies(
  sql: Sql,
  of: {
    readonly conversationId: ConversationId;
    readonly accountId: AccountId;
    readonly from: number;
    readonly to: number;
  },
): Promise<void> {
  await sql.query(
    `update events set body = null, reason = 1
     where conversation = $1 and seq >= $3 and seq <= $4 and sender = $2 and kind not in (2, 5) and body is not null`,
    [of.conversationId, of.accountId, of.from, of.to],
    "forget_bodies",
  );
}

/** Removes the reactions of somebody in a conversation. Index: reactions_account. */
export async function forgetReactions(sql: Sql, id: ConversationId, account: AccountId): Promise<void> {
  await sql.query("delete from reactions where conversation = $1 and account = $2", [id, account], "forget_reactions");
}

/** Whether nobody is left in a conversation. Index: members_open. */
export async function isDeserted(sql: Sql, id: ConversationId): Promise<boolean> {
  const rows = await sql.query(
    "select 1 from members where conversation = $1 and left_seq is null limit 1",
    [id],
    "forget_deserted",
  );
  return rows.length === 0;
}

/** Removes what else there is of somebody in a conversation; `false` where its head was locked for 2 s. */
export async function forgetMember(sql: Sql, id: ConversationId, account: AccountId): Promise<boolean> {
  const row = await unlessBusy(() => sql.query("select forget_member($1, $2)", [id, account], "forget_member"));
  return row !== "busy";
}

/** Removes a stretch of a log. */
export async function deleteEvents(sql: Sql, id: ConversationId, from: number, to: number): Promise<void> {
  await sql.query(
    "delete from events where conversation = $1 and seq >= $2 and seq <= $3",
    [id, from, to],
    "forget_events",
  );
}

/** Removes what changed the messages of a conversation that nobody is left in. */
export async function deleteChanges(sql: Sql, id: ConversationId): Promise<void> {
  await sql.query("delete from edits where conversation = $1", [id], "forget_edits");
  await sql.query("delete from reactions where conversation = $1", [id], "forget_all_reactions");
  await sql.query("delete from hidden_messages where conversation = $1", [id], "forget_hidden");
}

/** Removes what devices of an account are known by here. */
export async function forgetDevices(sql: Sql, account: AccountId): Promise<void> {
  await sql.query("delete from device_sync where account = $1", [account], "forget_sync");
  await sql.query("delete from device_cursors where account = $1", [account], "forget_device_cursors");
  await sql.query("delete from confirmations where account = $1", [account], "forget_own_confirmations");
  await sql.query("delete from withheld where reader = $1 or sender = $1", [account], "forget_own_withheld");
}
