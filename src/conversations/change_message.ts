/**
 * Changing what was said: editing, deleting for all, reacting. Each appends an entry of its own to the
 * log, under the head's lock, and what is shown of the message follows from those entries.
 *
 * Who may not see a message learns nothing of it: an id that is unknown, of a conversation that is not the
 * caller's, or of a message that is withheld from the caller is `message_not_found`.
 */
import {
  type AccountId,
  type ConversationId,
  type Deletion,
  DomainError,
  type Edit,
  type Encryption,
  type ErrorCode,
  LIMITS,
  type LogEntry,
  type MessageContent,
  type MessageId,
  newMessageId,
} from "../protocol/mod.ts";
import { type Body, checkContent, deletionBody, editBody, openBody, reactionBody } from "./body.ts";
import { deliveryOf, entryAt } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";
import type { Head } from "./head.ts";
import {
  type ChangeOutcome,
  type ChangeRefusal,
  type ChangeRequest,
  changeMessage,
  findMessage,
  type MessageRow,
} from "./message_changes_store.ts";

/** Which message, and who changes it. */
interface Change {
  readonly actorId: AccountId;
  readonly messageId: MessageId;
}

/** What an edit says. */
export interface EditInput extends Change {
  /** The edit's own id. */
  readonly id: MessageId;
  readonly content: Pick<MessageContent, "content" | "encrypted_content" | "encryption_iv">;
}

/**
 * Edits a message of the caller's own; gives it as it is now. Its type, and what it answers, stay.
 *
 * Errors: `message_not_found`, `forbidden`, `gone`, `encryption_mismatch`, `idempotency_conflict`,
 * `id_out_of_window`; retryable `busy`.
 */
export async function editMessage(
  deps: ConversationsDeps,
  input: EditInput,
): Promise<{ readonly message: LogEntry; readonly delivery: Delivery }> {
  const { message, head } = await findTarget(deps, input);
  if (message.senderId !== input.actorId) throw new DomainError("forbidden");
  refuseMls(head.encryption);
  const first = contentOf(deps, head, message);
  const content: MessageContent = { ...first, content: undefined, encrypted_content: undefined, ...input.content };
  checkContent(head.encryption, content);
  const edit: Edit = { message_id: message.id, message_seq: message.seq, ...content };
  const body = editBody(deps, head, input.id, edit);
  const placed = await commit(
    deps,
    { message, actorId: input.actorId, kind: "edit", reaction: null, id: input.id },
    body,
  );
  const entry = entryAt(placed, { kind: "edit", id: input.id, ...by(input, message), content: edit });
  return {
    message: {
      ...{ kind: "message", id: message.id, conversationId: message.conversationId, seq: message.seq },
      ...{ senderId: message.senderId, createdAt: message.at, expiresAt: message.expiresAt },
      content: { ...content, edit_id: input.id, edited_at: new Date(placed.createdAt).toISOString() },
    },
    delivery: await deliveryOf(deps, entry, placed),
  };
}

/**
 * Deletes a message for everybody: one's own, or as owner or admin of a group or channel. Again is the same.
 * Gives what to deliver, `null` where it was gone before.
 *
 * Errors: `message_not_found`, `forbidden`; retryable `busy`.
 */
export async function deleteMessage(deps: ConversationsDeps, input: Change): Promise<Delivery | null> {
  const { message } = await findTarget(deps, input);
  const deletion: Deletion = { message_id: message.id, message_seq: message.seq };
  const id = newMessageId(deps.clock.now());
  const body = deletionBody(deps.digests, deletion);
  const placed = await commit(deps, { message, actorId: input.actorId, kind: "deletion", reaction: null, id }, body);
  if (placed.status === "unchanged") return null;
  const entry = entryAt(placed, { kind: "deletion", id, ...by(input, message), content: deletion });
  return deliveryOf(deps, entry, placed);
}

/** A reaction that is to be there, or not to be there any more. */
export interface ReactInput extends Change {
  /** Where the message is; `null`: wherever it is. */
  readonly conversationId: ConversationId | null;
  /** The reaction's own id. */
  readonly id: MessageId;
  readonly emoji: string;
  readonly change: "added" | "removed";
}

/** What became of a reaction: where it stands in the log, and what to deliver where that is new. */
export interface ReactResult {
  readonly conversationId: ConversationId;
  readonly id: MessageId;
  readonly seq: number;
  /** Milliseconds since the epoch, both. */
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly delivery: Delivery | null;
}

/**
 * Reacts to a message, or takes that back. Where it is so already nothing is stored, and the place is that of
 * the entry that said so, else of the message.
 *
 * Errors: `message_not_found`, `forbidden`, `gone`, `too_many_reactions`, `encryption_mismatch`,
 * `idempotency_conflict`, `id_out_of_window`; retryable `busy`.
 */
export async function react(deps: ConversationsDeps, input: ReactInput): Promise<ReactResult> {
  const { actorId, id, emoji, change } = input;
  const { message, head } = await findTarget(deps, input, input.conversationId);
  refuseMls(head.encryption);
  const reaction = { message_id: message.id, message_seq: message.seq, emoji, change };
  const body = reactionBody(deps, head, id, reaction);
  const wanted = { emoji, present: change === "added", most: LIMITS.reactionsPerAccount };
  const placed = await commit(deps, { message, actorId, kind: "reaction", reaction: wanted, id }, body);
  const entry = entryAt(placed, { kind: "reaction", id, ...by(input, message), content: reaction });
  const { seq, createdAt, expiresAt } = placed;
  const delivery = placed.status === "unchanged" ? null : await deliveryOf(deps, entry, placed);
  return { conversationId: message.conversationId, id, seq, createdAt, expiresAt, delivery };
}

/** A message that somebody may see, and its conversation; else `message_not_found`. */
export async function findTarget(
  deps: ConversationsDeps,
  of: Change,
  conversationId: ConversationId | null = null,
): Promise<{ readonly message: MessageRow; readonly head: Head }> {
  const message = await findMessage(deps.db, of.messageId, of.actorId, conversationId);
  const head = message === null ? null : await deps.heads.get(message.conversationId);
  if (message === null || head === null) throw new DomainError("message_not_found");
  return { message, head };
}

/** There, what changes a message is inside the ciphertext of another. */
function refuseMls(encryption: Encryption): void {
  if (encryption === "mls") throw new DomainError("encryption_mismatch", { details: { encryption } });
}

/** What a message says of itself beside its text; nothing where it is gone. */
function contentOf(deps: ConversationsDeps, head: Head, message: MessageRow): MessageContent {
  if (message.body === null) return { message_type: "text" };
  const { message_type, reply_to } = openBody<MessageContent>(deps.sealer, head, message.id, message.body);
  return { message_type, reply_to };
}

const REFUSALS = {
  conflict_body: "idempotency_conflict",
  no_message: "message_not_found",
  id_out_of_window: "id_out_of_window",
  forbidden: "forbidden",
  gone: "gone",
  too_many: "too_many_reactions",
  busy: "busy",
} as const satisfies Record<ChangeRefusal, ErrorCode>;

type Placed = Extract<ChangeOutcome, { readonly seq: number }>;

async function commit(
  deps: ConversationsDeps,
  request: Omit<ChangeRequest, "body" | "digest">,
  body: Body,
): Promise<Placed> {
  const outcome = await changeMessage(deps.db, { ...request, body: body.bytes, digest: body.digest });
  if (!("seq" in outcome)) throw new DomainError(REFUSALS[outcome.status]);
  return outcome;
}

function by({ actorId }: Change, { conversationId }: MessageRow) {
  return { conversationId, senderId: actorId };
}
