/** What accounts have deleted for themselves alone (0030). */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, HiddenMessage, MessageId } from "../protocol/mod.ts";
import { unlessBusy } from "./held_head.ts";

/** Hides a message; gives its number and whether it was hidden before, or `busy` where others took 2 s. */
export async function hideMessage(
  sql: Sql,
  account: AccountId,
  message: { readonly conversationId: ConversationId; readonly seq: number; readonly id: MessageId },
): Promise<{ readonly number: number; readonly known: boolean } | "busy"> {
  return unlessBusy(() =>
    sql.query<{ number: number; known: boolean }>(
      "select o_number as number, o_known as known from hide_message($1::uuid, $2::uuid, $3::bigint, $4::uuid)",
      [account, message.conversationId, message.seq, message.id],
    ),
  );
}

interface HiddenSqlRow {
  conversation: ConversationId;
  message: MessageId;
  seq: number;
  number: number;
}

/** Lists what an account hid after a number, in rising order. Index: hidden_messages_number. */
export async function listHidden(sql: Sql, account: AccountId, after: number, limit: number): Promise<HiddenMessage[]> {
  const rows = await sql.query<HiddenSqlRow>(
    `select h.conversation, h.message, h.seq, h.number from hidden_messages h
     where h.account = $1 and h.number > $2 order by h.number limit $3`,
    [account, after, limit],
  );
  return rows.map(({ conversation, message, seq, number }) => ({
    ...{ conversation_id: conversation, message_id: message, message_seq: seq, number },
  }));
}
