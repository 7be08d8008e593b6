import { createHash } from "node:crypto";
import { type ConversationsDeps, createConversation, type Delivery, sendMessage } from "../../conversations/mod.ts";
import { type AccountId, DomainError, type LogEntry, type MessageId, newMessageId } from "../../protocol/mod.ts";
import { deleteOldRequests, reserveMessageId } from "./requests_store.ts";

/** How long a relayed message is kept: seven days. */
const RELAY_RETENTION_SECONDS = 7 * 24 * 60 * 60;

/** Bytes of a message once its base64 is decoded. */
const MAX_BYTES = 64 * 1024;
/** How long an Idempotency-Key stands for the same message. */
const KEY_MS = 24 * 60 * 60 * 1_000;
/** Visible characters, at most 255. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

/** What {@link sendRelayMessage} is asked. */
export interface SendRelayMessageInput {
  readonly senderId: AccountId;
  readonly recipientId: AccountId;
  /** Base64 (RFC 4648 section 4). */
  readonly encryptedData: string;
  /** The header of that name, or `null`. */
  readonly idempotencyKey: string | null;
}

/**
 * Sends a message to one account, in the dm of the two, which is made with the first one. What is
 * committed is delivered at once, so a dm that was made is told of also where the message is then refused.
 *
 * - With an Idempotency-Key the message's id is written down under it before the message is sent. So a
 *   repeat, also after a crash between the two, sends under the same id, and the log answers as it did at first.
 *
 * Throws `bad_request`, `payload_too_large`, `user_not_found`, `idempotency_conflict`, and what sending throws.
 */
export async function sendRelayMessage(
  context: { readonly conversations: ConversationsDeps; readonly deliver: (delivery: Delivery) => void },
  input: SendRelayMessageInput,
): Promise<LogEntry> {
  checkInput(input);
  const { conversations, deliver } = context;
  const { senderId, recipientId } = input;
  const dm = await createConversation(conversations, {
    creatorId: senderId,
    type: "dm",
    encryption: "opaque",
    name: null,
    participantIds: [recipientId],
    retentionSeconds: RELAY_RETENTION_SECONDS,
  });
  if (dm.delivery !== null) deliver(dm.delivery);
  const { entry, delivery } = await sendMessage(conversations, {
    senderId,
    conversationId: dm.id,
    id: await messageIdFor(conversations, input),
    content: { message_type: "text", encrypted_content: input.encryptedData },
    expiresIn: null,
  });
  deliver(delivery);
  return entry;
}

function checkInput(input: SendRelayMessageInput): void {
  const refuse = (field: string, text: string): never => {
    throw new DomainError("bad_request", { details: { fields: { [field]: text } } });
  };
  if (input.senderId === input.recipientId) refuse("recipient_id", "must be another user");
  if (input.idempotencyKey !== null && !IDEMPOTENCY_KEY.test(input.idempotencyKey)) {
    refuse("idempotency-key", "must be 1 to 255 visible characters");
  }
  const bytes = Buffer.from(input.encryptedData, "base64");
  if (bytes.toString("base64") !== input.encryptedData) refuse("encrypted_data", "must be base64");
  if (bytes.length > MAX_BYTES) throw new DomainError("payload_too_large", { details: { max_bytes: MAX_BYTES } });
}

async function messageIdFor(deps: ConversationsDeps, input: SendRelayMessageInput): Promise<MessageId> {
  const now = deps.clock.now();
  const fresh = newMessageId(now);
  if (input.idempotencyKey === null) return fresh;
  const digest = sha256(`${input.recipientId} ${input.encryptedData}`);
  const { senderId } = input;
  const request = {
    senderId,
    keyHash: sha256(input.idempotencyKey),
    digest,
    messageId: fresh,
    now,
    staleBefore: now - KEY_MS,
  };
  const reserved = await reserveMessageId(deps.db, request);
  if (!reserved.digest.equals(digest)) throw new DomainError("idempotency_conflict");
  if (reserved.messageId === fresh) await deleteOldRequests(deps.db, senderId, now - KEY_MS);
  return reserved.messageId;
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
