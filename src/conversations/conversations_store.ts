/** Reading conversations and their members, for nodes. What a person is shown is `summaries_store.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import type { Head, Member } from "./head.ts";
import { CONVERSATION_KINDS, ENCRYPTIONS, nameOf, ROLES } from "./membership_store.ts";

interface HeadSqlRow {
  id: ConversationId;
  kind: number;
  encryption: number;
  retention_seconds: number | null;
  members_version: number;
  data_key: Uint8Array | null;
  accounts: AccountId[];
  roles: number[];
  joined: number[];
  can_send: boolean[];
  readers: AccountId[];
  up_to: (number | null)[];
  public: boolean;
}

/*
 * One statement, so one snapshot: the members, and from whom is withheld, are those of that version.
 * Indexes: the keys of conversations and channels, members_open, withheld's key.
 */
const LOAD_HEADS = `
select c.id, c.kind, c.encryption, c.retention_seconds, c.members_version, c.data_key,
       coalesce(m.accounts, '{}') as accounts, coalesce(m.roles, '{}') as roles,
       coalesce(m.joined, '{}') as joined, coalesce(m.can_send, '{}') as can_send,
       coalesce(w.readers, '{}') as readers, coalesce(w.up_to, '{}') as up_to, coalesce(h.public, false) as public
from conversations c
left join channels h on h.conversation = c.id
left join lateral (
  select array_agg(m.account::text) as accounts, array_agg(m.role::int) as roles,
         array_agg(m.joined_seq::float8) as joined, array_agg(m.can_send) as can_send
  from members m where m.conversation = c.id and m.left_seq is null) m on true
left join lateral (
  select array_agg(w.reader::text) as readers, array_agg(w.to_seq::float8) as up_to
  from (select distinct on (w.reader) w.reader, w.to_seq from withheld w where w.conversation = c.id
        order by w.reader, w.from_seq desc) w) w on true
where c.id = any ($1::uuid[])`;

/** How many conversations there are, and how many entries their logs ever got; reads them all. */
export async function countConversations(sql: Sql): Promise<{ conversations: number; entries: number }> {
  const [row] = await sql.query<{ conversations: number; entries: number }>(
    "select count(*) as conversations, coalesce(sum(last_seq), 0)::int8 as entries from conversations",
  );
  return row ?? { conversations: 0, entries: 0 };
}

/** Shared by the heads of all conversations where nobody blocks anybody. */
const NOTHING: ReadonlyMap<AccountId, number> = new Map();

/** Loads heads with their members; those that do not exist are missing. */
export async function loadHeads(sql: Sql, ids: readonly ConversationId[]): Promise<Head[]> {
  const rows = await sql.query<HeadSqlRow>(LOAD_HEADS, [ids], "load_heads");
  return rows.map((row) => ({
    id: row.id,
    type: nameOf(CONVERSATION_KINDS, row.kind),
    encryption: nameOf(ENCRYPTIONS, row.encryption),
    retentionSeconds: row.retention_seconds,
    membersVersion: row.members_version,
    dataKey: row.data_key,
    isPublic: row.public,
    members: new Map(row.accounts.map((account, i): [AccountId, Member] => [account, memberAt(row, i)])),
    withheldUpTo:
      row.readers.length === 0 ? NOTHING : new Map(row.readers.map((reader, i) => [reader, row.up_to[i] ?? Infinity])),
  }));
}

function memberAt(row: HeadSqlRow, i: number): Member {
  return {
    role: nameOf(ROLES, row.roles[i] ?? ROLES.member),
    joinedSeq: row.joined[i] ?? 0,
    canSend: row.can_send[i] ?? false,
  };
}

const FIND_TOP = `select c.last_seq from conversations c
  join members m on m.conversation = c.id and m.account = $2 and m.left_seq is null where c.id = $1`;

/** The last seq of a conversation that an account is a member of. */
export async function findTop(sql: Sql, id: ConversationId, account: AccountId): Promise<number | null> {
  const [row] = await sql.query<{ last_seq: number }>(FIND_TOP, [id, account]);
  return row?.last_seq ?? null;
}

const LIST_OPEN = `select m.conversation from members m
  where m.account = $1 and m.left_seq is null and ($2::uuid is null or m.conversation > $2::uuid)
  order by m.conversation limit $3`;

/** Lists the conversations that an account is a member of, by id. Index: members_account. */
export async function listOpenConversations(
  sql: Sql,
  account: AccountId,
  beyond: ConversationId | null,
  limit: number,
): Promise<ConversationId[]> {
  const rows = await sql.query<{ conversation: ConversationId }>(LIST_OPEN, [account, beyond, limit]);
  return rows.map((row) => row.conversation);
}
