/** What a person sets for themselves in a conversation: mute, archive, pin. No entry of the log; nobody else is told. */
import { type AccountId, type ConversationId, DomainError } from "../protocol/mod.ts";
import { type OwnSettings, writeSettings } from "./changes_store.ts";
import type { ConversationsDeps } from "./deps.ts";

/** Changes the caller's settings of a conversation; else `conversation_not_found`. */
export async function updateSettings(
  deps: ConversationsDeps,
  {
    accountId,
    conversationId,
    ...settings
  }: OwnSettings & {
    readonly accountId: AccountId;
    readonly conversationId: ConversationId;
  },
): Promise<void> {
  if (!(await writeSettings(deps.db, conversationId, accountId, settings))) {
    throw new DomainError("conversation_not_found");
  }
}
