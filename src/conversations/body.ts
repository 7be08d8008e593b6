/**
 * Bodies as the log stores them: the content's fields as JSON in a fixed order, sealed where
 * the server encrypts. Beside each stands a keyed digest of what the sender sent, so that a
 * retry is known from another body even after the bytes are gone, and the digest tells
 * nobody without the key anything about them.
 */
import type { KeyedHash } from "../platform/keyed_hash.ts";
import type { Encryption, MembershipChange, MessageContent, MessageId, Notice } from "../protocol/mod.ts";
import { DomainError } from "../protocol/mod.ts";
import { DIGEST_BYTES, EVENT_KINDS, type EventKind } from "./event_log.ts";
import type { Head } from "./head.ts";
import type { Sealer } from "./sealer.ts";

/** What the log is given of one entry. */
export interface Body {
  readonly bytes: Uint8Array;
  /** 16 bytes. */
  readonly digest: Uint8Array;
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
  deps: { readonly sealer: Sealer; readonly digests: KeyedHash },
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
  const digest = digestOf(deps.digests, "message", plain, expiresIn);
  if (head.dataKey === null) return { bytes: plain, digest };
  return { bytes: deps.sealer.seal(head.dataKey, head.id, id, plain), digest };
}

/** The body of a membership change; it is never sealed, for it is the server's own knowledge. */
export function membershipBody(digests: KeyedHash, change: MembershipChange): Body {
  const plain = UTF8.encode(JSON.stringify({ change: change.change, user_ids: change.user_ids }));
  return { bytes: plain, digest: digestOf(digests, "membership", plain, null) };
}

/** The body of a notice; never sealed, like a membership change. */
export function noticeBody(digests: KeyedHash, notice: Notice): Body {
  const plain = UTF8.encode(
    JSON.stringify({ notice: notice.notice, user_id: notice.user_id, fingerprint: notice.fingerprint }),
  );
  return { bytes: plain, digest: digestOf(digests, "notice", plain, null) };
}

/** Reads a message's body back. */
export function openMessageBody(
  sealer: Sealer,
  conversation: Pick<Head, "id" | "dataKey">,
  id: MessageId,
  bytes: Uint8Array,
): MessageContent {
  const plain = conversation.dataKey === null ? bytes : sealer.open(conversation.dataKey, conversation.id, id, bytes);
  return JSON.parse(Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength).toString());
}

function digestOf(digests: KeyedHash, kind: EventKind, plain: Uint8Array, expiresIn: number | null): Uint8Array {
  return digests.digest(`${EVENT_KINDS[kind]} ${expiresIn ?? ""} `, plain).subarray(0, DIGEST_BYTES);
}
