/**
 * Changing messages: the call of `change_message` (0031), and what is looked up before and after it.
 * What may be done is decided there, under the head's lock.
 */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, MessageId } from "../protocol/mod.ts";
import { type AnswerRow, EVENT_KINDS, placeOf } from "./event_log_store.ts";
import { statusOf, unlessBusy } from "./held_head.ts";
import { bytes } from "./membership_store.ts";

/** A message that somebody may see. Times are milliseconds since the epoch. */
export interface MessageRow {
  readonly conversationId: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  readonly senderId: AccountId;
  /** Its partition: a date, `YYYY-MM-DD`. */
  readonly day: string;
  readonly at: number;
  readonly expiresAt: number | null;
  /** As it was first said; `null` where it is gone. */
  readonly body: Uint8Array | null;
}

interface MessageSqlRow {
  conversation: ConversationId;
  seq: number;
  sender: AccountId;
  day: string;
  at: Date;
  expires_at: Date | null;
  body: Uint8Array | null;
}

/*
 * The id's own time bounds the partitions: what is stored under an id was stored within a day of it.
 * Indexes: events (id, conversation), members_open, members' key.
 */
const FIND_MESSAGE = `
select e.conversation, e.seq, e.sender, e.day::text as day, e.at, e.expires_at, e.body from events e
join members m on m.conversation = e.conversation and m.account = $2 and m.left_seq is null
where e.id = $1 and e.kind = 1 and ($3::uuid is null or e.conversation = $3)
  and e.day >= (time_of_id($1) at time zone 'utc')::date - 2 and e.day <= (time_of_id($1) at time zone 'utc')::date + 2
  and seen_seqs(e.conversation, $2) @> e.seq
  and (e.sender = $2 or (withheld_seqs(e.conversation, $2) @> e.seq) is not true)
limit 1`;

/** Finds a message in a conversation that the account is a member of, of those that it may see. */
export async function findMessage(
  sql: Sql,
  id: MessageId,
  account: AccountId,
  conversation: ConversationId | null,
): Promise<MessageRow | null> {
  const [row] = await sql.query<MessageSqlRow>(FIND_MESSAGE, [id, account, conversation]);
  if (row === undefined) return null;
  return {
    ...{ conversationId: row.conversation, seq: row.seq, id, senderId: row.sender, day: row.day, body: row.body },
    ...{ at: row.at.getTime(), expiresAt: row.expires_at?.getTime() ?? null },
  };
}

/** A change of a message, as `change_message` is told. */
export interface ChangeRequest {
  readonly message: MessageRow;
  readonly actorId: AccountId;
  readonly kind: "edit" | "deletion" | "reaction";
  /** Of a reaction: which, whether it is to be there, and how many different ones the actor may use. */
  readonly reaction: { readonly emoji: string; readonly present: boolean; readonly most: number } | null;
  readonly id: MessageId;
  readonly body: Uint8Array;
  /** 16 bytes. */
  readonly digest: Uint8Array;
}

/** What became of a {@link ChangeRequest}. Times are milliseconds since the epoch. */
export type ChangeOutcome =
  | {
      /**
       * `known`: the same change was stored before, and this is its place. `unchanged`: nothing was stored,
       * for it is so already; the place is that of the entry that says so, or of the message.
       */
      readonly status: "stored" | "known" | "unchanged";
      readonly seq: number;
      readonly membersVersion: number;
      readonly createdAt: number;
      readonly expiresAt: number | null;
    }
  | { readonly status: ChangeRefusal };

/** Why a message was not changed; nothing was stored. `busy`: the head was locked for 2 s. */
export type ChangeRefusal =
  | "conflict_body"
  | "no_message"
  | "id_out_of_window"
  | "forbidden"
  | "gone"
  | "too_many"
  | "busy";

const UNCHANGED = 13;
const REFUSALS: Readonly<Record<number, ChangeRefusal>> = {
  2: "conflict_body",
  4: "no_message",
  5: "id_out_of_window",
  8: "forbidden",
  12: "gone",
  14: "too_many",
};

const CHANGE = `
  select o_status as status, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from change_message($1::uuid, $2::uuid, $3::bigint, $4::date, $5::smallint, $6::text, $7::boolean, $8::int,
                      $9::uuid, $10::bytea, $11::bytea)`;

/** Changes a message with one event, if the actor may. Repeating the same call is safe. */
export async function changeMessage(sql: Sql, request: ChangeRequest): Promise<ChangeOutcome> {
  const { message, reaction } = request;
  const row = await unlessBusy(() =>
    sql.query<AnswerRow>(
      CHANGE,
      [
        ...[message.conversationId, request.actorId, message.seq, message.day, EVENT_KINDS[request.kind]],
        ...[reaction?.emoji ?? null, reaction?.present ?? null, reaction?.most ?? null],
        ...[request.id, bytes(request.digest), bytes(request.body)],
      ],
      "change_message",
    ),
  );
  if (row === "busy") return { status: "busy" };
  if (row.status === UNCHANGED) return { ...placeOf(row), status: "unchanged" };
  if (row.status <= 1) return placeOf(row);
  return { status: statusOf(REFUSALS, row.status) };
}

/** One reaction of a message. */
export interface ReactionRow {
  readonly seq: number;
  readonly accountId: AccountId;
  readonly emoji: string;
}

/*
 * In the order in which they came, of those whose entries the reader may see. Indexes: reactions' key.
 */
const LIST_REACTIONS = `
select t.seq, r.account, r.emoji
from unnest($3::bigint[]) t(seq)
cross join lateral (
  select r.account, r.emoji, r.seq from reactions r
  where r.conversation = $1 and r.target_seq = t.seq and r.present
    and (r.expires_at is null or r.expires_at > clock_timestamp())
    and (select seen_seqs($1, $2)) @> r.seq
    and (r.account = $2 or ((select withheld_seqs($1, $2)) @> r.seq) is not true)
  order by r.seq limit $4) r
order by t.seq, r.seq`;

/** Lists the reactions of messages of one conversation, at most `limit` of each. */
export async function listReactions(
  sql: Sql,
  of: { readonly conversationId: ConversationId; readonly readerId: AccountId; readonly seqs: readonly number[] },
  limit: number,
): Promise<ReactionRow[]> {
  if (of.seqs.length === 0) return [];
  const rows = await sql.query<{ seq: number; account: AccountId; emoji: string }>(
    LIST_REACTIONS,
    [of.conversationId, of.readerId, of.seqs, limit],
    "list_reactions",
  );
  return rows.map((row) => ({ seq: row.seq, accountId: row.account, emoji: row.emoji }));
}
