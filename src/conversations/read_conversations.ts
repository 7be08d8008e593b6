/** Reading over HTTP: a conversation, the list of them, and pages of a log. */
import {
  type AccountId,
  type ConversationId,
  DomainError,
  LIMITS,
  type LogEntry,
  type PagePlace,
} from "../protocol/mod.ts";
import { type ConversationSummary, findSummary, listSummaries } from "./conversations_store.ts";
import type { ConversationsDeps } from "./deps.ts";
import { listHistory } from "./events_store.ts";
import { listReactions } from "./message_changes_store.ts";

/** A conversation that the account is a member of; else `conversation_not_found`. */
export async function getConversation(
  deps: ConversationsDeps,
  accountId: AccountId,
  id: ConversationId,
): Promise<ConversationSummary> {
  const summary = await findSummary(deps.db, id, accountId);
  if (summary === null) throw new DomainError("conversation_not_found");
  return summary;
}

/** One page of an account's conversations, the latest activity first. */
export async function listConversations(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly behind: PagePlace<ConversationId> | null; readonly limit: number },
): Promise<{
  readonly conversations: readonly ConversationSummary[];
  readonly next: PagePlace<ConversationId> | null;
}> {
  const found = await listSummaries(deps.db, input.accountId, input.behind, input.limit + 1);
  const conversations = found.slice(0, input.limit);
  const last = conversations.at(-1);
  const more = found.length > input.limit && last !== undefined;
  return { conversations, next: more ? { at: last.lastActivity, id: last.id } : null };
}

/**
 * The entries behind a seq that somebody may see, or might while they were a member; empty where they never
 * were. `next` is a seq to go on from, `null` at the end.
 */
export async function readLog(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly conversationId: ConversationId; readonly after: number },
): Promise<{ readonly entries: readonly LogEntry[]; readonly next: number | null }> {
  const { accountId, conversationId, after: seq } = input;
  const { rows, more } = await listHistory(deps.db, {
    ...{ accountId, conversationId, direction: "after", seq },
    ...{ limit: LIMITS.pageEvents, bytes: LIMITS.pageBytes },
  });
  const entries = await deps.pages.entries(conversationId, rows);
  return { entries, next: more ? (entries.at(-1)?.seq ?? null) : null };
}

/** Which page of a log: beyond a seq in one direction, or the newest. */
export interface ListMessagesInput {
  readonly accountId: AccountId;
  readonly conversationId: ConversationId;
  readonly limit: number;
  readonly afterSeq: number | null;
  readonly beforeSeq: number | null;
}

/** What somebody reacted with. */
export interface ShownReaction {
  readonly accountId: AccountId;
  readonly emoji: string;
}

/** A page in rising order. `next` and `previous` are seqs to go on from, `null` at an end. */
export interface MessagePage {
  readonly entries: readonly LogEntry[];
  /** Of each message on the page, by its seq, the first ones. */
  readonly reactions: ReadonlyMap<number, readonly ShownReaction[]>;
  /** For `after_seq`: what is newer. */
  readonly next: number | null;
  /** For `before_seq`: what is older. */
  readonly previous: number | null;
}

/** Beyond every seq there can be. */
const END = Number.MAX_SAFE_INTEGER;

/** A page of a log, of the entries that the caller may see; else `conversation_not_found`. */
export async function listMessages(deps: ConversationsDeps, input: ListMessagesInput): Promise<MessagePage> {
  await getConversation(deps, input.accountId, input.conversationId);
  return readMessages(deps, input);
}

/** The same, but empty for who is no member. */
export async function readMessages(deps: ConversationsDeps, input: ListMessagesInput): Promise<MessagePage> {
  const { accountId, conversationId, limit } = input;
  const forward = input.afterSeq !== null;
  const from = forward ? (input.afterSeq ?? 0) : (input.beforeSeq ?? END);
  const { rows, more } = await listHistory(deps.db, {
    accountId,
    conversationId,
    direction: forward ? "after" : "before",
    seq: from,
    limit,
    bytes: LIMITS.pageBytes,
  });
  const entries = await deps.pages.entries(conversationId, rows);
  const reactions = await reactionsOf(deps, accountId, entries);
  const [first, last] = [entries[0]?.seq ?? null, entries.at(-1)?.seq ?? null];
  if (forward) return { entries, reactions, next: more ? last : null, previous: first };
  return { entries, reactions, next: input.beforeSeq === null ? null : last, previous: more ? first : null };
}

async function reactionsOf(
  deps: ConversationsDeps,
  readerId: AccountId,
  entries: readonly LogEntry[],
): Promise<MessagePage["reactions"]> {
  const messages = entries.filter(({ kind }) => kind === "message");
  const [first] = messages;
  if (first === undefined) return new Map();
  const of = { conversationId: first.conversationId, readerId, seqs: messages.map(({ seq }) => seq) };
  const reactions = new Map(messages.map(({ seq }): [number, ShownReaction[]] => [seq, []]));
  for (const { seq, accountId, emoji } of await listReactions(deps.db, of, LIMITS.reactionsShown)) {
    reactions.get(seq)?.push({ accountId, emoji });
  }
  return reactions;
}
