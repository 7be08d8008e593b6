/**
 * Sending one message: from what the sender said to a committed entry and those who get it.
 *
 * Everything up to the append is one synchronous step once the head is known, so that two
 * sends of one sender reach the log in the order they were made.
 */
import {
  type AccountId,
  type ConversationId,
  DomainError,
  type ErrorCode,
  type LogEntry,
  type MessageContent,
  type MessageId,
} from "../protocol/mod.ts";
import { checkContent, messageBody } from "./body.ts";
import { recipientsOf } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";
import type { AppendOutcome, AppendRequest } from "./event_log.ts";
import type { Head } from "./head.ts";

/** What is sent, by whom and where. */
export interface SendMessageInput {
  readonly senderId: AccountId;
  readonly conversationId: ConversationId;
  readonly id: MessageId;
  readonly content: MessageContent;
  /** Seconds until it expires; `null` for the conversation's retention. */
  readonly expiresIn: number | null;
}

/** A message that is committed. */
export interface SentMessage {
  readonly entry: LogEntry;
  readonly delivery: Delivery;
}

/** What came of a message: it is committed, or why it is not. */
export type SendResult = SentMessage | { readonly error: unknown };

/**
 * Stores a message and says whom to deliver it to, once it is committed. `done` is called once, in the
 * step in which that is known, perhaps before `submitMessage` returns; it must neither throw nor submit. `refusal`
 * is asked in the step in which the log is given the message: why it must not go on after all.
 *
 * Errors: `conversation_not_found`, `forbidden` for a member who may not post, `encryption_mismatch`, `idempotency_conflict`, `conflict`,
 * `id_out_of_window`; retryable `busy`, `overloaded`, `unavailable`; `internal` where the log failed.
 */
export function submitMessage(
  deps: ConversationsDeps,
  input: SendMessageInput,
  done: (result: SendResult) => void,
  refusal: () => DomainError | null = () => null,
): void {
  deps.heads.use(input.conversationId, (answer) => {
    if ("error" in answer) return done(answer);
    // While the head was loaded the log may have refused what was sent before.
    const refused = refusal();
    if (refused !== null) return done({ error: refused });
    if (answer.head === null) return done({ error: new DomainError("conversation_not_found") });
    append(deps, answer.head, input, done);
  });
}

/** The same for callers to whom order does not matter; throws the error. */
export function sendMessage(deps: ConversationsDeps, input: SendMessageInput): Promise<SentMessage> {
  return new Promise((resolve, reject) => {
    submitMessage(deps, input, (result) => ("error" in result ? reject(result.error) : resolve(result)));
  });
}

function append(
  deps: ConversationsDeps,
  head: Head,
  input: SendMessageInput,
  done: (result: SendResult) => void,
): void {
  let request: AppendRequest;
  try {
    request = requestOf(deps, head, input);
  } catch (error) {
    return done({ error });
  }
  deps.log.submit(request, (outcome) => conclude(deps, head, input, outcome, done));
}

function requestOf(deps: ConversationsDeps, head: Head, input: SendMessageInput): AppendRequest {
  const checked = head.members.get(input.senderId)?.canSend === true;
  try {
    checkContent(head.encryption, input.content);
  } catch (error) {
    // Who is no member learns nothing of the conversation, not even its encryption.
    throw head.members.has(input.senderId) ? error : new DomainError("conversation_not_found");
  }
  const body = messageBody(deps, head, input.id, input.content, input.expiresIn);
  return {
    id: input.id,
    conversationId: head.id,
    senderId: input.senderId,
    // Version 0 fits no head: then the member row decides, for this node may not know of a join yet.
    membersVersion: checked ? head.membersVersion : 0,
    kind: "message",
    body: body.bytes,
    digest: body.digest,
    expireAfter: input.expiresIn,
    counts: true,
  };
}

const REFUSALS = {
  conflict_body: "idempotency_conflict",
  conflict_id: "conflict",
  not_member: "conversation_not_found",
  no_conversation: "conversation_not_found",
  id_out_of_window: "id_out_of_window",
  busy: "busy",
  overloaded: "overloaded",
  unavailable: "unavailable",
  failed: "internal",
} as const satisfies Record<string, ErrorCode>;

function conclude(
  deps: ConversationsDeps,
  head: Head,
  input: SendMessageInput,
  outcome: AppendOutcome,
  done: (result: SendResult) => void,
): void {
  if (outcome.status === "conflict_id" || outcome.status === "id_out_of_window") {
    return refuseToMember(deps, head, input.senderId, REFUSALS[outcome.status], done);
  }
  const member = outcome.status === "not_member" ? head.members.get(input.senderId) : undefined;
  // By what is known here they may post, and the log says no: what is known is old.
  if (member?.canSend === true) return refuseToMember(deps, head, input.senderId, "busy", done);
  if (member !== undefined) return done({ error: new DomainError("forbidden") }); // of a channel, who may only read
  if (outcome.status !== "stored" && outcome.status !== "known") {
    return done({ error: new DomainError(REFUSALS[outcome.status]) });
  }
  const entry: LogEntry = {
    kind: "message",
    id: input.id,
    conversationId: input.conversationId,
    seq: outcome.seq,
    senderId: input.senderId,
    createdAt: outcome.createdAt,
    expiresAt: outcome.expiresAt,
    content: input.content,
  };
  const stored = outcome.status === "stored";
  const sent = (current: Head | null) =>
    done({ entry, delivery: { entry, stored, recipients: recipientsOf(current, entry) } });
  if (head.membersVersion === outcome.membersVersion) return sent(head);
  deps.heads.atLeast(head.id, outcome.membersVersion).then(sent, (error) => {
    // Stored, but this node cannot learn for whom: the receipt stands, and recipients find it in the log.
    deps.onFault("recipients", error);
    sent(null);
  });
}

/** The log judges an id before it judges the sender; who is no member learns nothing of the conversation [MSG-8]. */
function refuseToMember(
  deps: ConversationsDeps,
  head: Head,
  senderId: AccountId,
  code: ErrorCode,
  done: (result: SendResult) => void,
): void {
  // Looks again, whatever is known.
  deps.heads.atLeast(head.id, head.membersVersion + 1).then(
    (current) => {
      const member = current?.members.get(senderId);
      const refused = member?.canSend === true ? code : member === undefined ? "conversation_not_found" : "forbidden";
      done({ error: new DomainError(refused) });
    },
    (error) => done({ error }),
  );
}
