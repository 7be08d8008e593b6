/** Changing a conversation: its name, how long messages live, and who has which role. Each is an entry of the log. */
import {
  type AccountId,
  type ConversationChange,
  type ConversationId,
  DomainError,
  type ErrorCode,
  type MessageId,
  newMessageId,
  type Role,
} from "../protocol/mod.ts";
import { changeBody } from "./body.ts";
import { type ChangeRefusal, type ChangeRequest, writeChange } from "./changes_store.ts";
import { deliveryOf, entryAt } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";

/** Who changes which conversation. */
export interface ChangeInput {
  readonly actorId: AccountId;
  readonly conversationId: ConversationId;
  /** The event's id, so that a retry is known; `null`: one is made here. */
  readonly id: MessageId | null;
}

/** What is to be different; `undefined` stays as it is. */
export interface UpdateConversationInput extends ChangeInput {
  readonly name: string | undefined;
  /** Seconds that messages live from now on; `null`: they are kept. */
  readonly retentionSeconds: number | null | undefined;
}

/**
 * Renames a group or says how long its messages live; gives what to deliver, `null` where nothing changed.
 * Errors: `conversation_not_found`, `forbidden`, `conflict`, `id_out_of_window`; retryable `busy`.
 */
export function updateConversation(
  deps: ConversationsDeps,
  { name, retentionSeconds, ...input }: UpdateConversationInput,
): Promise<Delivery | null> {
  const change: ConversationChange = {
    ...(name === undefined ? {} : { name }),
    ...(retentionSeconds === undefined ? {} : { settings: { retention_seconds: retentionSeconds } }),
  };
  const retention = retentionSeconds === undefined ? null : (retentionSeconds ?? 0);
  return append(deps, input, change, { name: name ?? null, retention });
}

/**
 * Gives a member another role; `owner` hands the conversation over. Gives what to deliver, `null` where the
 * member has the role already. Errors: as `updateConversation`, and `user_not_found`.
 */
export function setRole(
  deps: ConversationsDeps,
  { accountId, role, ...input }: ChangeInput & { readonly accountId: AccountId; readonly role: Role },
): Promise<Delivery | null> {
  return append(deps, input, { user_id: accountId, role }, { accountId, role });
}

const REFUSALS = {
  conflict: "conflict",
  no_conversation: "conversation_not_found",
  id_out_of_window: "id_out_of_window",
  forbidden: "forbidden",
  not_member: "user_not_found",
  busy: "busy",
} as const satisfies Record<Exclude<ChangeRefusal, "unchanged">, ErrorCode>;

type Fields<Of = ChangeRequest> = Of extends ChangeRequest ? Omit<Of, "conversationId" | "actorId" | "event"> : never;

async function append(
  deps: ConversationsDeps,
  { actorId, conversationId, id: given }: ChangeInput,
  content: ConversationChange,
  fields: Fields,
): Promise<Delivery | null> {
  const id = given ?? newMessageId(deps.clock.now());
  const body = changeBody(deps.digests, content);
  const event = { id, body: body.bytes, digest: body.digest };
  const outcome = await writeChange(deps.db, { ...fields, conversationId, actorId, event });
  if (outcome.status === "unchanged") return null;
  if (outcome.status !== "stored" && outcome.status !== "known") throw new DomainError(REFUSALS[outcome.status]);
  const entry = entryAt(outcome, { kind: "change", id, conversationId, senderId: actorId, content });
  return deliveryOf(deps, entry, outcome);
}
