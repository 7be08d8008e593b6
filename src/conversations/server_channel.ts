/** A channel of the server's own, under an id that is known beforehand. */
import { type AccountId, type ConversationId, DomainError, newMessageId } from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import type { ConversationsDeps } from "./deps.ts";
import { type ChannelSettings, insertConversation } from "./membership_store.ts";

/** What {@link ensureServerChannel} makes. */
export interface ServerChannel {
  readonly id: ConversationId;
  /** Owns it, and is its only member at first. */
  readonly ownerId: AccountId;
  readonly name: string;
  readonly settings: ChannelSettings;
}

/**
 * Makes a channel that the server encrypts, unless it is there; also where several nodes do so at once.
 * Throws the retryable `busy`.
 */
export async function ensureServerChannel(deps: ConversationsDeps, channel: ServerChannel): Promise<void> {
  const { id, ownerId, name, settings } = channel;
  if ((await deps.heads.get(id)) !== null) return;
  const body = membershipBody(deps.digests, { change: "created", user_ids: [ownerId] });
  const outcome = await insertConversation(deps.db, {
    ...{ id, type: "channel", encryption: "server", name, creatorId: ownerId, otherIds: [] },
    ...{ retentionSeconds: null, dmKey: null, dataKey: deps.sealer.newDataKey(id) },
    channel: settings,
    event: { id: newMessageId(deps.clock.now()), body: body.bytes, digest: body.digest },
  });
  if (outcome.status === "busy") throw new DomainError("busy");
  if (!("seq" in outcome)) throw new Error(`Make the channel ${id}: current value is ${outcome.status}`);
}
