/** Who is in a conversation: adding, removing, leaving, and asking. */
import { type AccountId, type ConversationId, DomainError, LIMITS, newMessageId } from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import { changeChannel, MEMBERSHIP_REFUSALS } from "./channel_members.ts";
import { entryAt, recipientsOf } from "./committed.ts";
import { findTop } from "./conversations_store.ts";
import { checkAccounts } from "./create_conversation.ts";
import { deleteDeserted } from "./delete_conversation.ts";
import type { ConversationsDeps, Delivery, Doorbell } from "./deps.ts";
import type { Head } from "./head.ts";
import { changeMembership } from "./membership_store.ts";
import { findParticipant, listParticipantRows, type Participant } from "./summaries_store.ts";

/** Whose membership changes, by whom. */
export interface ParticipantInput {
  readonly actorId: AccountId;
  readonly conversationId: ConversationId;
  readonly accountId: AccountId;
}

/**
 * Adds somebody to a group, or to a channel, whose log says nothing of it. Errors: `conversation_not_found`, `forbidden`, `already_member`,
 * `user_not_found`, `too_many_participants`; retryable `busy`.
 */
export async function addParticipant(deps: ConversationsDeps, input: ParticipantInput): Promise<Delivery | Doorbell> {
  const inChannel = await changeChannel(deps, { ...input, change: "add" });
  if (inChannel !== null) return inChannel.told;
  await requireMember(deps, input.actorId, input.conversationId);
  await checkAccounts(deps, [input.accountId]);
  return change(deps, input, "add", "joined");
}

/**
 * Removes somebody from a group or channel, or leaves it. Errors: `conversation_not_found`, `forbidden`,
 * `user_not_found`; retryable `busy`.
 */
export async function removeParticipant(
  deps: ConversationsDeps,
  input: ParticipantInput,
): Promise<Delivery | Doorbell> {
  const inChannel = await changeChannel(deps, { ...input, change: "remove" });
  if (inChannel !== null) return inChannel.told;
  return change(deps, input, "remove", input.actorId === input.accountId ? "left" : "removed");
}

async function change(
  deps: ConversationsDeps,
  input: ParticipantInput,
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
    limit: LIMITS.participants,
  });
  if (outcome.status !== "stored" && outcome.status !== "known")
    throw new DomainError(MEMBERSHIP_REFUSALS[outcome.status]);
  const head = await deps.heads.atLeast(conversationId, outcome.membersVersion);
  const entry = entryAt(outcome, { kind: "membership", id, conversationId, senderId: actorId, content });
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
  if (head !== null && !head.members.has(accountId)) {
    // One look-up first: a stranger who knocks at a channel must not make this node load ten thousand members.
    if ((await findTop(deps.db, id, accountId)) === null) throw new DomainError("conversation_not_found");
    head = await deps.heads.atLeast(id, head.membersVersion + 1);
  }
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
