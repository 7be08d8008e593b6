/**
 * What changes a conversation beside who is in it: `change_conversation` (0033), `clear_dm` (0034),
 * `end_conversation` and `empty_ended` (0035), and a person's own settings. What may be done is decided
 * there, under the head's lock.
 */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, Role } from "../protocol/mod.ts";
import { type AnswerRow, type Appended, placeOf } from "./event_log_store.ts";
import { statusOf, unlessBusy } from "./held_head.ts";
import { bytes, type MembershipEvent, ROLES } from "./membership_store.ts";

/** One change of a conversation, with its event: its own fields, or a member's role. */
export type ChangeRequest = {
  readonly conversationId: ConversationId;
  readonly actorId: AccountId;
  readonly event: MembershipEvent;
} & (
  | {
      readonly name: string | null;
      /** Seconds; 0: kept; `null`: not asked for. */
      readonly retention: number | null;
    }
  | { readonly accountId: AccountId; readonly role: Role }
);

/**
 * Why a conversation was not changed.
 *
 * - `no_conversation`: none, or the actor is not in it. `not_member`: whose role should change is not.
 * - `conflict`: the event's id is another event's.
 * - `unchanged`: it is so already; nothing was stored.
 * - `busy`: the head was locked for 2 s; nothing was stored.
 */
export type ChangeRefusal =
  | "conflict"
  | "no_conversation"
  | "id_out_of_window"
  | "forbidden"
  | "not_member"
  | "unchanged"
  | "busy";

const REFUSALS: Readonly<Record<number, ChangeRefusal>> = {
  2: "conflict",
  4: "no_conversation",
  5: "id_out_of_window",
  8: "forbidden",
  10: "not_member",
  13: "unchanged",
};

const CHANGE = `
  select o_status as status, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from change_conversation($1::uuid, $2::uuid, $3::text, $4::int, $5::uuid, $6::smallint, $7::uuid, $8::bytea, $9::bytea)`;

/** Changes a conversation with one event, if the actor may. Repeating the same call is safe. */
export async function writeChange(
  sql: Sql,
  request: ChangeRequest,
): Promise<Appended | { readonly status: ChangeRefusal }> {
  const { event } = request;
  const fields =
    "role" in request
      ? [null, null, request.accountId, ROLES[request.role]]
      : [request.name, request.retention, null, null];
  const row = await unlessBusy(() =>
    sql.query<AnswerRow>(CHANGE, [
      ...[request.conversationId, request.actorId, ...fields],
      ...[event.id, bytes(event.digest), bytes(event.body)],
    ]),
  );
  if (row === "busy") return { status: "busy" };
  if (row.status <= 1) return placeOf(row);
  return { status: statusOf(REFUSALS, row.status) };
}

/** What came of ending a conversation. `left`: whose membership ended. */
export type EndOutcome =
  | {
      readonly status: "ended";
      readonly seq: number;
      readonly membersVersion: number;
      readonly createdAt: number;
      readonly left: readonly AccountId[];
    }
  | { readonly status: "no_conversation" | "dm" | "no_owner" | "busy" };

const END_REFUSALS = { 4: "no_conversation", 8: "dm", 14: "no_owner" } as const;

const END = `select o_status as status, o_seq as seq, o_version as version, o_at as at, o_left::text[] as left
  from end_conversation($1::uuid, $2::uuid, $3::uuid, $4::bytea, $5::bytea)`;

/** Ends a group or channel for everybody. */
export async function endConversation(
  sql: Sql,
  id: ConversationId,
  actor: AccountId,
  event: MembershipEvent,
): Promise<EndOutcome> {
  const row = await unlessBusy(() =>
    sql.query<Omit<AnswerRow, "expires"> & { readonly left: AccountId[] }>(END, [
      ...[id, actor, event.id, bytes(event.digest), bytes(event.body)],
    ]),
  );
  if (row === "busy") return { status: "busy" };
  if (row.status !== 0) return { status: statusOf(END_REFUSALS, row.status) };
  return { status: "ended", seq: row.seq, membersVersion: row.version, createdAt: row.at, left: row.left };
}

/** Clears a dm for one of its people. */
export async function clearDm(
  sql: Sql,
  id: ConversationId,
  account: AccountId,
): Promise<"cleared" | "no_conversation" | "no_dm" | "busy"> {
  const row = await unlessBusy(() =>
    sql.query<{ status: number }>("select clear_dm($1, $2) as status", [id, account], "clear_dm"),
  );
  if (row === "busy") return row;
  return statusOf({ 0: "cleared", 4: "no_conversation", 8: "no_dm" } as const, row.status);
}

/** Ends a conversation that nobody is in; false where its head was locked for 2 s. */
export async function endDeserted(sql: Sql, id: ConversationId): Promise<boolean> {
  return (await unlessBusy(() => sql.query("select end_deserted($1)", [id], "end_deserted"))) !== "busy";
}

/** Removes the bodies of the next places of an ended log; true once none is left. */
export async function emptyEnded(sql: Sql, id: ConversationId, places: number): Promise<boolean> {
  const row = await unlessBusy(() =>
    sql.query<{ done: boolean }>("select empty_ended($1, $2) as done", [id, places], "empty_ended"),
  );
  return row !== "busy" && row.done;
}

/** Ended conversations that still hold bodies. */
export async function listEndings(sql: Sql, limit: number): Promise<ConversationId[]> {
  const rows = await sql.query<{ conversation: ConversationId }>(
    "select conversation from endings order by conversation limit $1",
    [limit],
  );
  return rows.map((row) => row.conversation);
}

/** A person's own settings of a conversation; what is `undefined` stays as it is. */
export interface OwnSettings {
  /** Milliseconds since the epoch; `null`: not muted. */
  readonly mutedUntil?: number | null | undefined;
  readonly archived?: boolean | undefined;
  readonly pinned?: boolean | undefined;
}

const WRITE_SETTINGS = `update members m
  set muted_until = case when $3 then $4::timestamptz else m.muted_until end, archived = coalesce($5, m.archived),
      pinned = coalesce($6, m.pinned), changed_at = clock_timestamp()
  where m.conversation = $1 and m.account = $2 and m.left_seq is null returning true as done`;

/** Changes a member's own settings; false for who is no member. Index: members_open. */
export async function writeSettings(
  sql: Sql,
  id: ConversationId,
  account: AccountId,
  { mutedUntil, archived, pinned }: OwnSettings,
): Promise<boolean> {
  const until = mutedUntil === undefined || mutedUntil === null ? null : new Date(mutedUntil).toISOString();
  const rows = await sql.query(
    WRITE_SETTINGS,
    [id, account, mutedUntil !== undefined, until, archived ?? null, pinned ?? null],
    "write_settings",
  );
  return rows.length > 0;
}
