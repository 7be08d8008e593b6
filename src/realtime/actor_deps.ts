/** What user actors are given of a node: use cases, what tells others, and what is read for their sockets. */
import { submitMessage } from "../conversations/mod.ts";
import type { InboxEntry, InboxPlace } from "../devices/mod.ts";
import { Batcher } from "../platform/batcher.ts";
import { steadyNow } from "../platform/clock.ts";
import { type Codec, DomainError, type SessionEnd, type SessionId } from "../protocol/mod.ts";
import type { DeliveredMarks } from "./delivered_marks.ts";
import { type DispatchDeps, dispatch } from "./dispatch.ts";
import type { HubOptions } from "./hub_options.ts";
import type { Presence } from "./presence.ts";
import type { Router } from "./router.ts";
import type { Session } from "./session.ts";
import type { StageTimes } from "./stage_times.ts";
import type { UserActorDeps } from "./user_actor_deps.ts";

/** What {@link actorDepsOf} needs of the hub. */
export interface ActorPorts {
  readonly codec: Codec;
  readonly router: Router;
  readonly presence: Presence;
  readonly delivered: DeliveredMarks;
  readonly stages: StageTimes;
  /** Counts a read among those under way, until it is over. */
  counted<T>(read: Promise<T>): Promise<T>;
  /** Tells a socket in a moment that its time is over. */
  wait(session: Session): void;
}

/** Inboxes read by one statement: half a megabyte each where all are as full as may be. */
const INBOXES_AT_ONCE = 64;

/** Ties user actors to the use cases and to the rest of the spine. */
export function actorDepsOf(options: HubOptions, ports: ActorPorts): UserActorDeps {
  const { bus, node, conversations, inboxes, observer, clock } = options;
  const { codec, router, presence, delivered, stages } = ports;
  const dispatchDeps: DispatchDeps = {
    conversations,
    codec,
    sendMessage: (input, done, refusal) => submitMessage(conversations, input, done, refusal),
    signal: (to, text, options) => router.signal(to, text, options),
    handOver: async (input) => {
      const reached = await inboxes.put(input);
      router.inboxFilled(input.accountId);
      if (reached === "some") throw new DomainError("inbox_full");
    },
    deviceIs: (session, status) => presence.deviceIs(session.principal.accountId, session, status),
    givesMarks: async (account) => (await presence.settingsFor(account)).readReceipts,
  };
  const handle = options.dispatch ?? dispatch;
  const ends = new Batcher<SessionId, SessionEnd | null>(
    async (ids) => {
      const ended = await options.sessionEnds(ids);
      return ids.map((id) => ended.get(id) ?? null);
    },
    { most: 1_000, waiting: 100_000 },
  );
  const inboxReads = new Batcher<InboxPlace, readonly InboxEntry[]>((places) => inboxes.read(places), {
    ...{ most: INBOXES_AT_ONCE, waiting: 100_000 },
  });
  return {
    register: async (account) => {
      await Promise.all([bus.register(node, account), presence.expect(account)]);
    },
    unregister: (account) => {
      bus.unregister(node, account).catch((error) => observer.fault("directory", error));
    },
    dispatch: (actor, attachment, frame, place) => handle(dispatchDeps, actor, attachment, frame, place),
    ended: ({ principal: { sessionId } }) => ends.ask(sessionId),
    list: ({ principal: { deviceId, accountId } }, beyond) =>
      ports.counted(conversations.pages.behind({ deviceId, accountId, beyond })),
    read: ({ principal: { deviceId, accountId } }, conversationId, after, afterAt) =>
      conversations.pages.page({ deviceId, accountId, conversationId, after, afterAt }),
    readInbox: ({ principal: { deviceId } }, after) => ports.counted(inboxReads.ask({ deviceId, after })),
    acknowledgeInbox: ({ principal: { deviceId } }, seq) => inboxes.acknowledge(deviceId, seq),
    acknowledged: ({ principal: { deviceId, accountId } }, conversationId, seq, at, others) => {
      conversations.cursors.acknowledge({ deviceId, accountId, conversationId, seq, at });
      if (others) delivered.add(accountId, conversationId, seq);
    },
    fed: (session) => presence.came(session.principal.accountId, session),
    caughtUp: (session) => presence.caughtUp(session.principal.accountId, session),
    readReceipts: (account) => presence.settingsOf(account)?.readReceipts ?? false,
    settingsChanged: (account) => presence.settingsChanged(account),
    deliver: (delivery) => router.deliver(delivery),
    kept: router.kept,
    wait: (session) => ports.wait(session),
    left: (account) => {
      void conversations.cursors.flush();
      options.onLeft?.(account);
    },
    stages,
    onFault: observer.fault,
    now: () => steadyNow(clock),
  };
}
