/**
 * How far messages have got, derived from the members' cursors: one look-up for a page, and nothing
 * that is kept for each message and member.
 */
import type { AccountId, ConversationId, LogEntry, MessageStatus } from "../protocol/mod.ts";
import type { ConversationsDeps } from "./deps.ts";
import type { Head } from "./head.ts";
import { findOthersProgress } from "./receipts_store.ts";

/** Statuses of the caller's own messages, by seq. */
export type MessageStatuses = ReadonlyMap<number, MessageStatus>;

/**
 * The statuses of the caller's own messages on a page. In a group all other members count; in a channel
 * every message is `sent`. Cursors that wait are in it later: a second at most those of this node, ten those of another.
 */
export async function statusesOf(
  deps: ConversationsDeps,
  accountId: AccountId,
  conversationId: ConversationId,
  entries: readonly LogEntry[],
): Promise<MessageStatuses> {
  const own = entries.filter((entry) => entry.kind === "message" && entry.senderId === accountId).map(({ seq }) => seq);
  const [from, to] = [own.at(0), own.at(-1)];
  if (from === undefined || to === undefined) return new Map();
  const head = await deps.heads.get(conversationId);
  if (head?.type === "channel") return new Map(own.map((seq) => [seq, "sent"]));
  await deps.cursors.settlePage(conversationId);
  const { delivered, read, confirmed } = await findOthersProgress(deps.db, { conversationId, accountId, from, to });
  const statusOf = (seq: number): MessageStatus => {
    if (read !== null && seq <= read) return "read";
    return (delivered !== null && seq <= delivered) || (head?.type === "dm" && confirmed.has(seq))
      ? "delivered"
      : "sent";
  };
  return new Map(own.map((seq) => [seq, statusOf(seq)]));
}

/** Whether one of the two people of a dm blocks the other: then neither is told what the other does. */
export function isBlocked({ withheldUpTo }: Head): boolean {
  for (const upTo of withheldUpTo.values()) if (upTo === Number.POSITIVE_INFINITY) return true;
  return false;
}
