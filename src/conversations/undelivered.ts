/**
 * What waits for an account as a whole, message by message: the view of the log that relay
 * clients have. Confirming is per account and in any order; a message below an unconfirmed one
 * stays listed until it is confirmed itself.
 */
import { type AccountId, DomainError, LIMITS, type LogEntry, type MessageId, type PagePlace } from "../protocol/mod.ts";
import type { ConversationsDeps } from "./deps.ts";
import { toLogEntry } from "./log_entry.ts";
import { confirm, findReceived, listUndeliveredRows } from "./undelivered_store.ts";

/** One page of what waits, oldest first; `next` goes on behind it. */
export interface UndeliveredPage {
  readonly entries: readonly LogEntry[];
  readonly next: PagePlace<MessageId> | null;
}

/** Lists messages that wait for an account in its relay dms (opaque, with a retention). */
export async function listUndelivered(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly behind: PagePlace<MessageId> | null; readonly limit: number },
): Promise<UndeliveredPage> {
  const limits = { events: input.limit, bytes: LIMITS.pageBytes };
  const { rows: page, more } = await listUndeliveredRows(deps.db, input.accountId, input.behind, limits);
  const entries = page.map((row) => toLogEntry(deps.sealer, { id: row.conversationId, dataKey: null }, row));
  const last = page.at(-1);
  return { entries, next: more && last !== undefined ? { at: last.at, id: last.id } : null };
}

/** Confirms a message for its recipient; again is the same. Others get `not_found`. */
export async function confirmDelivered(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly id: MessageId },
): Promise<void> {
  const message = await findReceived(deps.db, input.id, input.accountId);
  if (message === null) throw new DomainError("not_found");
  await deps.db.transaction((tx) => confirm(tx, input.accountId, message));
}
