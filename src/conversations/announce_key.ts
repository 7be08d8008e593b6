/**
 * Telling peers that somebody's public key changed: a notice in the log of each of the account's
 * conversations, so that it stands between the messages it belongs between, and waits for devices
 * that are away.
 */
import { createHash } from "node:crypto";
import { type AccountId, type ConversationId, type MessageId, type Notice, uuidv7 } from "../protocol/mod.ts";
import { noticeBody } from "./body.ts";
import { deliveryOf, entryAt } from "./committed.ts";
import { listOpenConversations } from "./conversations_store.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";

/** Whose key it is, which, and since when (ms). */
export interface KeyChange {
  readonly accountId: AccountId;
  /** SHA-256 of the key's DER, in hex. */
  readonly fingerprint: string;
  readonly changedAt: number;
}

const AT_ONCE = 64;

/**
 * Appends the notice everywhere it is not yet, and hands each to `deliver`. Its ids follow from the
 * change, so repeating the call, after a crash in the middle, adds only what is missing.
 */
export async function announceKey(
  deps: ConversationsDeps,
  change: KeyChange,
  deliver: (delivery: Delivery) => void,
): Promise<void> {
  let beyond: ConversationId | null = null;
  for (;;) {
    const ids: readonly ConversationId[] = await listOpenConversations(deps.db, change.accountId, beyond, AT_ONCE);
    for (const delivery of await Promise.all(ids.map((id) => announceIn(deps, change, id)))) {
      if (delivery !== null) deliver(delivery);
    }
    if (ids.length < AT_ONCE) return;
    beyond = ids.at(-1) ?? null;
  }
}

async function announceIn(
  deps: ConversationsDeps,
  change: KeyChange,
  conversationId: ConversationId,
): Promise<Delivery | null> {
  const notice: Notice = { notice: "key_changed", user_id: change.accountId, fingerprint: change.fingerprint };
  const body = noticeBody(deps.digests, notice);
  const random = createHash("sha256").update(`${change.fingerprint} ${conversationId}`).digest();
  const id = uuidv7(change.changedAt, random) as MessageId;
  const outcome = await deps.log.append({
    id,
    conversationId,
    senderId: change.accountId,
    membersVersion: 0,
    kind: "notice",
    body: body.bytes,
    digest: body.digest,
    expireAfter: null,
    counts: false,
  });
  if (outcome.status !== "stored") {
    // Known: told before. Otherwise the account has left meanwhile, or the next call will tell.
    if (outcome.status !== "known" && outcome.status !== "not_member")
      deps.onFault("key notice", new Error(outcome.status));
    return null;
  }
  const entry = entryAt(outcome, { kind: "notice", id, conversationId, senderId: change.accountId, content: notice });
  return deliveryOf(deps, entry, outcome);
}
