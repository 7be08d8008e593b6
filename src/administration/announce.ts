/**
 * Announcements: what administrators say to everybody, in the public channel `announcements`. The channel and who
 * speaks in it are the server's own, with fixed ids (RFC 9562 section 5.8): so it exists once, whoever speaks first at
 * whichever node, and who is an administrator no more has nothing left in it to speak by. Who said what is in the audit log.
 */
import { type AccountDeps, ensureServerAccount } from "../accounts/mod.ts";
import { type ConversationsDeps, ensureServerChannel, type SentMessage, sendMessage } from "../conversations/mod.ts";
import { type AccountId, ANNOUNCEMENTS_SLUG, type ConversationId, type MessageId } from "../protocol/mod.ts";
import { record } from "./audit.ts";
import { requireAdministrator } from "./require_administrator.ts";

/** What announcing needs of the slices. */
export interface Announcer {
  readonly accounts: AccountDeps;
  readonly conversations: ConversationsDeps;
}

/** What is said, and by whom. */
export interface AnnounceInput {
  readonly actorId: AccountId;
  readonly id: MessageId;
  readonly content: string;
  /** Seconds until it is gone; `null`: it is kept. */
  readonly expiresIn: number | null;
}

const CRIER = "00000000-0000-8000-8000-000000000003" as AccountId;
const CHANNEL = "00000000-0000-8000-8000-000000000004" as ConversationId;

/**
 * Says something to everybody. Errors: `forbidden` for who is no administrator, `idempotency_conflict`, `conflict`,
 * `id_out_of_window`; retryable `busy`, `overloaded`, `unavailable`.
 */
export async function announce(deps: Announcer, input: AnnounceInput): Promise<SentMessage> {
  const { accounts, conversations } = deps;
  const { actorId, id, content, expiresIn } = input;
  await requireAdministrator(accounts.db, actorId);
  await ensureServerAccount(accounts, { id: CRIER, username: "server announcements" });
  await ensureServerChannel(conversations, {
    ...{ id: CHANNEL, ownerId: CRIER, name: "Announcements" },
    settings: { slug: ANNOUNCEMENTS_SLUG, isPublic: true, shared: true, openPosting: false },
  });
  await record(accounts.db, { actor: { kind: "account", id: actorId }, action: "announce", account: null });
  return sendMessage(conversations, {
    ...{ senderId: CRIER, conversationId: CHANNEL, id, expiresIn },
    content: { message_type: "text", content },
  });
}
