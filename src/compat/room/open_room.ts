/** Opens the room's sockets at this node. */
import { type AccountDeps, sessionEnds } from "../../accounts/mod.ts";
import type { ConversationsDeps, Delivery } from "../../conversations/mod.ts";
import type { Hub } from "../../realtime/mod.ts";
import { Hall } from "./hall.ts";
import { createRoomMaker, KEEPER } from "./keeper.ts";
import { Names } from "./names.ts";
import type { Room } from "./routes.ts";
import { createSpeaker } from "./speaker.ts";

/** What {@link openRoom} is told. */
export interface OpenRoomOptions {
  readonly hub: Hub;
  readonly accounts: AccountDeps;
  readonly conversations: ConversationsDeps;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
  readonly onFault: (error: unknown) => void;
}

/** See the head of this file. Nothing is stored or asked until somebody comes. */
export function openRoom(options: OpenRoomOptions): Room {
  const { hub, accounts, conversations, deliver, onFault } = options;
  const names = new Names(accounts);
  const make = createRoomMaker(accounts, conversations);
  const say = createSpeaker({ conversations, make, deliver });
  const hall = hub.add(
    KEEPER,
    (ports) =>
      new Hall({
        ...{ ports, conversations, names, make, say, onFault },
        sessionEnds: (ids) => sessionEnds(accounts, ids),
        date: () => conversations.clock.now(),
      }),
  );
  return { hall, names, make, [Symbol.asyncDispose]: () => hall[Symbol.asyncDispose]() };
}
