/**
 * Bodies as the log stores them: the content's fields as JSON in a fixed order, sealed where
 * the server encrypts. Beside each stands a keyed digest of what the sender sent, so that a
 * retry is known from another body even after the bytes are gone, and the digest tells
 * nobody without the key anything about them.
 */
import { createHmac } from "node:crypto";
import type { Encryption, MembershipChange, MessageContent, MessageId, Notice } from "../protocol/mod.ts";
import { DomainError } from "../protocol/mod.ts";
import { EVENT_KINDS, type EventKind } from "./event_log.ts";
import type { Head } from "./head.ts";
import type { Sealer } from "./sealer.ts";

/** What the log is given of one entry. */
export interface Body {
  readonly bytes: Uint8Array;
  /** 16 bytes. */
  readonly digest: Uint8Array;
}

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
  deps: { readonly sealer: Sealer; readonly digestKey: Uint8Array },
  head: Head,
  id: MessageId,
  content: MessageContent,
  expiresIn: number | null,
): Body {
  const plain = Buffer.from(
    JSON.stringify({
      message_type: content.message_type,
      content: content.content,
      encrypted_content: content.encrypted_content,
      encryption_iv: content.encryption_iv,
      reply_to: content.reply_to,
    }),
  );
  const digest = digestOf(deps.digestKey, "message", plain, expiresIn);
  if (head.dataKey === null) return { bytes: plain, digest };
  return { bytes: deps.sealer.seal(head.dataKey, head.id, id, plain), digest };
}

/** The body of a membership change; it is never sealed, for it is the server's own knowledge. */
export function membershipBody(digestKey: Uint8Array, change: MembershipChange): Body {
  const plain = Buffer.from(JSON.stringify({ change: change.change, user_ids: change.user_ids }));
  return { bytes: plain, digest: digestOf(digestKey, "membership", plain, null) };
}

/** The body of a notice; never sealed, like a membership change. */
export function noticeBody(digestKey: Uint8Array, notice: Notice): Body {
  const plain = Buffer.from(
    JSON.stringify({ notice: notice.notice, user_id: notice.user_id, fingerprint: notice.fingerprint }),
  );
  return { bytes: plain, digest: digestOf(digestKey, "notice", plain, null) };
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

function digestOf(key: Uint8Array, kind: EventKind, plain: Uint8Array, expiresIn: number | null): Uint8Array {
  const digest = createHmac("sha256", key)
    .update(`${EVENT_KINDS[kind]} ${expiresIn ?? ""} `)
    .update(plain)
    .digest();
  return digest.subarray(0, 16);
}
