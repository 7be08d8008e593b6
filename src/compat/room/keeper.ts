/**
 * The room as a conversation, and its keeper: an account of the server's own that owns it, adds people
 * to it and reads it for everybody, from its first entry. Both have fixed ids (RFC 9562 section 5.8),
 * so that it exists once, whoever comes first on whichever node.
 */
import { type AccountDeps, ensureServerAccount } from "../../accounts/mod.ts";
import { type ConversationsDeps, ensureServerChannel } from "../../conversations/mod.ts";
import type { AccountId, ConversationId } from "../../protocol/mod.ts";

/** The keeper. */
export const KEEPER = "00000000-0000-8000-8000-000000000001" as AccountId;
/** The room. */
export const ROOM = "00000000-0000-8000-8000-000000000002" as ConversationId;

const KEEPER_NAME = "public room";
const ROOM_NAME = "Public room";

/** Gives a function that makes keeper and room unless they are there; it asks the database until that has succeeded once. */
export function createRoomMaker(accounts: AccountDeps, conversations: ConversationsDeps): () => Promise<void> {
  let made: Promise<void> | undefined;
  const make = async (): Promise<void> => {
    await ensureServerAccount(accounts, { id: KEEPER, username: KEEPER_NAME });
    await ensureServerChannel(conversations, {
      ...{ id: ROOM, ownerId: KEEPER, name: ROOM_NAME },
      settings: { slug: null, isPublic: false, shared: true, openPosting: true },
    });
  };
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined;
      throw error;
    });
    return made;
  };
}
