/** What each frame of an authenticated socket means: one short clause a type. */
import {
  type ConversationsDeps,
  findVisibleTop,
  type Head,
  isBlocked,
  react,
  requireMember,
  type SendMessageInput,
  type SendResult,
} from "../conversations/mod.ts";
import type { PutInInboxInput } from "../devices/mod.ts";
import {
  type AccountId,
  type ClientFrame,
  type Codec,
  type ConversationId,
  contentOf,
  type DeviceStatus,
  DomainError,
  LIMITS,
  type ServerFrame,
} from "../protocol/mod.ts";
import type { SignalOptions } from "./bus.ts";
import type { SendPlace } from "./send_order.ts";
import type { Session } from "./session.ts";
import type { UserActor } from "./user_actor.ts";
import type { Attachment } from "./user_actor_deps.ts";

/** What dispatch needs. */
export interface DispatchDeps {
  readonly conversations: ConversationsDeps;
  readonly codec: Codec;
  /** Sends a message; see `submitMessage`. */
  readonly sendMessage: (
    input: SendMessageInput,
    done: (result: SendResult) => void,
    refusal: () => DomainError | null,
  ) => void;
  /** Sends a frame to whoever of these is connected. */
  readonly signal: (to: readonly AccountId[], text: string, options?: SignalOptions) => void;
  /** Puts something into inboxes, and tells their devices. */
  readonly handOver: (input: PutInInboxInput) => Promise<void>;
  /** A device says how its person is. */
  readonly deviceIs: (session: Session, status: DeviceStatus) => void;
  /** Whether somebody gives read marks. */
  readonly givesMarks: (account: AccountId) => Promise<boolean>;
}

/** Handles one frame; what takes time comes back to the actor as a message. */
export function dispatch(
  deps: DispatchDeps,
  actor: UserActor,
  attachment: Attachment,
  frame: ClientFrame,
  place: SendPlace | null,
): void {
  const { session, feed } = attachment;
  switch (frame.type) {
    case "message": {
      if (place === null) throw new Error("Number a message before it is dispatched");
      const { id, conversation_id: conversationId, expires_in: expiresIn = null } = frame;
      const content = contentOf(frame);
      return actor.send(attachment, frame, place, (done, refusal) =>
        deps.sendMessage({ senderId: actor.account, conversationId, id, content, expiresIn }, done, refusal),
      );
    }
    case "reaction":
      return actor.react(attachment, frame, () =>
        react(deps.conversations, {
          ...{ actorId: actor.account, messageId: frame.message_id, conversationId: frame.conversation_id },
          ...{ id: frame.id, emoji: frame.emoji, change: frame.change },
        }),
      );
    case "message_ack": {
      const known = feed?.acknowledge(frame.conversation_id, frame.seq) ?? false;
      if (!known) session.refuse(frame, new DomainError("ack_ahead"));
      return;
    }
    case "message_read":
      return settle(actor, attachment, frame, markRead(deps, actor, attachment, frame.conversation_id, frame.seq));
    case "typing_start":
    case "typing_stop":
      return settle(actor, attachment, frame, tellOfTyping(deps, actor, frame));
    case "key_exchange":
      return actor.answer(attachment, frame, () => handOver(deps, session, frame));
    case "key_exchange_ack":
      return actor.acknowledgeInbox(attachment, frame);
    case "presence_update":
      return deps.deviceIs(session, frame.status);
    case "ping":
      return session.sendFrame({ type: "pong", ...(frame.ref === undefined ? {} : { ref: frame.ref }) });
    case "resume":
      return actor.resume(attachment, frame);
    case "authenticate":
      return; // the session handles it before it comes here
    default:
      frame satisfies never;
  }
}

async function handOver(
  deps: DispatchDeps,
  { principal: sender }: Session,
  frame: Extract<ClientFrame, { type: "key_exchange" }>,
): Promise<ServerFrame> {
  const { ref, id, to_user_id: accountId, to_session_id: sessionId = null, payload } = frame;
  const body = Buffer.from(payload, "base64");
  await deps.handOver({ sender, accountId, sessionId, kind: "key_exchange", id, body });
  return { type: "key_exchange_stored", ...(ref === undefined ? {} : { ref }), id };
}

/** Work without an answer of its own: only a refusal is told. */
function settle(actor: UserActor, { session }: Attachment, frame: ClientFrame, work: Promise<void>): void {
  actor.self.pipe(
    work,
    () => ({ type: "done" }),
    (error) => ({ type: "refused", session, frame, error }),
  );
}

async function markRead(
  deps: DispatchDeps,
  actor: UserActor,
  attachment: Attachment,
  conversationId: ConversationId,
  seq: number,
): Promise<void> {
  const accountId = actor.account;
  const sent = attachment.feed?.sentUpTo(conversationId);
  if (sent === undefined || seq > sent) {
    // Read over HTTP, or by another device: the log says whether there is such an entry.
    const top = await findVisibleTop(deps.conversations, accountId, conversationId);
    if (top === null) throw new DomainError("conversation_not_found");
    if (seq > top) throw new DomainError("ack_ahead");
  }
  const wait = actor.signals.wait();
  if (wait > 0) throw new DomainError("rate_limited", { details: { retry_after_ms: wait } });
  const before = actor.signals.noteRead(conversationId, seq);
  if (before === null) return;
  // In the step in which it came, so that whoever is answered afterwards finds it.
  deps.conversations.cursors.read({ accountId, conversationId, seq });
  const frame = { type: "message_read", conversation_id: conversationId, user_id: accountId, seq } as const;
  // The person's own other devices are told whomever else it concerns: what is read on one is read on all.
  deps.signal([accountId], deps.codec.encode(frame), { except: attachment.session.principal.sessionId });
  try {
    if (!(await deps.givesMarks(accountId))) return;
    tellOthers(deps, actor, await requireMember(deps.conversations, accountId, conversationId), frame);
  } catch (error) {
    if (error instanceof DomainError) throw error; // no member: nothing was taken
    // It is taken, and stands on pages: it is not refused because others could not be told.
    actor.signals.untold(conversationId, seq, before);
    deps.conversations.onFault("read mark", error);
  }
}

async function tellOfTyping(
  deps: DispatchDeps,
  actor: UserActor,
  frame: Extract<ClientFrame, { type: "typing_start" | "typing_stop" }>,
): Promise<void> {
  const { type, conversation_id } = frame;
  const head = await requireMember(deps.conversations, actor.account, conversation_id);
  // Asked where it is counted, in one step: frames that came together would all pass before the first counts.
  if (actor.signals.wait() > 0) return;
  tellOthers(deps, actor, head, { type, conversation_id, user_id: actor.account });
}

function tellOthers(deps: DispatchDeps, actor: UserActor, head: Head, frame: ServerFrame): void {
  // In a large channel it would be a frame to each for what concerns nobody.
  if (head.type === "channel" && head.members.size > LIMITS.contactGroup) return;
  const others = [...head.members.keys()].filter((member) => member !== actor.account);
  // Counted all the same: how much one may still tell must not show who listens.
  actor.signals.count(others.length);
  if (isBlocked(head)) return;
  deps.signal(others, deps.codec.encode(frame), frame.type === "message_read" ? { readBy: actor.account } : {});
}
