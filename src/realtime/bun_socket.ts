/**
 * The seam to Bun's WebSocket server and to the route that upgrades to it. Raw handlers on the
 * port that Elysia serves: its own `.ws()` wraps every message, parses text behind our back and
 * loses what a handler throws.
 */
import { Elysia } from "elysia";
import { z } from "zod";
import type { Principal } from "../accounts/mod.ts";
import { DomainError, type ErrorCode, LIMITS } from "../protocol/mod.ts";
import type { Hub } from "./hub.ts";
import type { FoundChannel } from "./public_feeds.ts";
import type { Session } from "./session.ts";
import type { SessionOrigin, SocketPort } from "./session_deps.ts";

/** What a socket is, once it is open: a session's, or one of a public channel. */
type SocketEnd = Pick<Session, "receive" | "drained" | "heard" | "gone" | "close">;

/** What a socket carries: where it was opened, and what it is once Bun has opened it. */
export interface SocketData {
  readonly origin: SessionOrigin | { readonly address: string; readonly channel: FoundChannel };
  session: SocketEnd | null;
}

/** What {@link socketRoutes} is told. */
export interface SocketRoutesContext {
  readonly hub: () => Hub;
  /** Who the request's header says it is; throws `unauthorized` or `token_expired`. */
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Redeems a one-time ticket; throws `unauthorized`. */
  readonly redeemTicket: (ticket: string) => Promise<Principal>;
  readonly addressOf: (request: Request) => string;
  /** Origins that browsers may connect from, beside the server's own. */
  readonly origins: readonly string[];
}

/** The options of the WebSocket server; `listen({ websocket })` takes them. */
export function socketHandlers(hub: () => Hub): Bun.WebSocketHandler<SocketData> {
  return {
    maxPayloadLength: LIMITS.frameBytes,
    // Beyond it Bun drops frames, and `send` says so; the session ends then.
    backpressureLimit: LIMITS.outboundBytes,
    idleTimeout: 0, // the hub watches over silence
    sendPings: false,
    perMessageDeflate: false,
    open(socket) {
      const { origin } = socket.data;
      const port = new BunSocketPort(socket);
      socket.data.session = "channel" in origin ? hub().feeds.open(port, origin) : hub().open(port, origin);
    },
    message(socket, message) {
      if (typeof message === "string") socket.data.session?.receive(message);
      else socket.data.session?.close("bad_protocol");
    },
    drain(socket) {
      if (socket.getBufferedAmount() === 0) socket.data.session?.drained();
    },
    ping: (socket) => socket.data.session?.heard(),
    pong: (socket) => socket.data.session?.heard(),
    close: (socket) => socket.data.session?.gone(),
  };
}

/** A class, because a bundle of functions would be made anew for every idle socket. */
class BunSocketPort implements SocketPort {
  readonly #socket: Bun.ServerWebSocket<SocketData>;

  constructor(socket: Bun.ServerWebSocket<SocketData>) {
    this.#socket = socket;
  }

  send(frames: readonly string[]): boolean {
    const [first] = frames;
    if (frames.length === 1 && first !== undefined) return this.#socket.sendText(first) !== 0;
    let taken = true;
    this.#socket.cork(() => {
      for (let i = 0; taken && i < frames.length; i++) taken = this.#socket.sendText(frames[i] ?? "") !== 0;
    });
    return taken;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  terminate(): void {
    this.#socket.terminate();
  }

  ping(): void {
    this.#socket.ping();
  }

  buffered(): number {
    return this.#socket.getBufferedAmount();
  }
}

/** `/ws`, `/ws/{user_id}/{session_id}` and `/ws/public/{channel}`. */
export function socketRoutes(context: SocketRoutesContext) {
  return new Elysia({ name: "socket" })
    .get("/ws", ({ request, server }) => open(context, request, server, null))
    .get(
      "/ws/public/:channel",
      ({ request, server, params }) => upgradeReader(context, request, server, params.channel),
      {
        params: z.object({ channel: z.string().max(50) }),
      },
    )
    .get("/ws/:user_id/:session_id", ({ request, server, params }) =>
      open(context, request, server, { userId: params.user_id, sessionId: params.session_id }),
    );
}

function open(
  context: SocketRoutesContext,
  request: Request,
  server: Bun.Server<unknown> | null,
  expected: SessionOrigin["expected"],
): Promise<void> {
  return upgradeSocket(context, request, server, { expected, identify: () => principalOf(context, request) });
}

/** What {@link upgradeSocket} is told of a route's sockets. */
export interface SocketKind extends Pick<SessionOrigin, "expected" | "annex"> {
  /** Who the request says it is; `null` where it does not, and the first frame will. Throws what the request is refused with. */
  readonly identify: () => Promise<Principal | null>;
}

/** What {@link upgradeSocket} needs of the server. */
export type UpgradeContext = Pick<SocketRoutesContext, "hub" | "addressOf" | "origins">;

/**
 * Makes a socket of a request. Throws `upgrade_required`, `forbidden` for a page of elsewhere, `unavailable` while
 * the node ends, `rate_limited` where too many of the address have not shown who they are, and what `identify` throws.
 */
export async function upgradeSocket(
  context: UpgradeContext,
  request: Request,
  server: Bun.Server<unknown> | null,
  kind: SocketKind,
): Promise<void> {
  admitUpgrade(context, request);
  const address = context.addressOf(request);
  const principal = await kind.identify();
  // After the wait: a node that began to drain meanwhile has closed the sockets it knew of.
  if (context.hub().draining) refuse("unavailable");
  if (principal === null && context.hub().crowded(address)) refuse("rate_limited");
  const { expected, annex } = kind;
  const origin = { address, principal, expected, ...(annex === undefined ? {} : { annex }) };
  const data: SocketData = { origin, session: null };
  if (server === null || !server.upgrade(request, { data })) refuse("upgrade_required");
}

/** Anybody may read a public channel; who they are is not asked. */
async function upgradeReader(
  context: SocketRoutesContext,
  request: Request,
  server: Bun.Server<unknown> | null,
  slug: string,
): Promise<void> {
  admitUpgrade(context, request);
  const address = context.addressOf(request);
  const channel = await context.hub().feeds.find(slug);
  if (context.hub().draining) refuse("unavailable");
  if (context.hub().feeds.crowded(address)) refuse("rate_limited");
  const data: SocketData = { origin: { address, channel }, session: null };
  if (server === null || !server.upgrade(request, { data })) refuse("upgrade_required");
}

function admitUpgrade({ origins }: UpgradeContext, request: Request): void {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") refuse("upgrade_required");
  if (!isAllowedOrigin(request, origins)) refuse("forbidden");
}

function refuse(code: ErrorCode): never {
  throw new DomainError(code, code === "rate_limited" ? { details: { retry_after_ms: LIMITS.authenticationMs } } : {});
}

/** Who a header or a ticket says it is; `null` where there is neither, and the first frame will say [AUTH-1]. */
async function principalOf(context: SocketRoutesContext, request: Request): Promise<Principal | null> {
  if (request.headers.has("authorization")) return context.authenticate(request);
  const ticket = new URL(request.url).searchParams.get("ticket");
  return ticket === null ? null : context.redeemTicket(ticket);
}

/** A browser always says where it comes from (RFC 6455 section 10.2); others need not [CONN-4]. */
function isAllowedOrigin(request: Request, origins: readonly string[]): boolean {
  const origin = request.headers.get("origin");
  if (origin === null || origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === request.headers.get("host");
}
