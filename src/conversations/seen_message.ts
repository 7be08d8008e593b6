/**
 * What somebody holds in their hands: a message that they may see, or could while they were there. Whoever
 * has left a group can still say what was said to them in it.
 */
import { type AccountId, type ConversationId, DomainError, type LogEntry, type MessageId } from "../protocol/mod.ts";
import type { ConversationsDeps } from "./deps.ts";
import type { Head } from "./head.ts";
import { findSeenRow, hasMembership } from "./seen_message_store.ts";

/** Which message, and who has seen it. */
export interface SeenMessageInput {
  readonly readerId: AccountId;
  readonly messageId: MessageId;
  /** Where it must be; `null`: wherever it is. */
  readonly conversationId: ConversationId | null;
  /** Conversations that everybody may read who is signed in, though no membership says so. */
  readonly openTo: readonly ConversationId[];
}

/** A message as the reader sees it now, with its newest edit; a tombstone where it is gone. */
export interface SeenMessage {
  readonly entry: LogEntry;
  readonly conversation: Pick<Head, "type" | "encryption">;
}

/** Finds a message; throws `message_not_found` for what the reader never could see, whatever there is. */
export async function findSeenMessage(deps: ConversationsDeps, input: SeenMessageInput): Promise<SeenMessage> {
  const row = await findSeenRow(deps.db, input);
  const conversation = row === null ? null : await deps.heads.get(row.conversationId);
  if (row === null || conversation === null) throw new DomainError("message_not_found");
  const [entry] = await deps.pages.entries(row.conversationId, [row]);
  if (entry === undefined) throw new Error("Open the message that was found");
  return { entry, conversation };
}

/** Whether somebody is or was in a conversation, as far as they know of it, or may read it as everybody may. */
export async function wasIn(
  deps: Pick<ConversationsDeps, "db">,
  input: { readonly accountId: AccountId; readonly conversationId: ConversationId },
): Promise<boolean> {
  return hasMembership(deps.db, input.conversationId, input.accountId);
}
