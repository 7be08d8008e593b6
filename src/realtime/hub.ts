/**
 * The sockets of this node: who may open one, the one timer that looks at all their deadlines,
 * and the orderly end. It ties sessions to the user actors.
 */
import { Registry } from "../actor/mod.ts";
import type { Connected } from "../people/mod.ts";
import { steadyNow } from "../platform/clock.ts";
import { type AccountId, type Codec, jsonCodec, LIMITS } from "../protocol/mod.ts";
import { actorDepsOf } from "./actor_deps.ts";
import type { Annex, AnnexPorts } from "./annex.ts";
import { Annexes } from "./annexes.ts";
import type { BusStatus } from "./bus.ts";
import { DeliveredMarks } from "./delivered_marks.ts";
import { EarlyWatch } from "./early_watch.ts";
import { HeadWatch } from "./head_watch.ts";
import type { HubOptions } from "./hub_options.ts";
import { openFeeds } from "./open_feeds.ts";
import { openPresence } from "./open_presence.ts";
import { Outgoing } from "./outgoing.ts";
import { partingsOf } from "./partings.ts";
import type { Presence } from "./presence.ts";
import type { PublicFeeds } from "./public_feeds.ts";
import { Router } from "./router.ts";
import { Session } from "./session.ts";
import type { SessionDeps, SessionOrigin, SocketPort } from "./session_deps.ts";
import { SessionWatch } from "./session_watch.ts";
import { StageTimes } from "./stage_times.ts";
import { UserActor } from "./user_actor.ts";
import type { UserMessage } from "./user_message.ts";

const CHECK_MS = 1_000;
/** While hints are being lost: what nodes keep of members, blocks and settings is looked at again. */
const DOUBT_MS = 5_000;
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
  readonly #annexes: Annexes;
  readonly #outgoing = new Outgoing();
  readonly #early = new EarlyWatch<Session>((session) => this.#tellOf(session, { type: "waited", session }));
  readonly #stages: StageTimes;
  /** Sockets that have not authenticated, by address [LIM-5]. */
  readonly #waiting = new Map<string, number>();
  readonly #heads: HeadWatch<Session>;
  readonly #ended: SessionWatch;
  /** Lists of heads that are being read. */
  #listing = 0;
  #doubtedAt = 0;
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
        this.#annexes.told(account, hint);
      },
      tellEvents: (account, message, bytes) => {
        this.#actors.tellIfStarted(account, message, bytes);
        for (const event of message.events) this.#annexes.told(account, event);
      },
      tellFeed: (channel, hint) => this.feeds.tell(channel, hint),
      onPresence: (hint) => this.presence.heard(hint),
      // Sends are judged under the head's lock; who is told of typing rests on this alone.
      membersChanged: (id) => options.conversations.heads.forget(id, Number.MAX_SAFE_INTEGER),
      onMembership: (delivery) => this.presence.mayPart(partingsOf(delivery)),
      onDoubt: () => this.#doubt(),
      onFault: options.observer.fault,
      now: () => steadyNow(options.clock),
    });
    this.presence = openPresence(options, {
      tell: (watcher, frame) => {
        const hint = { type: "signal", to: [watcher], text: this.#codec.encode(frame) } as const;
        return this.#actors.tellIfStarted(watcher, hint, hint.text.length) === "accepted";
      },
      isHere: (account) => this.#actors.find(account) !== undefined,
      send: (hint) => this.router.presence(hint),
    });
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
        this.#annexes.told(accountId, hint);
        return this.#actors.tellIfStarted(accountId, hint, 0) !== "full";
      },
      now: () => options.clock.now(),
      onFault: (error) => options.observer.fault("session watch", error),
    });
    this.#stages = new StageTimes({ now: () => steadyNow(options.clock), observe: options.observer.stage });
    const deps = actorDepsOf(options, {
      ...{ codec: this.#codec, router: this.router, presence: this.presence },
      ...{ delivered: this.#delivered, stages: this.#stages },
      counted: (read) => this.#counted(read),
      wait: (session) => this.#early.add(session),
    });
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
    this.#annexes = new Annexes({
      ...{ bus: options.bus, node: options.node, now: () => steadyNow(options.clock) },
      signal: (to, text) => this.router.signal(to, text),
      sessionDeps: this.#sessionDeps,
      onAttached: (session) => this.#noLongerWaiting(session),
    });
    this.feeds = openFeeds(options);
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
    return this.#annexes.add(account, open);
  }

  /** Takes a new socket. */
  open(socket: SocketPort, origin: SessionOrigin): Session {
    this.#options.observer.opened();
    if (origin.principal === null) this.#waiting.set(origin.address, (this.#waiting.get(origin.address) ?? 0) + 1);
    const deps = origin.annex === undefined ? undefined : this.#annexes.sessionDepsOf(origin.annex);
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
    this.#early[Symbol.dispose]();
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
      const waits = session.feed?.waitsForRetry === true || session.inbox?.waitsForRetry === true;
      if (session.authenticated && waits) this.#settle(session, false);
    }
    this.feeds.check();
    this.router.kept.check();
    this.#heads.check();
    if (!this.#options.bus.healthy && now - this.#doubtedAt >= DOUBT_MS) this.#doubt();
    this.#annexes.check();
    void this.#ended.look();
    void this.#delivered.tell();
  }

  /** Hints may have been lost, and with them what changed in who is a member. */
  #doubt(): void {
    this.#doubtedAt = steadyNow(this.#options.clock);
    this.#options.conversations.heads.forgetAll();
    this.feeds.look();
    this.#heads.doubt();
    this.presence.doubt();
    this.#annexes.doubt();
  }

  /** The sockets that are fed from the log. */
  *#attached(): Generator<Session> {
    for (const session of this.#sessions) if (session.authenticated && session.feed !== null) yield session;
  }

  /** Lets a socket go on after a failed read; and, if `compare`, compare its heads. */
  #settle(session: Session, compare: boolean): void {
    this.#tellOf(session, { type: "check", session, compare });
  }

  #tellOf(session: Session, message: UserMessage): void {
    if (session.authenticated) this.#actors.find(session.principal.accountId)?.settle(message);
  }

  async #counted<T>(read: Promise<T>): Promise<T> {
    this.#listing++;
    try {
      return await read;
    } finally {
      this.#listing--;
    }
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

  #noLongerWaiting({ origin }: Session): void {
    if (origin.principal !== null) return;
    const waiting = (this.#waiting.get(origin.address) ?? 1) - 1;
    if (waiting > 0) this.#waiting.set(origin.address, waiting);
    else this.#waiting.delete(origin.address);
  }
}
