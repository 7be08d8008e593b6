/** What the server answers: its routes and sockets, and what each is given of the parts. */
import type { AnyElysia } from "elysia";
import packageJson from "../../package.json" with { type: "json" };
import { createThrottle, type Principal, redeemTicket } from "../accounts/mod.ts";
import { accountRoutes } from "../accounts/routes.ts";
import { announcementRoutes } from "../administration/routes.ts";
import { relayBodyRules, relayOperations, relayRoutes } from "../compat/relay/mod.ts";
import { openRoom, ROOM, roomOperations, roomRoutes, roomSocket } from "../compat/room/mod.ts";
import { announceKey, type Delivery, type Doorbell } from "../conversations/mod.ts";
import { conversationRoutes } from "../conversations/routes.ts";
import {
  type Authentication,
  addressOf,
  createAuthentication,
  createRequestThrottle,
  createServer,
  describeApi,
  describeSockets,
  docsRoutes,
  healthRoutes,
  infoRoutes,
  jwksRoutes,
  metricsRoutes,
} from "../http/mod.ts";
import { keyRoutes } from "../keys/routes.ts";
import { type Departures, type DeparturesOptions, startDepartures } from "../people/mod.ts";
import { peopleRoutes } from "../people/routes.ts";
import { pingDatabase } from "../platform/postgres.ts";
import {
  type AccountId,
  jsonCodec,
  MAIN_SOCKET,
  OPERATIONS,
  PUBLIC_SOCKET,
  type ServerFrame,
  type SessionId,
} from "../protocol/mod.ts";
import { type Hub, socketRoutes } from "../realtime/mod.ts";
import { exportReports, REPORT_RATES, type ReportsDeps } from "../reports/mod.ts";
import { reportRoutes } from "../reports/routes.ts";
import type { Ground, Slices } from "./ground.ts";
import { requestObserver } from "./observers.ts";

/** Every route and socket of the server, with what each is given. */
export function composeServer(ground: Ground, slices: Slices, hub: Hub): AnyElysia {
  const { config, clock, log, metrics, limiter } = ground;
  const refused = metrics.counter("sotto_requests_limited_total", "Requests beyond the limit of an account or address");
  const throttle = createRequestThrottle({
    limiter,
    rate: { perMinute: config.rateLimitPerMinute, burst: config.rateLimitBurst },
    onRefused: () => refused.increase(),
  });
  const authentication = createAuthentication({ verify: slices.verify, throttle });
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
  const { config, clock, metrics, limiter, onFault, started } = ground;
  const { db, accounts, conversations, verify } = slices;
  const keys = { db, clock };
  const deliver = (delivery: Delivery): void => hub.router.deliver(delivery);
  const endSessions = (account: AccountId, ids: readonly SessionId[]): void => hub.router.endSessions(account, ids);
  const sockets = {
    hub: () => hub,
    ...{ authenticate, addressOf, origins: config.corsOrigins },
    redeemTicket: (ticket: string): Promise<Principal> => redeemTicket(accounts, ticket),
  };
  const room = started.use(
    openRoom({ hub, accounts, conversations, deliver, onFault: (error) => onFault("room", error) }),
  );
  const knock = (doorbell: Doorbell): void => hub.router.knock(doorbell);
  const signal = (to: readonly AccountId[], frame: ServerFrame): void => {
    // What somebody takes from their own sight is not sent from what was kept, either: the log is read.
    if (frame.type === "message_hidden") hub.router.ring(to, frame.conversation_id, frame.message_seq);
    if (frame.type === "settings") hub.router.ring(to, frame.conversation_id, frame.first_seq);
    hub.router.signal(to, jsonCodec.encode(frame));
  };
  const reports: ReportsDeps = {
    ...{ db, clock, conversations, sealer: conversations.sealer, openTo: [ROOM] },
    throttle: createThrottle({ limiter, rates: REPORT_RATES }),
  };
  const filed = metrics.counter("sotto_reports_total", "Reports to administrators, by reason", ["reason"]);
  const departures = openDepartures(ground, slices, { deliver, endSessions });
  return [
    accountRoutes({ accounts, authenticate, addressOf, endSessions }),
    keyRoutes({ keys, authenticate }),
    conversationRoutes({
      ...{ conversations, authenticate, deliver, knock, signal },
    }),
    announcementRoutes({ accounts, conversations, authenticate, deliver }),
    peopleRoutes({
      ...{ accounts, authenticate, addressOf, endSessions },
      people: { db, clock, connected: (ids) => hub.connected(ids) },
      settingsChanged: (id) => hub.router.settingsChanged(id),
      beforeBlock: () => conversations.cursors.flush(),
      exports: { db, clock, conversations, exporting: new Set(), sources: [exportReports(reports)] },
      onClosed: () => departures.look(),
      withheldChanged: (people, { conversationId, seq }) => hub.router.membersChanged(people, conversationId, seq),
      onBlocked: (blocker, blocked) => hub.presence.part(blocker, blocked),
    }),
    reportRoutes({
      ...{ reports, authenticate, signal },
      onFiled: (reason) => filed.increase({ reason }),
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
