/** Changing a password, and choosing another one by a link: under `/api/auth`. */
import { Elysia } from "elysia";
import { AskLinkBody, ChangePasswordBody, ResetPasswordBody } from "../protocol/mod.ts";
import { askForLink } from "./ask_for_link.ts";
import { changePassword } from "./change_password.ts";
import { mailLanguage } from "./mail_texts.ts";
import { resetPassword } from "./reset_password.ts";
import type { AccountRoutesContext } from "./routes.ts";

/** `/change-password`, `/password-reset` and `/password-reset/verify`. */
export function passwordRoutes({ accounts, authenticate, addressOf, endSessions }: AccountRoutesContext) {
  return new Elysia({ name: "passwords" })
    .post(
      "/change-password",
      async ({ body, request }) => {
        const caller = await authenticate(request);
        const ended = await changePassword(accounts, {
          ...{ caller, currentPassword: body.current_password, newPassword: body.new_password },
          ...{ address: addressOf(request), language: mailLanguage(request.headers) },
        });
        endSessions(caller.accountId, ended);
        return new Response(null, { status: 204 });
      },
      { body: ChangePasswordBody },
    )
    .post(
      "/password-reset",
      async ({ body, request, set }) => {
        const asked = { email: body.email, address: addressOf(request), language: mailLanguage(request.headers) };
        const answer = await askForLink(accounts, { ...asked, purpose: "reset_password" });
        set.status = 202;
        return answer;
      },
      { body: AskLinkBody },
    )
    .post(
      "/password-reset/verify",
      async ({ body, request }) => {
        const input = { token: body.token, newPassword: body.new_password, language: mailLanguage(request.headers) };
        const { accountId, ended } = await resetPassword(accounts, input);
        endSessions(accountId, ended);
        return new Response(null, { status: 204 });
      },
      { body: ResetPasswordBody },
    );
}
