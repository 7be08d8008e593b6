/**
 * Deleting for oneself: the message stays for everybody else, and is a tombstone, `hidden`, wherever the
 * account reads it. Its other devices are told at once where they are connected; one that was away asks for
 * what was hidden after the number that it knows.
 */
import { type AccountId, DomainError, type HiddenMessage, type MessageId } from "../protocol/mod.ts";
import { findTarget } from "./change_message.ts";
import type { ConversationsDeps } from "./deps.ts";
import { hideMessage, listHidden } from "./hidden_store.ts";

/** Hides a message from the caller; again is the same. Errors: `message_not_found`; retryable `busy`. */
export async function hideFromSelf(
  deps: ConversationsDeps,
  input: { readonly actorId: AccountId; readonly messageId: MessageId },
): Promise<HiddenMessage> {
  const { message } = await findTarget(deps, input);
  const hidden = await hideMessage(deps.db, input.actorId, message);
  if (hidden === "busy") throw new DomainError("busy");
  return {
    conversation_id: message.conversationId,
    message_id: message.id,
    message_seq: message.seq,
    number: hidden.number,
  };
}

/** What the caller hid after a number, in rising order. */
export async function listHiddenMessages(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly after: number; readonly limit: number },
): Promise<{ readonly messages: readonly HiddenMessage[]; readonly more: boolean }> {
  const found = await listHidden(deps.db, input.accountId, input.after, input.limit + 1);
  return { messages: found.slice(0, input.limit), more: found.length > input.limit };
}
