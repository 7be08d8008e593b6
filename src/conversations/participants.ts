/** Who is in a conversation: adding, removing, leaving, and asking. */
import {
  type AccountId,
  type ConversationId,
  DomainError,
  type ErrorCode,
  LIMITS,
  type LogEntry,
  newMessageId,
} from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import { findTop } from "./conversations_store.ts";
import { checkAccounts } from "./create_conversation.ts";
import { deleteDeserted } from "./delete_conversation.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";
import type { Head } from "./head.ts";
import { changeMembership, type MembershipRefusal } from "./membership_store.ts";
import { recipientsOf } from "./send_message.ts";
import { findParticipant, listParticipantRows, type Participant } from "./summaries_store.ts";

/** A channel may be of any size; what a node keeps of it has a bound all the same (`heads.ts`). */
const CHANNEL_MEMBERS = 1_000_000;

/** Whose membership changes, by whom. */
export interface ParticipantInput {
  readonly actorId: AccountId;
  readonly conversationId: ConversationId;
  readonly accountId: AccountId;
}

/**
 * Adds somebody to a group. Errors: `conversation_not_found`, `forbidden`, `already_member`,
 * `user_not_found`, `too_many_participants`; retryable `busy`.
 */
export async function addParticipant(deps: ConversationsDeps, input: ParticipantInput): Promise<Delivery> {
  const { type } = await requireMember(deps, input.actorId, input.conversationId);
  await checkAccounts(deps, [input.accountId]);
  return change(deps, { ...input, limit: type === "channel" ? CHANNEL_MEMBERS : LIMITS.participants }, "add", "joined");
}

/**
 * Removes somebody from a group, or leaves it. Errors: `conversation_not_found`, `forbidden`,
 * `user_not_found`; retryable `busy`.
 */
export function removeParticipant(deps: ConversationsDeps, input: ParticipantInput): Promise<Delivery> {
  const limit = LIMITS.participants; // of who is added
  return change(deps, { ...input, limit }, "remove", input.actorId === input.accountId ? "left" : "removed");
}

const REFUSALS = {
  conflict: "conflict",
  no_conversation: "conversation_not_found",
  id_out_of_window: "id_out_of_window",
  forbidden: "forbidden",
  already_member: "already_member",
  not_member: "user_not_found",
  too_many: "too_many_participants",
  no_account: "user_not_found",
  busy: "busy",
} as const satisfies Record<MembershipRefusal, ErrorCode>;

async function change(
  deps: ConversationsDeps,
  input: ParticipantInput & { readonly limit: number },
  direction: "add" | "remove",
  what: "joined" | "left" | "removed",
): Promise<Delivery> {
  const { actorId, conversationId, accountId } = input;
  const content = { change: what, user_ids: [accountId] } as const;
  const body = membershipBody(deps.digests, content);
  // The id is the server's own and the clock that judges it is the database's.
  const id = newMessageId(deps.clock.now());
  const outcome = await changeMembership(deps.db, {
    conversationId,
    actorId,
    change: direction,
    accountIds: [accountId],
    canSend: true,
    event: { id, body: body.bytes, digest: body.digest },
    limit: input.limit,
  });
  if (outcome.status !== "stored" && outcome.status !== "known") throw new DomainError(REFUSALS[outcome.status]);
  const head = await deps.heads.atLeast(conversationId, outcome.membersVersion);
  const entry: LogEntry = {
    kind: "membership",
    id,
    conversationId,
    seq: outcome.seq,
    senderId: actorId,
    createdAt: outcome.createdAt,
    expiresAt: outcome.expiresAt,
    content,
  };
  const recipients = recipientsOf(head, entry);
  if (direction === "remove" && head?.members.size === 0) await deleteDeserted(deps, conversationId);
  return { entry, stored: true, recipients, ...(direction === "remove" ? { left: [accountId] } : {}) };
}

/**
 * The head of a conversation that the account is a member of, else `conversation_not_found`.
 * A node that believes otherwise looks again, for it may not have heard of a join.
 */
export async function requireMember(deps: ConversationsDeps, accountId: AccountId, id: ConversationId): Promise<Head> {
  let head = await deps.heads.get(id);
  if (head !== null && !head.members.has(accountId)) head = await deps.heads.atLeast(id, head.membersVersion + 1);
  if (head === null || !head.members.has(accountId)) throw new DomainError("conversation_not_found");
  return head;
}

/** One page of who is in a conversation, by account id; else `conversation_not_found`. */
export async function listParticipants(
  deps: ConversationsDeps,
  input: {
    readonly accountId: AccountId;
    readonly conversationId: ConversationId;
    /** The last account of the page before; `null`: from the beginning. */
    readonly beyond: AccountId | null;
    readonly limit: number;
  },
): Promise<{ readonly participants: readonly Participant[]; readonly next: AccountId | null }> {
  const { accountId, conversationId, beyond, limit } = input;
  await getParticipant(deps, conversationId, accountId);
  const found = await listParticipantRows(deps.db, conversationId, beyond, limit + 1);
  const participants = found.slice(0, limit);
  return { participants, next: found.length > limit ? (participants.at(-1)?.accountId ?? null) : null };
}

/** Somebody who is in a conversation; else `conversation_not_found`. */
export async function getParticipant(
  deps: ConversationsDeps,
  conversationId: ConversationId,
  accountId: AccountId,
): Promise<Participant> {
  const participant = await findParticipant(deps.db, conversationId, accountId);
  if (participant === null) throw new DomainError("conversation_not_found");
  return participant;
}

/** The last seq that a member may see, or `null` for who is none. */
export function findVisibleTop(
  deps: ConversationsDeps,
  accountId: AccountId,
  id: ConversationId,
): Promise<number | null> {
  return findTop(deps.db, id, accountId);
}
