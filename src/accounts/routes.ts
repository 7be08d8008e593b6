/**
 * `/api/auth` (family B of the contracts). A route parses with a schema of the protocol, calls one
 * use case, and answers; refusals are thrown and mapped in `http/error_answer.ts`.
 */
import { Elysia } from "elysia";
import { type AccountId, RefreshBody, type SessionId, SignInBody, SignOutBody, SignUpBody } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { emailRoutes, magicLinkRoutes } from "./email_routes.ts";
import { getMe } from "./get_me.ts";
import { mailLanguage } from "./mail_texts.ts";
import { passwordRoutes } from "./password_routes.ts";
import type { Principal } from "./principal.ts";
import { refreshSession } from "./refresh_session.ts";
import { sessionRoutes } from "./session_routes.ts";
import { signIn } from "./sign_in.ts";
import { signOut } from "./sign_out.ts";
import { signUp } from "./sign_up.ts";
import { createTicket } from "./tickets.ts";

/** What app.ts passes in. */
export interface AccountRoutesContext {
  readonly accounts: AccountDeps;
  /** Who the request speaks for; throws `unauthorized` or `token_expired`. */
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** The address the request came from, for throttling. */
  readonly addressOf: (request: Request) => string;
  /** Closes the sockets of sessions that have ended. Called after the commit. */
  readonly endSessions: (accountId: AccountId, sessionIds: readonly SessionId[]) => void;
}

/** The routes under `/api/auth`. */
export function accountRoutes(context: AccountRoutesContext) {
  const { accounts } = context;
  return new Elysia({ name: "accounts", prefix: "/api/auth" })
    .use(passwordRoutes(context))
    .use(magicLinkRoutes(context))
    .use(emailRoutes(context))
    .post(
      "/signup",
      async ({ body, request, set }) => {
        const from = { address: context.addressOf(request), language: mailLanguage(request.headers) };
        const { answer } = await signUp(accounts, { ...body, ...from, strength: "rule" });
        set.status = 201;
        return answer;
      },
      { body: SignUpBody },
    )
    .post(
      "/signin",
      async ({ body, request }) => {
        const { answer, accountId, ended } = await signIn(accounts, { ...body, address: context.addressOf(request) });
        context.endSessions(accountId, ended);
        return answer;
      },
      { body: SignInBody },
    )
    .post(
      "/refresh",
      async ({ body, request }) => {
        const address = context.addressOf(request);
        const result = await refreshSession(accounts, { refreshToken: body.refresh_token, address });
        if ("answer" in result) return result.answer;
        context.endSessions(result.accountId, result.ended);
        throw result.refusal;
      },
      { body: RefreshBody },
    )
    .post(
      "/signout",
      async ({ body, request }) => {
        // A refresh token alone is enough: the access token may have expired meanwhile.
        const bearer = request.headers.has("authorization") || body.refresh_token === undefined;
        const caller = bearer ? await context.authenticate(request) : null;
        const { accountId, ended } = await signOut(accounts, { caller, refreshToken: body.refresh_token ?? null });
        context.endSessions(accountId, ended);
        return new Response(null, { status: 204 });
      },
      { body: SignOutBody },
    )
    .get("/me", async ({ request }) => {
      const caller = await context.authenticate(request);
      const me = await getMe(accounts, { accountId: caller.accountId });
      return { ...me, session_id: caller.sessionId, device_id: caller.deviceId };
    })
    .post("/ws-ticket", async ({ request }) => {
      const caller = await context.authenticate(request);
      return createTicket(accounts, { caller });
    })
    .use(sessionRoutes(context));
}
