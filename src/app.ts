/**
 * The composition root: puts the parts together and takes them apart in the right order.
 * Everything has its own state, so that tests start several apps in one process.
 */
import type { AnyElysia } from "elysia";
import {
  accountExists,
  endedSessions,
  openAccounts,
  purgeSessions,
  sessionEnds,
  verifyAccessToken,
} from "./accounts/mod.ts";
import { purgeAudit } from "./administration/mod.ts";
import type { AppOptions, Ground, Slices } from "./app/ground.ts";
import { openInboxes } from "./app/inboxes.ts";
import { faultReporter, hubObserver, logObserver, stageObserver } from "./app/observers.ts";
import { openBus, openLimiter, openMails } from "./app/outside.ts";
import { composeServer } from "./app/server.ts";
import type { Config } from "./config.ts";
import { type OpenConversationsOptions, openConversations } from "./conversations/mod.ts";
import { purgeInboxes } from "./devices/mod.ts";
import { createAccessTokens, type DescribedRoute } from "./http/mod.ts";
import { createLastSeen, listContacts, listSettings, pairsInContact } from "./people/mod.ts";
import { systemClock } from "./platform/clock.ts";
import { createLog } from "./platform/log.ts";
import { createMetrics } from "./platform/metrics.ts";
import { createPasswordHasher } from "./platform/password_hash.ts";
import { type Database, openDatabase } from "./platform/postgres.ts";
import { uuidv7 } from "./protocol/mod.ts";
import { type Hub, openHub, socketHandlers } from "./realtime/mod.ts";
import { purgeReports } from "./reports/mod.ts";

export type { AppOptions } from "./app/ground.ts";

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
    passwords:
      options.passwords ??
      createPasswordHasher({
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
    purgeInboxes({ db }).catch((error) => onFault("inbox purge", error));
    purgeAudit({ db, clock }).catch((error) => onFault("audit purge", error));
    purgeReports({ db, clock }).catch((error) => onFault("report purge", error));
  }, PURGE_MS);
  started.defer(() => clearInterval(purge));
  return { db, accounts, conversations, verify: (token) => verifyAccessToken(accounts, token) };
}

async function openSpine(ground: Ground, { db, accounts, conversations, verify }: Slices): Promise<Hub> {
  const { config, options, clock, log, metrics, onFault, started } = ground;
  const onStage = stageObserver(metrics);
  const bus = options.bus ?? started.use(openBus(config, onFault, onStage));
  const hub = started.use(
    await openHub({
      node: uuidv7(),
      bus,
      conversations,
      inboxes: openInboxes(ground, db),
      verify,
      sessionEnds: (ids) => sessionEnds(accounts, ids),
      endedSessions: (since) => endedSessions(accounts, since),
      settings: (ids) => listSettings(db, ids),
      contacts: (ids, most) => listContacts({ db }, ids, most),
      inContact: (pairs) => pairsInContact({ db }, pairs),
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

/** Lets requests under way be answered, for a while, and then cuts what is left. */
async function stopListening(server: NonNullable<AnyElysia["server"]>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, LAST_ANSWERS_MS);
  await Promise.race([server.stop(), late.promise]);
  clearTimeout(timer);
  await server.stop(true);
}
