/** Conversations as one person sees them: one of them, the list, what changed in it, and who is in one. */
import type { Sql } from "../platform/postgres.ts";
import type {
  AccountId,
  ChannelHistory,
  ChannelPosting,
  ConversationId,
  ConversationType,
  Encryption,
  MessageId,
  PagePlace,
  Role,
} from "../protocol/mod.ts";
import { CONVERSATION_KINDS, ENCRYPTIONS, nameOf, ROLES } from "./membership_store.ts";

/** A conversation as one of its members sees it. Times are milliseconds since the epoch. */
export interface ConversationSummary {
  readonly id: ConversationId;
  readonly type: ConversationType;
  readonly encryption: Encryption;
  readonly name: string | null;
  /** The first of them by joining, in a channel by id, as many as were asked for. */
  readonly participantIds: readonly AccountId[];
  readonly participantCount: number;
  /** Whether who comes late reads what was before them. */
  readonly history: ChannelHistory;
  readonly posting: ChannelPosting;
  readonly isPublic: boolean;
  /** The name in addresses; `null` where it has none. */
  readonly channel: string | null;
  readonly role: Role;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly readSeq: number;
  readonly unreadCount: number;
  readonly mutedUntil: number | null;
  readonly archived: boolean;
  readonly pinned: boolean;
  readonly lastMessageId: MessageId | null;
  readonly lastActivity: number;
  readonly messageCount: number;
  readonly retentionSeconds: number | null;
  readonly createdAt: number;
}

interface SummarySqlRow {
  id: ConversationId;
  kind: number;
  encryption: number;
  name: string | null;
  participants: AccountId[];
  participant_count: number;
  shared: boolean;
  open_posting: boolean;
  public: boolean;
  slug: string | null;
  role: number;
  first_seq: number;
  last_seq: number;
  read_seq: number;
  unread: number;
  muted_until: Date | null;
  archived: boolean;
  pinned: boolean;
  last_message_id: MessageId | null;
  last_activity: Date;
  counted: number;
  retention: number | null;
  created_at: Date;
}

/*
 * `v` is one row of conversations and members. Of a dm, what was withheld from the reader is nothing to
 * read. participants go by joined_at: joined_seq would show that somebody cleared their dm.
 * Of a channel nothing here depends on how many are in it.
 * Indexes: withheld's key, events (conversation, seq), members_open.
 */
const SHOWN = `v.id, v.kind, v.encryption, v.name, v.role, v.first_seq, v.last_seq, v.read_seq, v.muted_until,
  v.archived, v.pinned, v.last_message_id, v.last_activity, v.counted, v.retention, v.created_at,
  greatest(0, v.counted - v.counted_read - coalesce((
    select sum(counted_at(v.id, least(w.to_seq, v.last_seq))
             - counted_at(v.id, greatest(w.from_seq - 1, v.read_seq, v.first_seq - 1)))
    from withheld w
    where w.conversation = v.id and w.reader = $1
      and least(w.to_seq, v.last_seq) > greatest(w.from_seq - 1, v.read_seq, v.first_seq - 1)), 0))::int8 as unread,
  v.shared, v.open_posting, v.public, v.slug,
  coalesce(v.members, (select count(*) from members p where p.conversation = v.id and p.left_seq is null)) as participant_count,
  case when v.members is null
    then array(select p.account::text from members p where p.conversation = v.id and p.left_seq is null
               order by p.joined_at, p.account limit $2)
    else array(select p.account::text from members p where p.conversation = v.id and p.left_seq is null
               order by p.account limit $2) end as participants`;

const VIEW = `c.id, c.kind, c.encryption, c.name, m.role,
  case when h.shared then 1 else m.joined_seq end as first_seq, c.last_seq, m.read_seq,
  m.muted_until, m.archived, m.pinned, c.last_message_id, c.last_activity, c.counted, m.counted_read,
  coalesce(c.retention_seconds, c.expire_seconds) as retention, c.created_at,
  coalesce(h.shared, false) as shared, coalesce(h.open_posting, true) as open_posting, coalesce(h.public, false) as public,
  h.slug, h.members`;

const FIND_SUMMARY = `select ${SHOWN} from (
  select ${VIEW} from conversations c
  join members m on m.conversation = c.id and m.account = $1 and m.left_seq is null
  left join channels h on h.conversation = c.id
  where c.id = $3) v`;

/** Finds a conversation that an account is a member of. Index: members_open. */
export async function findSummary(
  sql: Sql,
  id: ConversationId,
  account: AccountId,
  participants: number,
): Promise<ConversationSummary | null> {
  const [row] = await sql.query<SummarySqlRow>(FIND_SUMMARY, [account, participants, id], "find_summary");
  return row === undefined ? null : toSummary(row);
}

/** Where in a dm there is nothing for this reader: it was begun by somebody whom they block. */
const HIDDEN = `exists (
  select 1 from withheld w where w.conversation = m.conversation and w.reader = m.account and w.from_seq = 1 and w.to_seq is null)`;

/** The statement of {@link listSummaries}. */
export const LIST_SUMMARIES = `select ${SHOWN} from (
  select ${VIEW} from members m join conversations c on c.id = m.conversation
  left join channels h on h.conversation = c.id
  where m.account = $1 and m.left_seq is null and (c.kind <> 1 or m.joined_seq <= c.last_seq) and not ${HIDDEN}
    and ($4::timestamptz is null or c.last_activity >= $4::timestamptz or m.changed_at >= $4::timestamptz)
    and ($5::timestamptz is null or (c.last_activity, c.id) < ($5::timestamptz, $6::uuid))
  order by c.last_activity desc, c.id desc limit $3) v
order by v.last_activity desc, v.id desc`;

/** Which part of an account's list. Times are milliseconds since the epoch. */
export interface ListRequest {
  readonly account: AccountId;
  /** Only what changed at this time or later; `null`: all. */
  readonly since: number | null;
  readonly behind: PagePlace<ConversationId> | null;
  readonly limit: number;
  /** Participants that are named of each. */
  readonly participants: number;
}

/** Lists an account's conversations, the latest activity first. Indexes: members_account, conversations' key. */
export async function listSummaries(sql: Sql, request: ListRequest): Promise<ConversationSummary[]> {
  const { account, behind, since } = request;
  const rows = await sql.query<SummarySqlRow>(
    LIST_SUMMARIES,
    [
      ...[account, request.participants, request.limit, since === null ? null : timeOf(since)],
      ...[behind === null ? null : timeOf(behind.at), behind?.id ?? null],
    ],
    "list_summaries",
  );
  return rows.map(toSummary);
}

/**
 * The statement of {@link listGone}: what ended or was cleared since. What came back is in the list instead.
 * Indexes: members_account, members_open, conversations' key.
 */
export const LIST_GONE = `
select distinct m.conversation from members m join conversations c on c.id = m.conversation
where m.account = $1 and m.changed_at >= $2::timestamptz and (
  (m.left_seq is null and c.kind = 1 and m.joined_seq > c.last_seq)
  or (m.left_seq is not null and not exists (
    select 1 from members o where o.conversation = m.conversation and o.account = m.account and o.left_seq is null)))`;

/** Lists conversations that are no longer in an account's list, since a time (ms since the epoch). */
export async function listGone(sql: Sql, account: AccountId, since: number): Promise<ConversationId[]> {
  const rows = await sql.query<{ conversation: ConversationId }>(LIST_GONE, [account, timeOf(since)], "list_gone");
  return rows.map((row) => row.conversation);
}

/** A moment (ms since the epoch) before which no change of any list is still being made: see 0034. */
export async function settledAt(sql: Sql): Promise<number> {
  const [row] = await sql.query<{ at: number }>("select floor(unix_ms(settled_at())) as at", [], "settled_at");
  if (row === undefined) throw new Error("Tell the time: no row came back");
  return row.at;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}

function toSummary(row: SummarySqlRow): ConversationSummary {
  return {
    id: row.id,
    type: nameOf(CONVERSATION_KINDS, row.kind),
    encryption: nameOf(ENCRYPTIONS, row.encryption),
    name: row.name,
    participantIds: row.participants,
    participantCount: row.participant_count,
    history: row.shared ? "shared" : "joined",
    posting: row.open_posting ? "everybody" : "admins",
    isPublic: row.public,
    channel: row.slug,
    role: nameOf(ROLES, row.role),
    firstSeq: row.first_seq,
    lastSeq: row.last_seq,
    readSeq: row.read_seq,
    unreadCount: row.unread,
    mutedUntil: row.muted_until?.getTime() ?? null,
    archived: row.archived,
    pinned: row.pinned,
    lastMessageId: row.last_message_id,
    lastActivity: row.last_activity.getTime(),
    messageCount: row.counted,
    retentionSeconds: row.retention,
    createdAt: row.created_at.getTime(),
  };
}

/** Somebody who is in a conversation. */
export interface Participant {
  readonly accountId: AccountId;
  readonly role: Role;
  /** Milliseconds since the epoch. */
  readonly joinedAt: number;
}

interface ParticipantSqlRow {
  account: AccountId;
  role: number;
  joined_at: Date;
}

const LIST_PARTICIPANTS = `select m.account, m.role, m.joined_at from members m
  where m.conversation = $1 and m.left_seq is null and ($2::uuid is null or m.account > $2::uuid)
  order by m.account limit $3`;

/** Lists who is in a conversation, by account id. Index: members_open. */
export async function listParticipantRows(
  sql: Sql,
  id: ConversationId,
  beyond: AccountId | null,
  limit: number,
): Promise<Participant[]> {
  const rows = await sql.query<ParticipantSqlRow>(LIST_PARTICIPANTS, [id, beyond, limit], "list_participants");
  return rows.map(toParticipant);
}

/** Finds one participant. Index: members_open. */
export async function findParticipant(sql: Sql, id: ConversationId, account: AccountId): Promise<Participant | null> {
  const [row] = await sql.query<ParticipantSqlRow>(
    "select m.account, m.role, m.joined_at from members m where m.conversation = $1 and m.account = $2 and m.left_seq is null",
    [id, account],
    "find_participant",
  );
  return row === undefined ? null : toParticipant(row);
}

function toParticipant(row: ParticipantSqlRow): Participant {
  return { accountId: row.account, role: nameOf(ROLES, row.role), joinedAt: row.joined_at.getTime() };
}
