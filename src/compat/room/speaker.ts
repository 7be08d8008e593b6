/**
 * Saying something in the room: an ordinary message of the room's log, stored before anybody is shown
 * it. Who says something for the first time is made a member first.
 */

import {
  addParticipant,
  type ConversationsDeps,
  type Delivery,
  type SendMessageInput,
  type SentMessage,
  sendMessage,
} from "../../conversations/mod.ts";
import { forgetOldest } from "../../platform/forget_oldest.ts";
import { type AccountId, DomainError, type MessageId } from "../../protocol/mod.ts";
import { KEEPER, ROOM } from "./keeper.ts";

/** What is said, and by whom. */
export interface Saying {
  readonly senderId: AccountId;
  readonly id: MessageId;
  readonly content: string;
}

/** What {@link createSpeaker} is given. */
export interface SpeakerOptions {
  readonly conversations: ConversationsDeps;
  /** Makes the room, unless it is there. */
  readonly make: () => Promise<void>;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
}

/** Members that are remembered; who is forgotten is looked up again. */
const MOST_MEMBERS = 10_000;

/**
 * Gives a function that stores what somebody says, and delivers it; what one person says at this node
 * is stored in the order in which it was said. It throws `idempotency_conflict`, `conflict`,
 * `id_out_of_window`, and the retryable `busy`, `overloaded` and `unavailable`.
 */
export function createSpeaker(options: SpeakerOptions): (saying: Saying) => Promise<SentMessage> {
  const { conversations, deliver } = options;
  const members = new Map<AccountId, Promise<void>>();

  function becomeMember(accountId: AccountId): Promise<void> {
    const known = members.get(accountId);
    if (known !== undefined) return known;
    const becoming = join(options, accountId).catch((error: unknown) => {
      members.delete(accountId);
      throw error;
    });
    members.set(accountId, becoming);
    forgetOldest(members, MOST_MEMBERS);
    return becoming;
  }

  return async ({ senderId, id, content }) => {
    const input: SendMessageInput = {
      ...{ senderId, conversationId: ROOM, id, expiresIn: null },
      content: { message_type: "text", content },
    };
    await becomeMember(senderId);
    const sent = await sendMessage(conversations, input).catch(async (error: unknown) => {
      if (!(error instanceof DomainError && error.code === "conversation_not_found")) throw error;
      members.delete(senderId); // they left the conversation meanwhile, and speak again
      await becomeMember(senderId);
      return sendMessage(conversations, input);
    });
    deliver(sent.delivery);
    return sent;
  };
}

async function join({ conversations, make, deliver }: SpeakerOptions, accountId: AccountId): Promise<void> {
  await make();
  const head = await conversations.heads.get(ROOM);
  if (head?.members.has(accountId) === true) return;
  try {
    const told = await addParticipant(conversations, { actorId: KEEPER, conversationId: ROOM, accountId });
    if ("entry" in told) deliver(told); // else the log says nothing of it
  } catch (error) {
    if (!(error instanceof DomainError && error.code === "already_member")) throw error;
  }
}
