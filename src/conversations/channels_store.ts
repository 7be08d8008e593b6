/** The statements about channels: who comes and goes (`change_channel_members`, 0037), and finding public ones. */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation } from "../platform/sql_states.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import { type AnswerRow, placeOf } from "./event_log_store.ts";
import { statusOf, unlessBusy } from "./held_head.ts";
import { bytes, type MembershipEvent, type MembershipRefusal } from "./membership_store.ts";

/** What is asked for: `join` is the actor's own wish, at a public channel. */
export interface ChannelChangeRequest {
  readonly conversationId: ConversationId;
  readonly actorId: AccountId;
  readonly change: "add" | "remove" | "join";
  readonly accountId: AccountId;
  /** The most members there may be. */
  readonly limit: number;
  /** The entry, should one have to be written. */
  readonly event: MembershipEvent;
}

/** What became of a {@link ChannelChangeRequest}. Times are milliseconds since the epoch. */
export type ChannelOutcome =
  | {
      /** `stored`: with an entry at `seq`; `silent`: without. */
      readonly status: "silent" | "stored";
      /** Where the membership begins or ends. */
      readonly seq: number;
      readonly membersVersion: number;
      /** Whether who came may post. */
      readonly canSend: boolean;
      /** Whether the last member has gone. */
      readonly deserted: boolean;
      readonly createdAt: number;
      readonly expiresAt: number | null;
    }
  /** `known`: a member already. `no_channel`: it is none. */
  | { readonly status: "known" | "no_channel" | MembershipRefusal };

const CHANGES = { add: 1, remove: 2, join: 3 } as const;

const REFUSALS: Readonly<Record<number, Exclude<ChannelOutcome, { seq: number }>["status"]>> = {
  1: "known",
  4: "no_conversation",
  8: "forbidden",
  9: "already_member",
  10: "not_member",
  11: "too_many",
  15: "no_channel",
};

interface ChangeRow extends AnswerRow {
  readonly can_send: boolean;
  readonly deserted: boolean;
}

const CHANGE = `
  select o_status as status, o_seq as seq, o_version as version, o_can_send as can_send, o_deserted as deserted, o_at as at, o_expires as expires
  from change_channel_members($1::uuid, $2::uuid, $3::smallint, $4::uuid, $5::int, $6::uuid, $7::bytea, $8::bytea)`;

/** Lets somebody come or go, if the actor may. */
export async function changeChannelMembers(sql: Sql, input: ChannelChangeRequest): Promise<ChannelOutcome> {
  const { event } = input;
  try {
    const row = await unlessBusy(() =>
      sql.query<ChangeRow>(
        CHANGE,
        [
          ...[input.conversationId, input.actorId, CHANGES[input.change], input.accountId, input.limit],
          ...[event.id, bytes(event.digest), bytes(event.body)],
        ],
        "change_channel_members",
      ),
    );
    if (row === "busy") return { status: "busy" };
    if (row.status !== 0 && row.status !== 14) return { status: statusOf(REFUSALS, row.status) };
    const status = row.status === 0 ? "silent" : "stored";
    return { ...placeOf(row), status, canSend: row.can_send, deserted: row.deserted };
  } catch (error) {
    if (isForeignKeyViolation(error)) return { status: "no_account" };
    throw error;
  }
}

/** Who is in a channel of at most `most` members; nobody of a larger one. Indexes: channels' key, members_open. */
export async function listFewMembers(sql: Sql, id: ConversationId, most: number): Promise<AccountId[]> {
  const rows = await sql.query<{ account: AccountId }>(
    `select m.account from channels h join members m on m.conversation = h.conversation and m.left_seq is null
     where h.conversation = $1 and h.members <= $2`,
    [id, most],
    "few_members",
  );
  return rows.map((row) => row.account);
}

/** Whether an account may read pages of a conversation: as a member, or because anybody may. Indexes: keys, members_open. */
export async function mayRead(sql: Sql, id: ConversationId, account: AccountId): Promise<boolean> {
  const rows = await sql.query(
    `select 1 from channels h where h.conversation = $1 and h.public
     union all select 1 from members m where m.conversation = $1 and m.account = $2 and m.left_seq is null limit 1`,
    [id, account],
    "may_read",
  );
  return rows.length > 0;
}

/** A channel that anybody may find. Times are milliseconds since the epoch. */
export interface PublicChannel {
  readonly id: ConversationId;
  readonly channel: string;
  readonly name: string | null;
  readonly openPosting: boolean;
  readonly members: number;
  readonly lastSeq: number;
  readonly lastActivity: number;
  readonly createdAt: number;
}

interface ChannelRow {
  readonly id: ConversationId;
  readonly slug: string;
  readonly name: string | null;
  readonly open_posting: boolean;
  readonly members: number;
  readonly last_seq: number;
  readonly last_activity: Date;
  readonly created_at: Date;
}

const COLUMNS = "c.id, h.slug, c.name, h.open_posting, h.members, c.last_seq, c.last_activity, c.created_at";

/** Finds a public channel. Index: channels_slug_unique. */
export async function findPublicChannel(sql: Sql, slug: string): Promise<PublicChannel | null> {
  const [row] = await sql.query<ChannelRow>(
    `select ${COLUMNS} from channels h join conversations c on c.id = h.conversation where h.slug = $1 and h.public`,
    [slug],
    "find_channel",
  );
  return row === undefined ? null : toChannel(row);
}

/** Lists public channels whose slug begins so, in its order, behind a slug. Index: channels_slug_unique. */
export async function listPublicChannels(
  sql: Sql,
  page: { readonly beginning: string; readonly behind: string; readonly limit: number },
): Promise<PublicChannel[]> {
  const rows = await sql.query<ChannelRow>(
    `select ${COLUMNS} from channels h join conversations c on c.id = h.conversation
     where h.public and h.slug > $2 and h.slug >= $1 and h.slug < $1 || '~' order by h.slug limit $3`,
    [page.beginning, page.behind, page.limit],
    "list_channels",
  );
  return rows.map(toChannel);
}

/** How far the logs of those channels are that are still public. */
export async function publicHeads(
  sql: Sql,
  ids: readonly ConversationId[],
): Promise<ReadonlyMap<ConversationId, number>> {
  const rows = await sql.query<{ id: ConversationId; last_seq: number }>(
    `select c.id, c.last_seq from channels h join conversations c on c.id = h.conversation
     where h.conversation = any ($1::uuid[]) and h.public`,
    [ids],
    "public_heads",
  );
  return new Map(rows.map((row) => [row.id, row.last_seq]));
}

function toChannel(row: ChannelRow): PublicChannel {
  return {
    id: row.id,
    channel: row.slug,
    name: row.name,
    openPosting: row.open_posting,
    members: row.members,
    lastSeq: row.last_seq,
    lastActivity: row.last_activity.getTime(),
    createdAt: row.created_at.getTime(),
  };
}
