/** `/api/auth/export` and `/api/auth/delete-account`: both ask for the password again. */
import { Elysia } from "elysia";
import { type AccountDeps, closeAccount, type Principal, requirePassword } from "../accounts/mod.ts";
import { type AccountId, type SessionId, StepUpBody } from "../protocol/mod.ts";
import { type ExportDeps, exportAccount } from "./export.ts";

/** What app.ts passes in. */
export interface LeavingRoutesContext {
  readonly accounts: AccountDeps;
  readonly exports: ExportDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** The address the request came from, for throttling. */
  readonly addressOf: (request: Request) => string;
  /** Closes the sockets of sessions that have ended. Called after the commit. */
  readonly endSessions: (accountId: AccountId, sessionIds: readonly SessionId[]) => void;
  /** An account was closed: begin to remove it. */
  readonly onClosed: () => void;
}

const ARCHIVE = {
  "content-type": "application/gzip",
  "content-disposition": 'attachment; filename="sotto-export.tar.gz"',
};

/** See the head of this file; mounted under `/api`. */
export function leavingRoutes(context: LeavingRoutesContext) {
  const { accounts, authenticate, addressOf } = context;
  return new Elysia({ name: "leaving", prefix: "/auth" })
    .post(
      "/export",
      async ({ body, request }) => {
        const { accountId } = await authenticate(request);
        await requirePassword(accounts, { accountId, password: body.password, address: addressOf(request) });
        return new Response(exportAccount(context.exports, { accountId }), { headers: ARCHIVE });
      },
      { body: StepUpBody },
    )
    .post(
      "/delete-account",
      async ({ body, request, set }) => {
        const { accountId } = await authenticate(request);
        const ended = await closeAccount(accounts, { accountId, password: body.password, address: addressOf(request) });
        context.endSessions(accountId, ended);
        context.onClosed();
        set.status = 202;
        return { state: "leaving" };
      },
      { body: StepUpBody },
    );
}
