/**
 * The rows that are kept about an account, table by table, as JSON: whole rows, so that a column that
 * is added later is in the export by itself. What is left out is secret even to its owner (hashes), or
 * tells of somebody else (who blocks or reports them, and what that withholds).
 */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";

/** One table of the export. */
interface ExportedTable {
  readonly table: string;
  readonly statement: string;
}

/*
 * Pages by a text that is unique in the table, for the tables have keys of all kinds. It is sorted anew for
 * each page: a few thousand rows at most belong to one account in any of these.
 */
function exported(table: string, owner: string, place: string, omitted: readonly string[] = []): ExportedTable {
  const row = omitted.length === 0 ? "to_jsonb(x)" : `to_jsonb(x) - '{${omitted.join(",")}}'::text[]`;
  return {
    table,
    statement: `select (${place}) collate "C" as place, (${row})::text as row from ${table} x
      where ${owner} = $1 and (${place}) collate "C" > $2 order by 1 limit $3`,
  };
}

/** Every table with rows about an account that are its own to see. */
export const EXPORTED: readonly ExportedTable[] = [
  exported("accounts", "x.id", "x.id::text", ["password_hash", "password_version"]),
  exported("profiles", "x.account", "x.account::text"),
  exported("devices", "x.account", "x.id::text"),
  exported("sessions", "x.account", "x.id::text", ["refresh_hash", "previous_hash"]),
  exported("mail_links", "x.account", "encode(x.hash, 'hex')", ["hash"]),
  exported("public_keys", "x.account", "lpad(x.version::text, 10, '0')"),
  exported("private_keys", "x.account", "x.account::text"),
  exported("account_blocks", "x.blocker", "x.blocked::text"),
  // Without what is withheld: that somebody who is blocked sent something is theirs to know.
  exported("device_inbox", "x.seq is not null and x.account", "x.device || ' ' || lpad(x.seq::text, 20, '0')"),
  exported("members", "x.account", "x.conversation || ' ' || x.joined_seq"),
  exported("withheld", "x.reader", "x.conversation || ' ' || x.from_seq"),
  exported("device_cursors", "x.account", "x.device || ' ' || x.conversation"),
  exported("device_sync", "x.account", "x.device::text"),
  exported("confirmations", "x.account", "x.conversation || ' ' || x.seq"),
  exported("reactions", "x.account", "x.conversation || ' ' || x.target_seq || ' ' || x.emoji"),
  exported("hidden_heads", "x.account", "x.account::text"),
  exported("hidden_messages", "x.account", "lpad(x.number::text, 20, '0')"),
  exported("audit_log", "x.account", "lpad(x.id::text, 20, '0')", ["actor", "report"]), // nobody is told that they were reported
  exported("relay_requests", "x.sender", "x.message::text", ["key_hash", "digest"]),
];

/** A page of rows as JSON texts; `next` goes on behind it. */
export async function readExported(
  sql: Sql,
  of: { readonly table: ExportedTable; readonly account: AccountId; readonly behind: string; readonly limit: number },
): Promise<{ readonly rows: readonly string[]; readonly next: string | null }> {
  const found = await sql.query<{ place: string; row: string }>(of.table.statement, [of.account, of.behind, of.limit]);
  return {
    rows: found.map(({ row }) => row),
    next: found.length < of.limit ? null : (found.at(-1)?.place ?? null),
  };
}

/** Conversations that somebody is or was a member of, by id. */
export async function listOwnConversations(
  sql: Sql,
  account: AccountId,
  beyond: ConversationId | null,
  limit: number,
): Promise<ConversationId[]> {
  const rows = await sql.query<{ conversation: ConversationId }>(
    `select distinct m.conversation from members m where m.account = $1 and ($2::uuid is null or m.conversation > $2)
     order by m.conversation limit $3`,
    [account, beyond, limit],
    "export_conversations",
  );
  return rows.map((row) => row.conversation);
}
