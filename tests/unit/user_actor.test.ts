/** A user actor and the sockets that come and go before it has its turn. */
import { expect, test } from "bun:test";
import { Actor } from "../../src/actor/actor.ts";
import { Scheduler } from "../../src/actor/scheduler.ts";
import { type AccountId, type DeviceId, jsonCodec, type SessionId, uuidv7 } from "../../src/protocol/mod.ts";
import { Session } from "../../src/realtime/session.ts";
import type { SessionDeps } from "../../src/realtime/session_deps.ts";
import { UserActor } from "../../src/realtime/user_actor.ts";
import type { UserActorDeps } from "../../src/realtime/user_actor_deps.ts";
import type { UserMessage } from "../../src/realtime/user_message.ts";
import { waitUntil } from "../support/wait.ts";

const principal = {
  accountId: uuidv7() as AccountId,
  deviceId: uuidv7() as DeviceId,
  sessionId: uuidv7() as SessionId,
  expiresAt: Date.now() + 60_000,
};

/**
 * Found by a frozen node: after the thaw it took sockets from its backlog that had ended long ago, in
 * one turn. Each left an attachment that nobody removed: the actor never ended, and five of them
 * locked the session out of the node [LIM-4].
 */
test("UserActor keeps nothing of a socket that ended before its attachment was handled", async () => {
  const never = new Promise<never>(() => {});
  const actorDeps = { register: () => never, unregister: () => {}, left: () => {}, now: () => 0 };
  const actor: Actor<AccountId, UserMessage> = new Actor(principal.accountId, {
    definition: {
      start: (account, self) => new UserActor(account, self, actorDeps as unknown as UserActorDeps),
      restart: (account, self) => new UserActor(account, self, actorDeps as unknown as UserActorDeps),
      gaveUp: () => {},
    },
    scheduler: new Scheduler(),
    ...{ mailbox: { items: 10, bytes: 1_000 }, restarts: 1, now: () => 0 },
    onFailure: (_, { error }) => {
      throw error;
    },
    onStopped: () => {},
  });
  const sessionDeps = {
    ...{
      codec: jsonCodec,
      heartbeatMs: 30_000,
      connectionTimeoutMs: 60_000,
      ordered: true,
      now: () => 0,
      date: () => Date.now(),
    },
    attach: (session: Session) => actor.tell({ type: "attach", session }) === "accepted",
    detach: (session: Session) => actor.settle({ type: "detach", session }),
    ...{ onClosed: () => {}, onGone: () => {} },
  } as unknown as SessionDeps;
  const port = {
    send: () => true,
    close: () => {},
    terminate: () => {},
    ping: () => {},

    buffered: () => 0,
  };
  const session = new Session(port, { address: "127.0.0.1", principal, expected: null }, sessionDeps);

  session.begin();
  session.gone();
  expect(actor.idle).toBe(false); // both wait for their turn
  await waitUntil("the actor may end", () => actor.idle);
});
