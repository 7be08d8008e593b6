/**
 * The sockets of this node: who may open one, the one timer that looks at all their deadlines,
 * and the orderly end. It ties sessions to the user actors.
 */

import type { EndedSession, Principal } from "../accounts/mod.ts";
import { Registry } from "../actor/mod.ts";
import { type Conversations, submitMessage } from "../conversations/mod.ts";
import type { Connected, ContactOf, PersonSettings } from "../people/mod.ts";
import { Batcher } from "../platform/batcher.ts";
import { type Clock, steadyNow } from "../platform/clock.ts";
import {
  type AccountId,
  type CloseReason,
  type Codec,
  jsonCodec,
  LIMITS,
  type SessionEnd,
  type SessionId,
} from "../protocol/mod.ts";
import type { Annex, AnnexPorts } from "./annex.ts";
import type { AccountHint, Bus, BusStatus, NodeId } from "./bus.ts";
import { DeliveredMarks } from "./delivered_marks.ts";
import { type DispatchDeps, dispatch } from "./dispatch.ts";
import { HeadWatch } from "./head_watch.ts";
import { Outgoing } from "./outgoing.ts";
import { Presence, type PresenceOptions } from "./presence.ts";
import { PublicFeeds } from "./public_feeds.ts";
import { Router } from "./router.ts";
import { Session, type SessionDeps, type SessionOrigin, type SocketPort } from "./session.ts";
import { SessionWatch } from "./session_watch.ts";
import { type Stage, StageTimes } from "./stage_times.ts";
import { UserActor, type UserActorDeps } from "./user_actor.ts";
import type { UserMessage } from "./user_message.ts";

/** Told what happens, for metrics and the log. */
export interface HubObserver {
  opened(): void;
  closed(reason: CloseReason | "gone"): void;
  /** An actor threw, and was restarted. */
  actorFailed(account: AccountId, error: unknown): void;
  /** A frame could not be handled; its sender, a session or somebody who reads a public channel, was told the request id. */
  frameFailed(session: Session | null, requestId: string, error: unknown): void;
  fault(what: string, error: unknown): void;
  /** How long a message that is followed took for a stage. */
  stage(stage: Stage, milliseconds: number): void;
}

/** What {@link openHub} is told. */
export interface HubOptions {
  readonly node: NodeId;
  readonly bus: Bus;
  readonly conversations: Conversations;
  /** Judges an access token; throws `unauthorized` or `token_expired`. */
  readonly verify: (token: string) => Promise<Principal>;
  /** Those of some sessions that are over, and why; never from a cache. */
  readonly sessionEnds: (ids: readonly SessionId[]) => Promise<ReadonlyMap<SessionId, SessionEnd>>;
  /** Sessions that ended at a time (ms since the epoch) or later. */
  readonly endedSessions: (since: number) => Promise<readonly EndedSession[]>;
  /** The settings of some accounts; who is missing has the standard ones. */
  readonly settings: (ids: readonly AccountId[]) => Promise<ReadonlyMap<AccountId, PersonSettings>>;
  /** The contacts of each of some accounts, at most `most` of each. */
  readonly contacts: (ids: readonly AccountId[], most: number) => Promise<readonly ContactOf[]>;
  /** In the place of the standard times of presence. */
  readonly presence?: Pick<PresenceOptions, "graceMs" | "lookMs">;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  readonly clock: Clock;
  readonly observer: HubObserver;
  readonly newRequestId: () => string;
  /** A socket of an account has gone. */
  readonly onLeft?: (account: AccountId) => void;
  /** Sockets of one address that read public channels; standard 200. */
  readonly publicPerAddress?: number;
  /** Milliseconds between two comparisons of a socket's heads; standard 60,000. */
  readonly compareMs?: number;
  /** How a frame is handled; tests put a failing one in its place. */
  readonly dispatch?: typeof dispatch;
}

const CHECK_MS = 1_000;
const COMPARE_MS = 60_000;
const IDLE_ACTOR_MS = 5_000;
/** Closes are spread over this time when the node drains, so that clients do not all come back at once. */
const DRAIN_SPREAD_MS = 2_000;
const DRAIN_MS = 7_000;

/** Opens the hub and joins the bus. */
export async function openHub(options: HubOptions): Promise<Hub> {
  const hub = new Hub(options);
  await hub.router.join();
  return hub;
}

/** See the head of this file. */
export class Hub implements AsyncDisposable {
  readonly router: Router;
  /** Readers of public channels. */
  readonly feeds: PublicFeeds;
  readonly presence: Presence;
  readonly #delivered: DeliveredMarks;
  readonly #options: HubOptions;
  readonly #codec: Codec = jsonCodec;
  readonly #actors: Registry<AccountId, UserMessage>;
  readonly #sessionDeps: SessionDeps;
  readonly #sessions = new Set<Session>();
  readonly #annexes = new Map<AccountId, { readonly annex: Annex; readonly sessionDeps: SessionDeps }>();
  readonly #outgoing = new Outgoing();
  readonly #stages: StageTimes;
  /** Sockets that have not authenticated, by address [LIM-5]. */
  readonly #waiting = new Map<string, number>();
  readonly #heads: HeadWatch<Session>;
  readonly #ended: SessionWatch;
  /** Lists of heads that are being read. */
  #listing = 0;
  readonly #timer: ReturnType<typeof setInterval>;
  #draining = false;

  constructor(options: HubOptions) {
    this.#options = options;
    this.router = new Router({
      node: options.node,
      bus: options.bus,
      codec: this.#codec,
      tellLocal: (account, hint, bytes) => {
        this.#actors.tellIfStarted(account, hint, bytes);
        if (this.#annexes.size > 0) this.#tellAnnexes(account, hint);
      },
      tellFeed: (channel, hint) => this.feeds.tell(channel, hint),
      onPresence: (hint) => this.presence.heard(hint),
      // Sends are judged under the head's lock; who is told of typing rests on this alone.
      membersChanged: (id) => options.conversations.heads.forget(id, Number.MAX_SAFE_INTEGER),
      onDoubt: () => this.#doubt(),
      onFault: options.observer.fault,
    });
    this.presence = this.#makePresence();
    this.#delivered = new DeliveredMarks({
      codec: this.#codec,
      head: (id) => options.conversations.heads.get(id),
      signal: (to, text) => this.router.signal(to, text),
      onFault: (error) => options.observer.fault("delivered marks", error),
    });
    this.#heads = new HeadWatch({
      sockets: () => this.#attached(),
      compare: (session) => this.#settle(session, true),
      reads: () => this.#listing,
      healthy: () => options.bus.healthy,
      everyMs: options.compareMs ?? COMPARE_MS,
      now: () => steadyNow(options.clock),
      random: Math.random,
    });
    this.#ended = new SessionWatch({
      endedSince: options.endedSessions,
      tell: ({ accountId, id, reason }) => {
        const hint = { type: "end_sessions", to: [accountId], sessionIds: [id], reason } as const;
        this.#tellAnnexes(accountId, hint);
        return this.#actors.tellIfStarted(accountId, hint, 0) !== "full";
      },
      now: () => options.clock.now(),
      onFault: (error) => options.observer.fault("session watch", error),
    });
    this.#stages = new StageTimes({ now: () => steadyNow(options.clock), observe: options.observer.stage });
    const deps = this.#actorDeps();
    this.#actors = new Registry<AccountId, UserMessage>(
      {
        start: (account, self) => new UserActor(account, self, deps),
        restart: (account, self, failed, failure) => {
          const actor = new UserActor(account, self, deps);
          if (failed instanceof UserActor) actor.takeOver(failed, failure);
          return actor;
        },
        gaveUp: (_, failed) => failed instanceof UserActor && failed.giveUp(),
      },
      {
        mailbox: { items: LIMITS.mailboxItems, bytes: LIMITS.mailboxBytes },
        idleMs: IDLE_ACTOR_MS,
        restarts: LIMITS.failuresPerMinute * 2,
        now: () => steadyNow(options.clock),
        onFailure: (account, { error }) => options.observer.actorFailed(account, error),
        afterTurn: () => {
          this.#outgoing.flush();
          this.#stages.turnOver();
        },
      },
    );
    this.#sessionDeps = this.#makeSessionDeps();
    this.feeds = this.#makeFeeds();
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  /** Sockets that are open. */
  get sockets(): number {
    return this.#sessions.size;
  }

  /** Accounts with an actor here. */
  get actors(): number {
    return this.#actors.size;
  }

  /** How some accounts are connected, at any node; by what is known here where that cannot be found out. */
  connected(accounts: readonly AccountId[]): Promise<Connected> {
    return this.#options.bus.connected(accounts).catch((error) => {
      this.#options.observer.fault("presence", error);
      const here = accounts.filter((account) => this.#actors.find(account) !== undefined);
      return new Map(here.map((account) => [account, "online"] as const));
    });
  }

  /** How the way to other nodes is. */
  get busStatus(): BusStatus {
    return this.#options.bus.status;
  }

  /** Whether new sockets are refused because the node ends. */
  get draining(): boolean {
    return this.#draining;
  }

  /** Whether an address has too many sockets that have not authenticated [LIM-5]. */
  crowded(address: string): boolean {
    return (this.#waiting.get(address) ?? 0) >= LIMITS.unauthenticatedPerAddress;
  }

  /** Adds an annex; sockets that are opened for it are its own from then on. */
  add<Added extends Annex>(account: AccountId, open: (ports: AnnexPorts) => Added): Added {
    const annex = open(this.#portsFor(account));
    this.#annexes.set(account, { annex, sessionDeps: this.#annexDeps(annex) });
    return annex;
  }

  /** Takes a new socket. */
  open(socket: SocketPort, origin: SessionOrigin): Session {
    this.#options.observer.opened();
    if (origin.principal === null) this.#waiting.set(origin.address, (this.#waiting.get(origin.address) ?? 0) + 1);
    const { annex } = origin;
    const deps = annex === undefined ? undefined : this.#annexes.get(annex.account)?.sessionDeps;
    const session = new Session(socket, origin, deps ?? this.#sessionDeps);
    this.#sessions.add(session);
    this.#heads.opened(session);
    session.begin();
    return session;
  }

  /** Lets what is in flight be answered, closes every socket, and waits until they are gone [CLS-2]. */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    const sessions = [...this.#sessions];
    const spread = Math.min(DRAIN_SPREAD_MS, sessions.length * 2);
    sessions.forEach((session, i) => {
      setTimeout(() => this.#drainOne(session), (spread * i) / sessions.length);
    });
    this.feeds.drain();
    const deadline = performance.now() + DRAIN_MS;
    while (this.#sessions.size + this.feeds.sockets > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain();
    clearInterval(this.#timer);
    await this.presence[Symbol.asyncDispose]();
    this.#heads[Symbol.dispose]();
    this.#actors[Symbol.dispose]();
  }

  #drainOne(session: Session): void {
    if (!session.authenticated) session.close("draining");
    else if (session.origin.annex !== undefined) session.origin.annex.drain(session);
    else this.#actors.find(session.principal.accountId)?.settle({ type: "drain", session });
  }

  #check(): void {
    const now = steadyNow(this.#options.clock);
    for (const session of this.#sessions) {
      session.check(now);
      if (session.authenticated && session.feed?.waitsForRetry === true) this.#settle(session, false);
    }
    this.feeds.check();
    this.#heads.check();
    for (const { annex } of this.#annexes.values()) annex.check();
    void this.#ended.look();
    void this.#delivered.tell();
  }

  /** Hints may have been lost, and with them what changed in who is a member. */
  #doubt(): void {
    this.#options.conversations.heads.forgetAll();
    this.feeds.look();
    this.#heads.doubt();
    this.presence.doubt();
    for (const { annex } of this.#annexes.values()) annex.doubt();
  }

  #tellAnnexes(account: AccountId, hint: AccountHint): void {
    this.#annexes.get(account)?.annex.told(hint);
    if (hint.type !== "end_sessions") return;
    for (const { annex } of this.#annexes.values()) annex.ended(account, hint.sessionIds, hint.reason);
  }

  /** The sockets that are fed from the log. */
  *#attached(): Generator<Session> {
    for (const session of this.#sessions) if (session.authenticated && session.feed !== null) yield session;
  }

  /** Lets a socket go on after a failed read; and, if `compare`, compare its heads. */
  #settle(session: Session, compare: boolean): void {
    if (!session.authenticated) return;
    this.#actors.find(session.principal.accountId)?.settle({ type: "check", session, compare });
  }

  async #counted<T>(read: Promise<T>): Promise<T> {
    this.#listing++;
    try {
      return await read;
    } finally {
      this.#listing--;
    }
  }

  #actorDeps(): UserActorDeps {
    const { bus, node, conversations, observer, clock } = this.#options;
    const dispatchDeps: DispatchDeps = {
      conversations,
      codec: this.#codec,
      sendMessage: (input, done) => submitMessage(conversations, input, done),
      signal: (to, text, options) => this.router.signal(to, text, options),
      deviceIs: (session, status) => this.presence.deviceIs(session.principal.accountId, session, status),
      givesMarks: async (account) => (await this.presence.settingsFor(account)).readReceipts,
    };
    const handle = this.#options.dispatch ?? dispatch;
    const ends = new Batcher<SessionId, SessionEnd | null>(
      async (ids) => {
        const ended = await this.#options.sessionEnds(ids);
        return ids.map((id) => ended.get(id) ?? null);
      },
      { most: 1_000, waiting: 100_000 },
    );
    return {
      register: async (account) => {
        await Promise.all([bus.register(node, account), this.presence.expect(account)]);
      },
      unregister: (account) => {
        bus.unregister(node, account).catch((error) => observer.fault("directory", error));
      },
      dispatch: (actor, attachment, frame, place) => handle(dispatchDeps, actor, attachment, frame, place),
      ended: ({ principal: { sessionId } }) => ends.ask(sessionId),
      list: ({ principal: { deviceId, accountId } }, beyond) =>
        this.#counted(conversations.pages.behind({ deviceId, accountId, beyond })),
      read: ({ principal: { deviceId, accountId } }, conversationId, after, afterAt) =>
        conversations.pages.page({ deviceId, accountId, conversationId, after, afterAt }),
      acknowledged: ({ principal: { deviceId, accountId } }, conversationId, seq, at, others) => {
        conversations.cursors.acknowledge({ deviceId, accountId, conversationId, seq, at });
        if (others) this.#delivered.add(accountId, conversationId, seq);
      },
      fed: (session) => this.presence.came(session.principal.accountId, session),
      caughtUp: (session) => this.presence.caughtUp(session.principal.accountId, session),
      readReceipts: (account) => this.presence.settingsOf(account)?.readReceipts ?? false,
      settingsChanged: (account) => this.presence.settingsChanged(account),
      deliver: (delivery) => this.router.deliver(delivery),
      left: (account) => {
        void conversations.cursors.flush();
        this.#options.onLeft?.(account);
      },
      stages: this.#stages,
      onFault: observer.fault,
      now: () => steadyNow(clock),
    };
  }

  #makePresence(): Presence {
    const { bus, node, clock, settings, contacts, presence, observer } = this.#options;
    return new Presence({
      ...{ settings, contacts, ...presence },
      tell: (watcher, { of, status, lastSeen }) => {
        const frame = { type: "presence_update", user_id: of, status, last_seen: lastSeen } as const;
        const hint = { type: "signal", to: [watcher], text: this.#codec.encode(frame) } as const;
        return this.#actors.tellIfStarted(watcher, hint, hint.text.length) === "accepted";
      },
      isHere: (account) => this.#actors.find(account) !== undefined,
      connected: (accounts) => bus.connected(accounts),
      setAway: (account, away) => bus.setAway(node, account, away),
      send: (hint) => this.router.presence(hint),
      now: () => steadyNow(clock),
      today: () => new Date(clock.now()).toISOString().slice(0, 10),
      onFault: (error) => observer.fault("presence", error),
    });
  }

  #makeSessionDeps(): SessionDeps {
    const { observer, clock } = this.#options;
    return {
      codec: this.#codec,
      ordered: true,
      heartbeatMs: this.#options.heartbeatMs,
      connectionTimeoutMs: this.#options.connectionTimeoutMs,
      verify: this.#options.verify,
      attach: (session) => {
        this.#noLongerWaiting(session);
        return this.#actors.tell(session.principal.accountId, { type: "attach", session }) === "accepted";
      },
      // Never refused for lack of room: a session that is gone must leave its actor.
      detach: (session) => this.#actors.find(session.principal.accountId)?.settle({ type: "detach", session }),
      frame: (session, frame, place, bytes) =>
        this.#actors.tell(session.principal.accountId, { type: "frame", session, frame, place }, bytes),
      drained: (session) => this.#actors.find(session.principal.accountId)?.settle({ type: "drained", session }),
      wrote: (session) => this.#outgoing.add(session),
      newRequestId: this.#options.newRequestId,
      onFailure: (session, requestId, error) => observer.frameFailed(session, requestId, error),
      onClosed: (session, reason) => {
        if (!session.wasAuthenticated) this.#noLongerWaiting(session);
        else this.presence.gone(session.principal.accountId, session);
        observer.closed(reason);
      },
      onGone: (session) => {
        this.#sessions.delete(session);
        this.#heads.closed(session);
      },
      now: () => steadyNow(clock),
      date: () => clock.now(),
    };
  }

  #portsFor(account: AccountId): AnnexPorts {
    const { bus, node, clock } = this.#options;
    return {
      node,
      get healthy() {
        return bus.healthy;
      },
      register: () => bus.register(node, account),
      unregister: () => bus.unregister(node, account),
      others: async () => [...(await bus.locate(node, [account])).keys()],
      signal: (text) => this.router.signal([account], text),
      now: () => steadyNow(clock),
    };
  }

  /** What a session of an annex needs: as every other, but that its frames go there. */
  #annexDeps(annex: Annex): SessionDeps {
    return {
      ...this.#sessionDeps,
      codec: annex.codec,
      ordered: false,
      attach: (session) => {
        this.#noLongerWaiting(session);
        return annex.attach(session);
      },
      detach: (session) => annex.detach(session),
      frame: (session, frame) => {
        annex.frame(session, frame);
        return "accepted";
      },
      drained: () => {},
    };
  }

  #makeFeeds(): PublicFeeds {
    const { bus, node, conversations, observer, clock, publicPerAddress } = this.#options;
    return new PublicFeeds({
      conversations,
      register: (channel) => bus.register(node, channel),
      unregister: (channel) => void bus.unregister(node, channel).catch((error) => observer.fault("directory", error)),
      heartbeatMs: this.#options.heartbeatMs,
      connectionTimeoutMs: this.#options.connectionTimeoutMs,
      ...(publicPerAddress === undefined ? {} : { perAddress: publicPerAddress }),
      newRequestId: this.#options.newRequestId,
      now: () => steadyNow(clock),
      date: () => clock.now(),
      onOpened: observer.opened,
      onClosed: observer.closed,
      onFailure: (requestId, error) => observer.frameFailed(null, requestId, error),
      onFault: observer.fault,
    });
  }

  #noLongerWaiting({ origin }: Session): void {
    if (origin.principal !== null) return;
    const waiting = (this.#waiting.get(origin.address) ?? 1) - 1;
    if (waiting > 0) this.#waiting.set(origin.address, waiting);
    else this.#waiting.delete(origin.address);
  }
}
