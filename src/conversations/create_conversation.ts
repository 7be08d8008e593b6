/** Making a conversation: a dm, which exists once per pair, encryption and retention, or a group. */
import { createHash } from "node:crypto";
import {
  type AccountId,
  ANNOUNCEMENTS_SLUG,
  type ConversationId,
  type ConversationType,
  DomainError,
  type Encryption,
  LIMITS,
  newMessageId,
  uuidv7,
} from "../protocol/mod.ts";
import { membershipBody } from "./body.ts";
import { entryAt, recipientsOf } from "./committed.ts";
import type { ConversationsDeps, Delivery } from "./deps.ts";
import { type ChannelSettings, insertConversation } from "./membership_store.ts";

/** A channel that is not told otherwise: its owners and admins post, who comes late reads what was before. */
const PLAIN_CHANNEL: ChannelSettings = { slug: null, isPublic: false, shared: true, openPosting: false };

/** A new conversation's id is random, so a conflict of it is a fault and no refusal. */
const REFUSALS = {
  no_account: "user_not_found",
  busy: "busy",
  conflict: "internal",
  blocked: "user_blocked",
  taken: "channel_taken",
} as const;

/** What is asked for. */
export interface CreateConversationInput {
  readonly creatorId: AccountId;
  readonly type: ConversationType;
  readonly encryption: Encryption;
  readonly name: string | null;
  /** The others; the creator may be among them. */
  readonly participantIds: readonly AccountId[];
  readonly retentionSeconds: number | null;
  /** Of a channel, and of nothing else; standard: {@link PLAIN_CHANNEL}. */
  readonly channel?: ChannelSettings | null;
}

/** The conversation, and what to deliver if it is new. */
export interface CreatedConversation {
  readonly id: ConversationId;
  readonly created: boolean;
  readonly delivery: Delivery | null;
}

/**
 * Creates a conversation; asking again for the same dm gives the same one.
 *
 * Errors: `bad_request`, `encryption_unsupported`, `channel_taken`, `user_not_found` with `details.user_ids`,
 * `user_blocked` where the creator blocks the other of a new dm, `too_many_participants`; retryable `busy`.
 */
export async function createConversation(
  deps: ConversationsDeps,
  input: CreateConversationInput,
): Promise<CreatedConversation> {
  const others = [...new Set(input.participantIds)].filter((id) => id !== input.creatorId);
  const channel = input.channel ?? (input.type === "channel" ? PLAIN_CHANNEL : null);
  checkShape(input, others);
  if (channel !== null) checkChannel(input, channel);
  await checkAccounts(deps, others);
  const now = deps.clock.now();
  const id = uuidv7(now) as ConversationId;
  const userIds = [input.creatorId, ...others];
  const change = { change: "created", user_ids: userIds } as const;
  const event = { id: newMessageId(now), ...membershipBody(deps.digests, change) };
  const outcome = await insertConversation(deps.db, {
    id,
    type: input.type,
    encryption: input.encryption,
    name: input.type === "dm" ? null : input.name,
    creatorId: input.creatorId,
    otherIds: others,
    retentionSeconds: input.retentionSeconds,
    dmKey: input.type === "dm" ? dmKeyOf(userIds, input.encryption, input.retentionSeconds) : null,
    dataKey: input.encryption === "server" ? deps.sealer.newDataKey(id) : null,
    channel,
    event: { id: event.id, body: event.bytes, digest: event.digest },
  });
  if (!("seq" in outcome)) throw new DomainError(REFUSALS[outcome.status]);
  if (outcome.status === "known") return { id: outcome.id, created: false, delivery: null };
  const conversationId = outcome.id;
  const first = {
    kind: "membership",
    id: event.id,
    conversationId,
    senderId: input.creatorId,
    content: change,
  } as const;
  const entry = entryAt(outcome, first);
  // Who blocks the creator is not told; asked always, so that it takes the same time.
  const recipients = input.type === "dm" ? recipientsOf(await deps.heads.get(outcome.id), entry) : userIds;
  return { id: outcome.id, created: true, delivery: { entry, stored: true, recipients } };
}

function checkShape(input: CreateConversationInput, others: readonly AccountId[]): void {
  if (input.encryption === "mls")
    throw new DomainError("encryption_unsupported", { details: { offered: ["opaque", "server"] } });
  if (input.type === "dm" && others.length !== 1) refuse("participant_ids", "must name exactly one other user in a dm");
  if (others.length + 1 > LIMITS.participants) {
    throw new DomainError("too_many_participants", { details: { most: LIMITS.participants } });
  }
}

function refuse(field: string, text: string): never {
  throw new DomainError("bad_request", { details: { fields: { [field]: text } } });
}

function checkChannel(
  { type, encryption, name }: CreateConversationInput,
  { slug, isPublic, shared }: ChannelSettings,
): void {
  if (type !== "channel") refuse("conversation_type", "must be channel for channel, public, posting or history");
  if (name === null) refuse("name", "must be there in a channel");
  if (slug === ANNOUNCEMENTS_SLUG) throw new DomainError("channel_taken"); // the server's own, also before it is made
  if (!isPublic) return;
  if (slug === null) refuse("channel", "must be there in a public channel");
  if (!shared) refuse("history", "must be shared in a public channel");
  // Whoever comes reads it: the server shows it to them.
  if (encryption !== "server") refuse("encryption", "must be server in a public channel");
}

/** Refuses accounts that do not exist, by name. */
export async function checkAccounts(deps: ConversationsDeps, ids: readonly AccountId[]): Promise<void> {
  const existing = await deps.existingAccounts(ids);
  const missing = ids.filter((id) => !existing.has(id));
  if (missing.length > 0) throw new DomainError("user_not_found", { details: { user_ids: missing.slice(0, 10) } });
}

/** The same for the same pair, whoever asks. */
function dmKeyOf(ids: readonly AccountId[], encryption: Encryption, retentionSeconds: number | null): Uint8Array {
  const text = [...[...ids].sort(), encryption, String(retentionSeconds)].join(" ");
  return createHash("sha256").update(text).digest();
}
