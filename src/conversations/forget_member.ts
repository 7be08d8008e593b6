/**
 * Taking somebody who leaves for good out of every conversation.
 *
 * - The others are told by a membership event, in dms too but not in channels, and keep the conversation.
 * - What the person said becomes tombstones, for everybody and at once: the places stay, so the logs stay
 *   dense, and with them the id of an account that there is no more. Who was a member when stays too.
 * - Of a conversation that nobody is left in the log and the name go.
 *
 * Every step may be repeated, so a call that was cut off is made whole by the next one: a conversation
 * is done once its member rows are gone. Steps are short, whatever there is.
 */
import { type AccountId, type ConversationId, DomainError, newMessageId } from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import { leaveChannel } from "./channel_members.ts";
import { deliveryOf, entryAt } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";
import {
  deleteChanges,
  deleteEvents,
  depart,
  eraseBodies,
  forgetDevices,
  forgetMember,
  forgetReactions,
  isDeserted,
  lastSeqOf,
  listMemberships,
} from "./forget_store.ts";

const CONVERSATIONS_AT_ONCE = 100;
/** Places of a log that one statement looks at. */
const PLACES_AT_ONCE = 2_000;

/** What {@link forgetEverywhere} is told. */
export interface ForgetInput {
  readonly accountId: AccountId;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
  /** Ends it between two steps. */
  readonly signal: AbortSignal;
}

/** Does all that the head of this file says, as far as `signal` lets it. Throws the retryable `busy`. */
export async function forgetEverywhere(deps: ConversationsDeps, input: ForgetInput): Promise<void> {
  while (!input.signal.aborted) {
    const ids = await listMemberships(deps.db, input.accountId, CONVERSATIONS_AT_ONCE);
    for (const id of ids) await forgetIn(deps, id, input);
    if (ids.length < CONVERSATIONS_AT_ONCE) break;
  }
  // Cursors that were still in this node's memory must not be written after they were removed.
  await deps.cursors.flush();
  if (!input.signal.aborted) await forgetDevices(deps.db, input.accountId);
}

async function forgetIn(deps: ConversationsDeps, id: ConversationId, input: ForgetInput): Promise<void> {
  const { accountId, signal } = input;
  await leave(deps, id, input);
  const deserted = await isDeserted(deps.db, id);
  // What was said before is all there is: nobody sends without being a member.
  const end = await lastSeqOf(deps.db, id);
  for (let from = 1; from <= end; from += PLACES_AT_ONCE) {
    if (signal.aborted) return;
    const to = from + PLACES_AT_ONCE - 1;
    if (deserted) await deleteEvents(deps.db, id, from, to);
    else await eraseBodies(deps.db, { conversationId: id, accountId, from, to });
  }
  if (deserted) await deleteChanges(deps.db, id);
  else await forgetReactions(deps.db, id, accountId);
  if (!signal.aborted && !(await forgetMember(deps.db, id, accountId))) throw new DomainError("busy");
}

async function leave(deps: ConversationsDeps, conversationId: ConversationId, input: ForgetInput): Promise<void> {
  const { accountId } = input;
  if (await leaveChannel(deps, conversationId, accountId)) return;
  const content = { change: "left", user_ids: [accountId] } as const;
  const body = membershipBody(deps.digests, content);
  const id = newMessageId(deps.clock.now());
  const outcome = await depart(deps.db, {
    conversationId,
    accountId,
    event: { id, body: body.bytes, digest: body.digest },
  });
  if (outcome === "busy") throw new DomainError("busy");
  if (outcome === null) return;
  const entry = entryAt(outcome, { kind: "membership", id, conversationId, senderId: accountId, content });
  input.deliver(await deliveryOf(deps, entry, outcome));
}
