/** The account's e-mail address, and signing in by it: under `/api/auth`. */
import { Elysia } from "elysia";
import { AskLinkBody, ChangeEmailBody, MagicLinkBody, VerifyEmailBody } from "../protocol/mod.ts";
import { askForEmailChange, askForLink, askForVerification } from "./ask_for_link.ts";
import { mailLanguage } from "./mail_texts.ts";
import type { AccountRoutesContext } from "./routes.ts";
import { signInByLink } from "./sign_in_by_link.ts";
import { verifyEmail } from "./verify_email.ts";

/** `/magic-link` and `/magic-link/verify`. */
export function magicLinkRoutes({ accounts, addressOf, endSessions }: AccountRoutesContext) {
  return new Elysia({ name: "magic links" })
    .post(
      "/magic-link",
      async ({ body, request, set }) => {
        const asked = { email: body.email, address: addressOf(request), language: mailLanguage(request.headers) };
        const answer = await askForLink(accounts, { ...asked, purpose: "sign_in" });
        set.status = 202;
        return answer;
      },
      { body: AskLinkBody },
    )
    .post(
      "/magic-link/verify",
      async ({ body }) => {
        const { answer, accountId, ended } = await signInByLink(accounts, body);
        endSessions(accountId, ended);
        return answer;
      },
      { body: MagicLinkBody },
    );
}

/** `/email`, `/email/verification` and `/email/verify`. */
export function emailRoutes({ accounts, authenticate, addressOf }: AccountRoutesContext) {
  return new Elysia({ name: "e-mail" })
    .post(
      "/email",
      async ({ body, request, set }) => {
        const { accountId } = await authenticate(request);
        const from = { accountId, address: addressOf(request), language: mailLanguage(request.headers) };
        const answer = await askForEmailChange(accounts, { ...body, ...from });
        set.status = 202;
        return answer;
      },
      { body: ChangeEmailBody },
    )
    .post("/email/verification", async ({ request, set }) => {
      const { accountId } = await authenticate(request);
      const from = { accountId, address: addressOf(request), language: mailLanguage(request.headers) };
      const answer = await askForVerification(accounts, from);
      set.status = 202;
      return answer;
    })
    .post(
      "/email/verify",
      async ({ body, request }) => {
        const email = await verifyEmail(accounts, { token: body.token, language: mailLanguage(request.headers) });
        return { email, email_verified: true };
      },
      { body: VerifyEmailBody },
    );
}
