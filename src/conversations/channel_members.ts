/**
 * Who comes to a channel and who goes. Neither is an entry of its log, which may have ten thousand readers: the one
 * it happens to is told by a doorbell, and nodes take it over in what they know of the members. In a channel that is
 * small enough for its members to be told who types, the nodes of all of them are told so.
 */
import {
  type AccountId,
  type ConversationId,
  DomainError,
  type ErrorCode,
  LIMITS,
  newMessageId,
} from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import {
  type ChannelChangeRequest,
  type ChannelOutcome,
  changeChannelMembers,
  listFewMembers,
} from "./channels_store.ts";
import { deliveryOf, entryAt } from "./committed.ts";
import { deleteDeserted } from "./delete_conversation.ts";
import type { ConversationsDeps, Delivery, Doorbell } from "./deps.ts";
import type { MembershipRefusal } from "./membership_store.ts";

/** What each refusal of a change of members is called outside. */
export const MEMBERSHIP_REFUSALS = {
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

/** Whose membership changes, how, and who wants it. */
export type ChannelChange = Pick<ChannelChangeRequest, "conversationId" | "actorId" | "change" | "accountId">;

/** A change that is committed: what to tell, or `null` for who was a member already. */
export interface ChannelChanged {
  readonly told: Delivery | Doorbell;
}

/**
 * Changes who is in a channel; `null` where the conversation is none.
 * Errors: those of {@link MEMBERSHIP_REFUSALS}.
 */
export async function changeChannel(deps: ConversationsDeps, input: ChannelChange): Promise<ChannelChanged | null> {
  const outcome = await attempt(deps, input);
  if (outcome.status === "no_channel") return null;
  if (outcome.status === "known") throw new DomainError("already_member");
  if (!("seq" in outcome)) throw new DomainError(MEMBERSHIP_REFUSALS[outcome.status]);
  if (outcome.deserted) await deleteDeserted(deps, input.conversationId);
  return { told: outcome.told };
}

/** Joins a public channel; `null` for who is a member already. Errors: `conversation_not_found`, `too_many_participants`, `busy`. */
export async function joinChannel(
  deps: ConversationsDeps,
  accountId: AccountId,
  conversationId: ConversationId,
): Promise<Delivery | Doorbell | null> {
  const outcome = await attempt(deps, { conversationId, actorId: accountId, change: "join", accountId });
  if (outcome.status === "known") return null;
  if (outcome.status === "no_channel") throw new DomainError("conversation_not_found");
  if (!("seq" in outcome)) throw new DomainError(MEMBERSHIP_REFUSALS[outcome.status]);
  return outcome.told;
}

/** Takes out somebody whose account goes; `false` where the conversation is no channel. Throws the retryable `busy`. */
export async function leaveChannel(
  deps: ConversationsDeps,
  conversationId: ConversationId,
  accountId: AccountId,
): Promise<boolean> {
  const outcome = await attempt(deps, { conversationId, actorId: accountId, change: "remove", accountId });
  if (outcome.status === "busy") throw new DomainError("busy");
  return outcome.status !== "no_channel";
}

type Attempt = (Extract<ChannelOutcome, { seq: number }> & ChannelChanged) | Exclude<ChannelOutcome, { seq: number }>;

async function attempt(deps: ConversationsDeps, input: ChannelChange): Promise<Attempt> {
  const { conversationId, actorId, accountId, change } = input;
  const content = { change: change === "remove" ? "removed" : "joined", user_ids: [accountId] } as const;
  const body = membershipBody(deps.digests, content);
  const id = newMessageId(deps.clock.now());
  const event = { id, body: body.bytes, digest: body.digest };
  const outcome = await changeChannelMembers(deps.db, { ...input, limit: LIMITS.channelMembers, event });
  if (!("seq" in outcome)) return outcome;
  const { seq, membersVersion, canSend } = outcome;
  const member = change === "remove" ? null : ({ role: "member", joinedSeq: seq, canSend } as const);
  deps.heads.apply(conversationId, { membersVersion, accountId, member });
  if (outcome.status === "silent") {
    // One more than may be told of each other, so that a node learns of the one who makes it too many.
    const members = await listFewMembers(deps.db, conversationId, LIMITS.contactGroup + 1);
    return { ...outcome, told: { to: [accountId], conversationId, seq, members } };
  }
  const entry = entryAt(outcome, { kind: "membership", id, conversationId, senderId: actorId, content });
  return { ...outcome, told: await deliveryOf(deps, entry, outcome) };
}
