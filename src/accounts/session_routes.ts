/** `/api/auth/sessions`: where the caller is signed in, and ending that. */
import { Elysia } from "elysia";
import { SessionParams } from "../protocol/mod.ts";
import { endOtherSessions, endOwnSession } from "./end_own_sessions.ts";
import { listSessions } from "./list_sessions.ts";
import type { AccountRoutesContext } from "./routes.ts";

/** The routes under `/sessions`, which `routes.ts` puts under `/api/auth`. */
export function sessionRoutes({ accounts, authenticate, endSessions }: AccountRoutesContext) {
  return new Elysia({ name: "sessions" })
    .get("/sessions", async ({ request }) => {
      const caller = await authenticate(request);
      return { sessions: await listSessions(accounts, { caller }) };
    })
    .delete("/sessions", async ({ request }) => {
      const caller = await authenticate(request);
      const ended = await endOtherSessions(accounts, { caller });
      endSessions(caller.accountId, ended);
      return { ended: ended.length };
    })
    .delete(
      "/sessions/:session_id",
      async ({ request, params }) => {
        const caller = await authenticate(request);
        const ended = await endOwnSession(accounts, { caller, sessionId: params.session_id });
        endSessions(caller.accountId, ended);
        return new Response(null, { status: 204 });
      },
      { params: SessionParams },
    );
}
