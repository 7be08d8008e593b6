/**
 * The composition root: puts the parts together and takes them apart in the right order.
 * Everything has its own state, so that tests start several apps in one process.
 */
import type { AnyElysia } from "elysia";
import packageJson from "../package.json" with { type: "json" };
import {
  type AccountDeps,
  type AccountRates,
  accountExists,
  endedSessions,
  openAccounts,
  type Principal,
  purgeSessions,
  redeemTicket,
  sessionEnds,
  verifyAccessToken,
} from "./accounts/mod.ts";
import { accountRoutes } from "./accounts/routes.ts";
import { purgeAudit } from "./administration/mod.ts";
import { announcementRoutes } from "./administration/routes.ts";
import {
  faultReporter,
  hubObserver,
  logObserver,
  type OnFault,
  requestObserver,
  stageObserver,
} from "./app_observers.ts";
import { relayBodyRules, relayOperations, relayRoutes } from "./compat/relay/mod.ts";
import { openRoom, roomOperations, roomRoutes, roomSocket } from "./compat/room/mod.ts";
import type { Config } from "./config.ts";
import {
  announceKey,
  type Conversations,
  type Delivery,
  type Doorbell,
  type OpenConversationsOptions,
  openConversations,
} from "./conversations/mod.ts";
import { conversationRoutes } from "./conversations/routes.ts";
import {
  type Authentication,
  addressOf,
  createAccessTokens,
  createAuthentication,
  createRequestThrottle,
  createServer,
  type DescribedRoute,
  describeApi,
  describeSockets,
  docsRoutes,
  healthRoutes,
  infoRoutes,
  jwksRoutes,
  metricsRoutes,
} from "./http/mod.ts";
import { keyRoutes } from "./keys/routes.ts";
import {
  createLastSeen,
  type Departures,
  type DeparturesOptions,
  listContacts,
  listSettings,
  startDepartures,
} from "./people/mod.ts";
import { peopleRoutes } from "./people/routes.ts";
import { type Clock, systemClock } from "./platform/clock.ts";
import { createLog, type Log } from "./platform/log.ts";
import { createMailQueue, type MailQueue } from "./platform/mail_queue.ts";
import {
  createFolderTransport,
  createSmtpTransport,
  type MailFault,
  type MailTransport,
} from "./platform/mail_transport.ts";
import { createMetrics, type Metrics } from "./platform/metrics.ts";
import { createPasswordHasher } from "./platform/password_hash.ts";
import { type Database, openDatabase, pingDatabase } from "./platform/postgres.ts";
import { MemoryRateLimiter, type RateLimiter } from "./platform/rate_limit.ts";
import { RedisRateLimiter } from "./platform/rate_limit_redis.ts";
import { openRedis } from "./platform/redis.ts";
import {
  type AccountId,
  jsonCodec,
  MAIN_SOCKET,
  OPERATIONS,
  PUBLIC_SOCKET,
  type SessionId,
  uuidv7,
} from "./protocol/mod.ts";
import {
  type Bus,
  type Hub,
  type HubObserver,
  type HubOptions,
  MemoryBus,
  openHub,
  RedisBus,
  socketHandlers,
  socketRoutes,
} from "./realtime/mod.ts";

/** What {@link createApp} is told beside the configuration. */
export interface AppOptions {
  readonly databaseUrl: string;
  /** Standard: Redis where the configuration names one, else a bus of its own. Apps that are given the same one are nodes of one server. */
  readonly bus?: Bus;
  readonly clock?: Clock;
  readonly log?: Log;
  /** Where it counts; standard: metrics of its own. */
  readonly metrics?: Metrics;
  /** Milliseconds between two writes of acknowledged cursors; standard 10,000. */
  readonly cursorFlushMs?: number;
  readonly departures?: Pick<DeparturesOptions, "everyMs" | "settleMs">;
  /** In the place of some of the standard rates of sign-ins and the like. */
  readonly rates?: AccountRates;
  readonly hub?: Pick<HubOptions, "dispatch" | "compareMs" | "publicPerAddress" | "presence">;
}

/** A running server. Disposing drains it first. */
export interface App extends AsyncDisposable {
  /** Where it listens, as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly port: number;
  /** What is mounted. */
  readonly routes: readonly DescribedRoute[];
  /** Refuses new sockets, lets what is in flight be answered, closes every socket. */
  drain(): Promise<void>;
}

const PURGE_MS = 10 * 60_000;
/** What requests under way are given when the server ends. */
const LAST_ANSWERS_MS = 2_000;
/** Sign-ins that may wait for a core; at 20 ms each the last waits a few seconds. */
const MOST_HASHES_WAITING = 200;

/** What every part is given. */
interface Ground {
  readonly config: Config;
  readonly options: AppOptions;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limiter: RateLimiter;
  readonly onFault: OnFault;
  /** Takes what was started apart again, last first. */
  readonly started: AsyncDisposableStack;
}

/** The slices that are open. */
interface Slices {
  readonly db: Database;
  readonly accounts: AccountDeps;
  readonly conversations: Conversations;
}

/** Starts a server on a migrated database. Throws where the port is taken. */
export async function createApp(config: Config, options: AppOptions): Promise<App> {
  await using started = new AsyncDisposableStack();
  const log = options.log ?? createLog({ level: config.logLevel, pretty: !config.production });
  const metrics = options.metrics ?? createMetrics();
  const onFault = faultReporter(log, metrics);
  const clock = options.clock ?? systemClock;
  const limiter = openLimiter(config, clock, metrics, onFault, started);
  const ground: Ground = { config, options, clock, log, metrics, limiter, onFault, started };
  const slices = await openSlices(ground, (conversationId, recipients, seq) =>
    hub.router.ring(recipients, conversationId, seq),
  );
  const hub = await openSpine(ground, slices);
  const server = composeServer(ground, slices, hub);
  const listening = listen(ground, server, hub);

  // From here on the app owns what was started.
  const running = started.move();
  return {
    url: `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${listening.port}`,
    port: listening.port ?? config.port,
    routes: server.routes,
    drain: () => hub.drain(),
    [Symbol.asyncDispose]: async () => {
      await hub.drain();
      await running.disposeAsync();
    },
  };
}

async function openSlices(ground: Ground, onLate: OpenConversationsOptions["onLate"]): Promise<Slices> {
  const { config, options, clock, metrics, limiter, onFault, started } = ground;
  const open = (url: string, poolSize?: number): Database =>
    started.use(
      openDatabase(url, {
        onFault: (error) => onFault("database", error),
        ...(poolSize === undefined ? {} : { poolSize }),
      }),
    );
  const db = open(options.databaseUrl);
  const maintenance = config.maintenanceDatabaseUrl === null ? db : open(config.maintenanceDatabaseUrl, 2);
  const accounts = await openAccounts({
    db,
    mails: openMails(ground),
    linkUrl: config.mailLinkUrl,
    passwordLeast: config.passwordMinLength,
    clock,
    passwords: createPasswordHasher({
      algorithm: config.passwordHash,
      concurrency: navigator.hardwareConcurrency,
      queue: MOST_HASHES_WAITING,
    }),
    accessTokens: createAccessTokens(config.signingKeys, clock),
    secretKey: config.secretKey,
    accessTokenMinutes: config.accessTokenMinutes,
    refreshTokenDays: config.refreshTokenDays,
    limiter,
    ...(options.rates === undefined ? {} : { rates: options.rates }),
  });
  const conversations = started.use(
    await openConversations({
      db,
      maintenance,
      clock,
      lanes: config.lanes,
      masterKeys: config.encryptionKeys,
      secretKey: config.secretKey,
      existingAccounts: (ids) => accountExists(accounts, ids),
      onFault,
      observer: logObserver(metrics, onFault),
      onLate,
      ...(options.cursorFlushMs === undefined ? {} : { cursorFlushMs: options.cursorFlushMs }),
    }),
  );
  const purge = setInterval(() => {
    purgeSessions(accounts).catch((error) => onFault("session purge", error));
    purgeAudit({ db, clock }).catch((error) => onFault("audit purge", error));
  }, PURGE_MS);
  started.defer(() => clearInterval(purge));
  return { db, accounts, conversations };
}

/** Sends mails as the configuration says; what becomes of each is counted, and to whom it went is not. */
function openMails({ config, log, metrics, started }: Ground): MailQueue | null {
  const transport = openMailTransport(config, log);
  if (transport === null) return null;
  const ended = metrics.counter("sotto_mails_total", "Mails by what became of them", ["outcome"]);
  const mails = started.use(
    createMailQueue({
      transport,
      onEnded: (outcome, error) => {
        ended.increase({ outcome });
        if (error !== undefined) log.warn({ err: error }, "A mail was given up");
      },
    }),
  );
  metrics.measured("sotto_mail_depth", "Mails that wait or are under way", () => mails.depth);
  transport.check().catch((error: MailFault) => {
    log.warn({ code: error.code }, "Mails cannot be sent now; each is tried all the same");
  });
  return mails;
}

function openMailTransport({ mail }: Config, log: Log): MailTransport | null {
  switch (mail.kind) {
    case "smtp":
      return createSmtpTransport(mail);
    case "folder":
      return createFolderTransport({ ...mail, onWritten: (path) => log.info({ path }, "A mail was written") });
    case "none":
      return null;
  }
}

async function openSpine(ground: Ground, { db, accounts, conversations }: Slices): Promise<Hub> {
  const { config, options, clock, log, metrics, onFault, started } = ground;
  const onStage = stageObserver(metrics);
  const bus = options.bus ?? started.use(openBus(config, onFault, onStage));
  const hub = started.use(
    await openHub({
      node: uuidv7(),
      bus,
      conversations,
      verify: (token) => verifyAccessToken(accounts, token),
      sessionEnds: (ids) => sessionEnds(accounts, ids),
      endedSessions: (since) => endedSessions(accounts, since),
      settings: (ids) => listSettings(db, ids),
      contacts: (ids, most) => listContacts({ db }, ids, most),
      heartbeatMs: config.heartbeatMs,
      connectionTimeoutMs: config.connectionTimeoutMs,
      clock,
      observer: { ...hubObserver(log, metrics, onFault), stage: onStage },
      newRequestId: () => uuidv7(),
      onLeft: createLastSeen({ db, clock }, (error) => onFault("last seen", error)).left,
      ...options.hub,
    }),
  );
  metrics.measured("sotto_sockets", "Sockets that are open", () => hub.sockets);
  metrics.measured("sotto_public_sockets", "Sockets that read public channels", () => hub.feeds.sockets);
  metrics.measured("sotto_user_actors", "Accounts with an actor on this node", () => hub.actors);
  metrics.measured(
    "sotto_presence_pairs",
    "Pairs of somebody here and whom they see",
    () => hub.presence.watched.pairs,
  );
  metrics.measured("sotto_presence_waiting", "People who wait to be told of", () => hub.presence.waiting);
  metrics.measured("sotto_bus_healthy", "1 while no hint is lost unnoticed", () => (bus.healthy ? 1 : 0), "min");
  metrics.measured("sotto_log_depth", "Events that wait to be stored", () => conversations.log.depth);
  return hub;
}

function composeServer(ground: Ground, slices: Slices, hub: Hub): AnyElysia {
  const { config, clock, log, metrics, limiter } = ground;
  const refused = metrics.counter("sotto_requests_limited_total", "Requests beyond the limit of an account or address");
  const throttle = createRequestThrottle({
    limiter,
    rate: { perMinute: config.rateLimitPerMinute, burst: config.rateLimitBurst },
    onRefused: () => refused.increase(),
  });
  const verify = (token: string): Promise<Principal> => verifyAccessToken(slices.accounts, token);
  const authentication = createAuthentication({ verify, throttle });
  const server = createServer({
    log,
    admit: authentication.admit,
    ...requestObserver(metrics),
    corsOrigins: config.corsOrigins,
    trustedProxies: config.trustedProxies,
    bodyRules: relayBodyRules,
    baseUrl: config.baseUrl,
    plugins: [
      infoRoutes({ version: packageJson.version }),
      jwksRoutes(config),
      healthRoutes({
        clock,
        probeDatabase: () => pingDatabase(slices.db),
        busStatus: () => hub.busStatus,
        isDraining: () => hub.draining,
      }),
      metricsRoutes({ text: () => metrics.text(), token: config.metricsToken }),
      docsRoutes({
        describeApi: () =>
          describeApi({
            routes: server.routes,
            operations: { ...OPERATIONS, ...relayOperations, ...roomOperations },
            version: packageJson.version,
            baseUrl: config.baseUrl,
            bodyRules: relayBodyRules,
          }),
        describeSockets: () =>
          describeSockets({
            sockets: [MAIN_SOCKET, roomSocket, PUBLIC_SOCKET],
            version: packageJson.version,
            baseUrl: config.baseUrl,
          }),
      }),
      ...sliceRoutes(ground, slices, hub, authentication),
    ],
  });
  return server;
}

function sliceRoutes(ground: Ground, slices: Slices, hub: Hub, { authenticate }: Authentication): AnyElysia[] {
  const { config, clock, onFault, started } = ground;
  const { db, accounts, conversations } = slices;
  const keys = { db, clock };
  const deliver = (delivery: Delivery): void => hub.router.deliver(delivery);
  const endSessions = (account: AccountId, ids: readonly SessionId[]): void => hub.router.endSessions(account, ids);
  const verify = (token: string): Promise<Principal> => verifyAccessToken(accounts, token);
  const sockets = {
    hub: () => hub,
    ...{ authenticate, addressOf, origins: config.corsOrigins },
    redeemTicket: (ticket: string): Promise<Principal> => redeemTicket(accounts, ticket),
  };
  const room = started.use(
    openRoom({ hub, accounts, conversations, deliver, onFault: (error) => onFault("room", error) }),
  );
  const knock = (doorbell: Doorbell): void => hub.router.knock(doorbell);
  const departures = openDepartures(ground, slices, { deliver, endSessions });
  return [
    accountRoutes({ accounts, authenticate, addressOf, endSessions }),
    keyRoutes({ keys, authenticate }),
    conversationRoutes({
      ...{ conversations, authenticate, deliver, knock },
      signal: (to, frame) => hub.router.signal(to, jsonCodec.encode(frame)),
    }),
    announcementRoutes({ accounts, conversations, authenticate, deliver }),
    peopleRoutes({
      ...{ accounts, authenticate, addressOf, endSessions },
      people: { db, clock, connected: (ids) => hub.connected(ids) },
      settingsChanged: (id) => hub.router.settingsChanged(id),
      beforeBlock: () => conversations.cursors.flush(),
      exports: { db, clock, conversations, exporting: new Set() },
      onClosed: () => departures.look(),
      withheldChanged: (people, { conversationId, seq }) => hub.router.membersChanged(people, conversationId, seq),
      onBlocked: (blocker, blocked) => hub.presence.part(blocker, blocked),
    }),
    relayRoutes({
      ...{ accounts, keys, conversations, authenticate, addressOf, endSessions, deliver },
      announceKey: ({ user_id, fingerprint, created_at }) =>
        announceKey(conversations, { accountId: user_id, fingerprint, changedAt: Date.parse(created_at) }, deliver),
    }),
    roomRoutes({
      ...{ accounts, conversations, endSessions, verify, room },
      ...sockets,
      allowQueryToken: config.allowQueryToken,
    }),
    socketRoutes(sockets),
  ];
}

/** Removes closed accounts; ends before the hub does, which tells the others. */
function openDepartures(
  { options, onFault, started }: Ground,
  { accounts, conversations }: Slices,
  spine: Pick<DeparturesOptions, "deliver" | "endSessions">,
): Departures {
  return started.use(
    startDepartures({
      ...{ accounts, conversations, ...spine, ...options.departures },
      onFault: (error) => onFault("departures", error),
    }),
  );
}

function listen({ config, started }: Ground, server: AnyElysia, hub: Hub): NonNullable<AnyElysia["server"]> {
  server.listen({
    hostname: config.host,
    port: config.port,
    reusePort: config.isWorker, // otherwise a second server on the port would share its traffic
    websocket: socketHandlers(() => hub),
  });
  const listening = server.server;
  if (listening === null) throw new Error("Listen on a port: nothing listens");
  started.defer(() => stopListening(listening));
  return listening;
}

/** How this node meets others. */
function openBus({ redisUrl }: Config, onFault: OnFault, onStage: HubObserver["stage"]): Bus {
  if (redisUrl === null) return new MemoryBus();
  return new RedisBus({ url: redisUrl, newToken: uuidv7, onFault: (error) => onFault("bus", error), onStage });
}

/** How nodes count requests together; alone it counts in memory. */
function openLimiter(
  config: Config,
  clock: Clock,
  metrics: Metrics,
  onFault: Ground["onFault"],
  started: AsyncDisposableStack,
): RateLimiter {
  if (config.redisUrl === null) return new MemoryRateLimiter(clock);
  // A connection of its own: what waits for the bus shall not wait for limits, nor they for it.
  const redis = started.use(openRedis(config.redisUrl, { onFault: (error) => onFault("limits", error) }));
  const limiter = new RedisRateLimiter({
    redis,
    clock,
    secretKey: config.secretKey,
    onFault: (error) => onFault("limits", error),
  });
  metrics.measured("sotto_limits_shared", "1 while limits hold for all nodes together", () => (limiter.shared ? 1 : 0));
  return limiter;
}

/** Lets requests under way be answered, for a while, and then cuts what is left. */
async function stopListening(server: NonNullable<AnyElysia["server"]>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, LAST_ANSWERS_MS);
  await Promise.race([server.stop(), late.promise]);
  clearTimeout(timer);
  await server.stop(true);
}
