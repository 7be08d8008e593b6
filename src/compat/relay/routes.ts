/** The routes of the relay contract: accounts and keys here, messages beside. */
import { Elysia } from "elysia";
import { getMe, signIn, signUp, type UserAnswer } from "../../accounts/mod.ts";
import { getPublicKey, setPublicKey } from "../../keys/mod.ts";
import { DomainError } from "../../protocol/mod.ts";
import { LoginBody, RegisterBody, UpdateKeyBody, UserParams } from "./bodies.ts";
import type { RelayContext } from "./context.ts";
import { relayMessageRoutes } from "./message_routes.ts";

export type { RelayContext } from "./context.ts";

/** Bodies that differ from the standard: the login page of the OAuth 2 password flow sends a form. */
export const relayBodyRules = { "/login": { form: true } } as const;

/** All routes of the relay contract, at the root. */
export function relayRoutes(context: RelayContext) {
  return new Elysia({ name: "relay" })
    .use(accountRoutes(context))
    .use(keyRoutes(context))
    .use(relayMessageRoutes(context));
}

function accountRoutes({ accounts, addressOf, authenticate, endSessions }: RelayContext) {
  return new Elysia({ name: "relay accounts" })
    .post(
      "/register",
      async ({ body, request, set }) => {
        const { name: username, password, public_key } = body;
        // This contract promised no rule about strength, so it only advises.
        const input = { username, password, public_key, address: addressOf(request), strength: "advice" } as const;
        const { answer, advice } = await signUp(accounts, input);
        const { user, ...tokens } = answer;
        set.status = 201;
        return { ...userAnswer(user), ...tokens, ...(advice.length === 0 ? {} : { password_advice: advice }) };
      },
      { body: RegisterBody },
    )
    .post(
      "/login",
      async ({ body, request }) => {
        const { name, username = name, ...given } = body;
        const input = { ...given, username, address: addressOf(request) };
        const { answer, accountId, ended } = await signIn(accounts, input);
        endSessions(accountId, ended);
        return answer;
      },
      { body: LoginBody },
    )
    .get("/me", async ({ request }) => {
      const caller = await authenticate(request);
      return userAnswer(await getMe(accounts, { accountId: caller.accountId }));
    });
}

function keyRoutes({ keys, authenticate, announceKey }: RelayContext) {
  return new Elysia({ name: "relay keys" })
    .get(
      "/public-key/:user_id",
      async ({ params, request }) => {
        await authenticate(request);
        const key = await getPublicKey(keys, params.user_id);
        if (key === null) throw new DomainError("not_found");
        return key;
      },
      { params: UserParams },
    )
    .put(
      "/update-key",
      async ({ body, request }) => {
        const caller = await authenticate(request);
        const { changed, key } = await setPublicKey(keys, { accountId: caller.accountId, pem: body.public_key });
        // Also when nothing changed: the first attempt may have died before everybody was told.
        await announceKey(key);
        return { changed, ...key };
      },
      { body: UpdateKeyBody },
    );
}

/** An account in the words of this contract. */
function userAnswer(user: UserAnswer) {
  return { id: user.id, name: user.username, public_key: user.public_key, created_at: user.created_at };
}
