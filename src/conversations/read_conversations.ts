/** Reading over HTTP: a conversation, the list of them, and pages of a log. */
import {
  type AccountId,
  type ConversationId,
  DomainError,
  LIMITS,
  type LogEntry,
  type PagePlace,
} from "../protocol/mod.ts";
import { mayRead } from "./channels_store.ts";
import type { ConversationsDeps } from "./deps.ts";
import { listHistory } from "./events_store.ts";
import { listReactions } from "./message_changes_store.ts";
import { type MessageStatuses, statusesOf } from "./receipts.ts";
import { type ConversationSummary, findSummary, listGone, listSummaries, settledAt } from "./summaries_store.ts";

/** Participants who are named in a list; one conversation alone names `LIMITS.participants`. */
const NAMED_IN_LISTS = 20;

/** A conversation that the account is a member of; else `conversation_not_found`. */
export async function getConversation(
  deps: ConversationsDeps,
  accountId: AccountId,
  id: ConversationId,
): Promise<ConversationSummary> {
  await deps.cursors.settle(accountId);
  const summary = await findSummary(deps.db, id, accountId, LIMITS.participants);
  if (summary === null) throw new DomainError("conversation_not_found");
  return summary;
}

/** Which part of an account's list. Times are milliseconds since the epoch. */
export interface ListConversationsInput {
  readonly accountId: AccountId;
  /** The `sync` of an earlier list: then only what changed after that; `null`: all. */
  readonly since: number | null;
  readonly behind: PagePlace<ConversationId> | null;
  /** The `sync` of this list's first page; `null` on the first page itself. */
  readonly sync: number | null;
  readonly limit: number;
}

/** One page of a list. */
export interface ConversationPage {
  readonly conversations: readonly ConversationSummary[];
  /** On the first page of a list with `since`: what is no longer in the list. */
  readonly left: readonly ConversationId[];
  readonly next: PagePlace<ConversationId> | null;
  /** From here a later list goes on. It belongs to the first page: what moves up meanwhile comes then. */
  readonly sync: number;
}

/**
 * One page of an account's conversations, the latest activity first. Read marks that this node has taken are
 * in it; those that another took may come up to 10 s later.
 */
export async function listConversations(
  deps: ConversationsDeps,
  input: ListConversationsInput,
): Promise<ConversationPage> {
  const { accountId, since, behind, limit } = input;
  await deps.cursors.settle(accountId);
  // Before the list is read: see settled_at (0034).
  const sync = input.sync ?? (await settledAt(deps.db));
  const found = await listSummaries(deps.db, {
    ...{ account: accountId, since, behind, limit: limit + 1, participants: NAMED_IN_LISTS },
  });
  const left = since === null || behind !== null ? [] : await listGone(deps.db, accountId, since);
  const conversations = found.slice(0, limit);
  const last = conversations.at(-1);
  const more = found.length > limit && last !== undefined;
  return { conversations, left, next: more ? { at: last.lastActivity, id: last.id } : null, sync };
}

/**
 * The entries behind a seq that were said while somebody was a member; empty where they never were.
 * `next` is a seq to go on from, `null` at the end.
 */
export async function readLog(
  deps: ConversationsDeps,
  input: { readonly accountId: AccountId; readonly conversationId: ConversationId; readonly after: number },
): Promise<{ readonly entries: readonly LogEntry[]; readonly next: number | null }> {
  const { accountId, conversationId, after: seq } = input;
  const { rows, more } = await listHistory(deps.db, {
    ...{ accountId, conversationId, shared: false, direction: "after", seq },
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
  readonly statuses: MessageStatuses;
}

/** Beyond every seq there can be. */
const END = Number.MAX_SAFE_INTEGER;

/** A page of a log, of the entries that a member or, of a public channel, anybody may see; else `conversation_not_found`. */
export async function listMessages(deps: ConversationsDeps, input: ListMessagesInput): Promise<MessagePage> {
  if (!(await mayRead(deps.db, input.conversationId, input.accountId))) throw new DomainError("conversation_not_found");
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
    shared: true,
    direction: forward ? "after" : "before",
    seq: from,
    limit,
    bytes: LIMITS.pageBytes,
  });
  const entries = await deps.pages.entries(conversationId, rows);
  const [reactions, statuses] = await Promise.all([
    reactionsOf(deps, accountId, entries),
    statusesOf(deps, accountId, conversationId, entries),
  ]);
  const [first, last] = [entries[0]?.seq ?? null, entries.at(-1)?.seq ?? null];
  if (forward) return { entries, reactions, statuses, next: more ? last : null, previous: first };
  return { entries, reactions, statuses, next: input.beforeSeq === null ? null : last, previous: more ? first : null };
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
