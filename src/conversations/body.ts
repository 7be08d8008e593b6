/**
 * Bodies as the log stores them: the content's fields as JSON in a fixed order, sealed where
 * the server encrypts. Beside each stands a keyed digest of what the sender sent, so that a
 * retry is known from another body even after the bytes are gone, and the digest tells
 * nobody without the key anything about them.
 */
import type { KeyedHash } from "../platform/keyed_hash.ts";
import type { Sealer } from "../platform/sealer.ts";
import type {
  ConversationChange,
  Deletion,
  Edit,
  Encryption,
  MembershipChange,
  MessageContent,
  MessageId,
  Notice,
  Reaction,
} from "../protocol/mod.ts";
import { DomainError } from "../protocol/mod.ts";
import { DIGEST_BYTES, EVENT_KINDS, type EventKind } from "./event_log.ts";
import type { Head } from "./head.ts";

/** What the log is given of one entry. */
export interface Body {
  readonly bytes: Uint8Array;
  /** 16 bytes. */
  readonly digest: Uint8Array;
}

/** What bodies are made with. */
interface BodyDeps {
  readonly sealer: Sealer;
  readonly digests: KeyedHash;
}

const UTF8 = new TextEncoder();

/** Refuses content whose fields do not fit the encryption: `encryption_mismatch`. */
export function checkContent(encryption: Encryption, content: MessageContent): void {
  const sealedByServer = encryption === "server";
  const fits = sealedByServer
    ? content.content !== undefined && content.encrypted_content === undefined && content.encryption_iv === undefined
    : content.encrypted_content !== undefined && content.content === undefined;
  if (fits) return;
  throw new DomainError("encryption_mismatch", {
    details: { encryption, expected: sealedByServer ? "content" : "encrypted_content" },
  });
}

/** The body of a message, sealed where the conversation's encryption is `server`. */
export function messageBody(
  deps: BodyDeps,
  head: Head,
  id: MessageId,
  content: MessageContent,
  expiresIn: number | null,
): Body {
  const plain = UTF8.encode(
    JSON.stringify({
      message_type: content.message_type,
      content: content.content,
      encrypted_content: content.encrypted_content,
      encryption_iv: content.encryption_iv,
      reply_to: content.reply_to,
    }),
  );
  return sealed(deps, head, id, plain, digestOf(deps.digests, "message", plain, expiresIn));
}

/** The body of an edit. Its digest leaves out what the message itself says, which the sender of the edit did not say. */
export function editBody(deps: BodyDeps, head: Head, id: MessageId, edit: Edit): Body {
  const said = [edit.message_id, edit.content, edit.encrypted_content, edit.encryption_iv];
  const digest = digestOf(deps.digests, "edit", UTF8.encode(JSON.stringify(said)), null);
  return sealed(deps, head, id, UTF8.encode(JSON.stringify(edit)), digest);
}

/** The body of a reaction, sealed as a message is. */
export function reactionBody(deps: BodyDeps, head: Head, id: MessageId, reaction: Reaction): Body {
  const { message_id, message_seq, emoji, change } = reaction;
  const plain = UTF8.encode(JSON.stringify({ message_id, message_seq, emoji, change }));
  return sealed(deps, head, id, plain, digestOf(deps.digests, "reaction", plain, null));
}

/** The body of a deletion; never sealed, like a membership change. */
export function deletionBody(digests: KeyedHash, { message_id, message_seq }: Deletion): Body {
  const plain = UTF8.encode(JSON.stringify({ message_id, message_seq }));
  return { bytes: plain, digest: digestOf(digests, "deletion", plain, null) };
}

/** The body of a membership change; it is never sealed, for it is the server's own knowledge. */
export function membershipBody(digests: KeyedHash, change: MembershipChange): Body {
  const plain = UTF8.encode(JSON.stringify({ change: change.change, user_ids: change.user_ids }));
  return { bytes: plain, digest: digestOf(digests, "membership", plain, null) };
}

/** The body of a change of the conversation; never sealed, for the server acts on it. */
export function changeBody(digests: KeyedHash, change: ConversationChange): Body {
  const { name, user_id, role, settings } = change;
  const plain = UTF8.encode(JSON.stringify({ name, user_id, role, settings }));
  return { bytes: plain, digest: digestOf(digests, "change", plain, null) };
}

/** The body of a notice; never sealed, like a membership change. */
export function noticeBody(digests: KeyedHash, notice: Notice): Body {
  const plain = UTF8.encode(
    JSON.stringify({ notice: notice.notice, user_id: notice.user_id, fingerprint: notice.fingerprint }),
  );
  return { bytes: plain, digest: digestOf(digests, "notice", plain, null) };
}

/** Reads the body of a message, an edit or a reaction back; `id` is the event's. */
export function openBody<Content>(
  sealer: Sealer,
  conversation: Pick<Head, "id" | "dataKey">,
  id: MessageId,
  bytes: Uint8Array,
): Content {
  const plain = conversation.dataKey === null ? bytes : sealer.open(conversation.dataKey, conversation.id, id, bytes);
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString());
}

function sealed({ sealer }: BodyDeps, head: Head, id: MessageId, plain: Uint8Array, digest: Uint8Array): Body {
  return { bytes: head.dataKey === null ? plain : sealer.seal(head.dataKey, head.id, id, plain), digest };
}

function digestOf(digests: KeyedHash, kind: EventKind, plain: Uint8Array, expiresIn: number | null): Uint8Array {
  return digests.digest(`${EVENT_KINDS[kind]} ${expiresIn ?? ""} `, plain).subarray(0, DIGEST_BYTES);
}
