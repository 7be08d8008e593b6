/** The routes of the room's contract: accounts, history, and the socket. */
import { Elysia } from "elysia";
import { type AccountDeps, type Principal, signIn, signUp } from "../../accounts/mod.ts";
import type { ConversationsDeps } from "../../conversations/mod.ts";
import { type AccountId, DomainError, type SessionId } from "../../protocol/mod.ts";
import { type UpgradeContext, upgradeSocket } from "../../realtime/mod.ts";
import { HistoryQuery, LoginBody, RegisterBody } from "./bodies.ts";
import type { Hall } from "./hall.ts";
import { readHistory } from "./history.ts";
import type { Names } from "./names.ts";
import { adviseOnRoomPassword } from "./password_rule.ts";

/** What app.ts passes in. */
export interface RoomContext extends UpgradeContext {
  readonly accounts: AccountDeps;
  readonly conversations: ConversationsDeps;
  readonly room: Room;
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Judges an access token; throws `unauthorized` or `token_expired`. */
  readonly verify: (token: string) => Promise<Principal>;
  /** Redeems a one-time ticket; throws `unauthorized`. */
  readonly redeemTicket: (ticket: string) => Promise<Principal>;
  /** Closes the sockets of sessions that have ended. */
  readonly endSessions: (accountId: AccountId, sessionIds: readonly SessionId[]) => void;
  /** Whether an access token may stand in an address. */
  readonly allowQueryToken: boolean;
}

/** The room while it runs. */
export interface Room extends AsyncDisposable {
  readonly hall: Hall;
  readonly names: Names;
  /** Makes the conversation, unless it is there. */
  readonly make: () => Promise<void>;
}

/** All routes of the room's contract. */
export function roomRoutes(context: RoomContext) {
  return new Elysia({ name: "room" }).use(accountRoutes(context)).use(chatRoutes(context));
}

function accountRoutes({ accounts, addressOf, endSessions }: RoomContext) {
  return new Elysia({ name: "room accounts", prefix: "/api/auth" })
    .post(
      "/register",
      async ({ body, request, set }) => {
        const { username, password } = body;
        const advice = adviseOnRoomPassword(password);
        if (advice.length > 0) throw new DomainError("weak_password", { details: { advice } });
        const address = addressOf(request);
        await accounts.throttle.take(["room_register_address", address]);
        // This contract has a rule of its own, so the strength estimate has no say.
        const { answer } = await signUp(accounts, { username, password, address, strength: "advice" });
        const { user, access_token, token_type, expires_in } = answer;
        set.status = 201;
        return {
          ...{ id: user.id, username: user.username, created_at: user.created_at },
          ...{ access_token, token_type, expires_in },
        };
      },
      { body: RegisterBody },
    )
    .post(
      "/login",
      async ({ body, request }) => {
        const address = addressOf(request);
        await accounts.throttle.take(["room_login_address", address]);
        const { answer, accountId, ended } = await signIn(accounts, { ...body, address });
        endSessions(accountId, ended);
        const { access_token, token_type, expires_in } = answer;
        return { access_token, token_type, expires_in };
      },
      { body: LoginBody },
    );
}

function chatRoutes(context: RoomContext) {
  const { authenticate, conversations, room } = context;
  return new Elysia({ name: "room chat" })
    .get(
      "/api/chat/messages",
      async ({ query, request }) => {
        await authenticate(request);
        await room.make();
        const { limit, before = null } = query;
        return readHistory({ conversations, names: room.names }, { limit, before });
      },
      { query: HistoryQuery },
    )
    .get("/ws/chat", ({ request, server }) =>
      upgradeSocket(context, request, server, {
        expected: null,
        annex: room.hall,
        identify: () => principalOf(context, request),
      }),
    );
}

/** Tickets have no dot, and every access token has two (RFC 7519 section 3). */
const ACCESS_TOKEN = /\./;

/** Who a header, a ticket or, where that is allowed, a token in the address says it is; `null` where there is none. */
async function principalOf(context: RoomContext, request: Request): Promise<Principal | null> {
  if (request.headers.has("authorization")) return context.authenticate(request);
  const token = new URL(request.url).searchParams.get("token");
  if (token === null) return null;
  if (!ACCESS_TOKEN.test(token)) return context.redeemTicket(token);
  // Addresses are kept in logs and histories, and a token opens everything until it ends.
  if (!context.allowQueryToken) throw new DomainError("unauthorized");
  return context.verify(token);
}
