/**
 * Deleting a conversation. A group or channel is ended by its owner, for everybody: nobody is in it any
 * more, nobody reads it again, and what was said goes. A dm is cleared for the one who asks, and comes back
 * with the next message.
 */
import type { Sql } from "../platform/postgres.ts";
import { type AccountId, type ConversationId, DomainError, type ErrorCode, newMessageId } from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import { clearDm, type EndOutcome, emptyEnded, endConversation, endDeserted, listEndings } from "./changes_store.ts";
import { entryAt } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";

/** What {@link deleteConversation} is told. */
export interface DeleteConversationInput {
  readonly actorId: AccountId;
  readonly conversationId: ConversationId;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
}

/** Places of a log that one statement empties. */
const PLACES_AT_ONCE = 2_000;
/** Milliseconds that a request spends with emptying; what is left is the keeper's. */
const EMPTYING_MS = 5_000;
const ENDINGS_AT_ONCE = 100;

/**
 * Does what the head of this file says. From its end on nobody reads a conversation, and its bodies are gone
 * when this returns; of a very long one some go in the minutes after.
 *
 * Errors: `conversation_not_found`, `use_leave` for who is not the owner; retryable `busy`.
 */
export async function deleteConversation(
  deps: ConversationsDeps,
  input: DeleteConversationInput,
): Promise<"cleared" | "ended"> {
  const { actorId, conversationId } = input;
  const content = { change: "ended", user_ids: [] } as const;
  const body = membershipBody(deps.digests, content);
  const id = newMessageId(deps.clock.now());
  const outcome = await endConversation(deps.db, conversationId, actorId, {
    id,
    body: body.bytes,
    digest: body.digest,
  });
  if (outcome.status === "dm") {
    await clear(deps, conversationId, actorId);
    return "cleared";
  }
  if (outcome.status !== "ended") throw new DomainError(REFUSALS[outcome.status]);
  deps.heads.forget(conversationId, outcome.membersVersion);
  const place = { seq: outcome.seq, createdAt: outcome.createdAt, expiresAt: null };
  const entry = entryAt(place, { kind: "membership", id, conversationId, senderId: actorId, content });
  input.deliver({ entry, stored: true, recipients: [], left: outcome.left });
  await empty(deps.db, conversationId, AbortSignal.timeout(EMPTYING_MS));
  return "ended";
}

const REFUSALS = {
  no_conversation: "conversation_not_found",
  no_owner: "use_leave",
  busy: "busy",
} as const satisfies Record<Exclude<EndOutcome["status"], "ended" | "dm">, ErrorCode>;

async function clear(deps: ConversationsDeps, id: ConversationId, account: AccountId): Promise<void> {
  const outcome = await clearDm(deps.db, id, account);
  if (outcome === "busy") throw new DomainError("busy");
  if (outcome !== "cleared") throw new DomainError("conversation_not_found");
}

/** Ends a conversation that the last member has left: nobody will read it again. */
export async function deleteDeserted(deps: ConversationsDeps, id: ConversationId): Promise<void> {
  if (!(await endDeserted(deps.db, id))) return deps.onFault("deserted conversation", new DomainError("busy"));
  await empty(deps.db, id, AbortSignal.timeout(EMPTYING_MS));
}

/** Goes on where an end was cut off; called by the keeper of the retention. */
export async function emptyEndings(sql: Sql, signal: AbortSignal): Promise<void> {
  for (const id of await listEndings(sql, ENDINGS_AT_ONCE)) await empty(sql, id, signal);
}

async function empty(sql: Sql, id: ConversationId, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !(await emptyEnded(sql, id, PLACES_AT_ONCE)));
}
