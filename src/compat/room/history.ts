/** What was said in the room, for everybody who is signed in, whenever they came. */
import { type ConversationsDeps, readMessages } from "../../conversations/mod.ts";
import { LIMITS, type LogEntry, timestampOf } from "../../protocol/mod.ts";
import type { RoomMessage } from "./frames.ts";
import { KEEPER, ROOM } from "./keeper.ts";
import type { Names } from "./names.ts";

/** A page: the latest first asked for, each in the order in which it was said. */
export interface RoomHistory {
  readonly messages: readonly RoomMessage[];
  /** The `before` of the page before this one; `null` at the beginning. */
  readonly previous: number | null;
}

/** Pages of the log that one request reads: it holds other entries than messages too. */
const MOST_PAGES = 10;

type Message = Extract<LogEntry, { readonly kind: "message" }>;

/** The latest messages, or those before a place; fewer than `limit` do not mean that there are no more: `previous` does. */
export async function readHistory(
  deps: { readonly conversations: ConversationsDeps; readonly names: Names },
  input: { readonly limit: number; readonly before: number | null },
): Promise<RoomHistory> {
  const found: Message[] = [];
  let before = input.before;
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const { entries, previous } = await readMessages(deps.conversations, {
      ...{ accountId: KEEPER, conversationId: ROOM, afterSeq: null, beforeSeq: before },
      limit: LIMITS.pageEvents,
    });
    const messages = entries.filter((entry) => entry.kind === "message");
    found.unshift(...messages);
    before = previous;
    if (before === null || found.length >= input.limit) break;
  }
  const page = found.slice(-input.limit);
  // What was read and is not shown is the next page's.
  const cut = found.length > page.length ? (page[0]?.seq ?? null) : before;
  const messages = await Promise.all(page.map((message) => shown(deps.names, message)));
  return { messages, previous: cut };
}

async function shown(names: Names, { id, senderId, content, createdAt }: Message): Promise<RoomMessage> {
  return {
    id,
    username: await names.find(senderId),
    content: content.content ?? "",
    timestamp: timestampOf(createdAt),
  };
}
