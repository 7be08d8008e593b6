/** `/api/users/{id}/public-key` (family B of the contracts). */
import { Elysia } from "elysia";
import { z } from "zod";
import { AccountId, DomainError } from "../protocol/mod.ts";
import type { KeysDeps } from "./deps.ts";
import { getPublicKey } from "./get_public_key.ts";

/** What app.ts passes in. */
export interface KeyRoutesContext {
  readonly keys: KeysDeps;
  /** Throws when the request speaks for nobody. */
  readonly authenticate: (request: Request) => Promise<unknown>;
}

const UserParams = z.object({ id: AccountId });

/** The route that gives the current public key of a user; `not_found` where there is none. */
export function keyRoutes(context: KeyRoutesContext) {
  return new Elysia({ name: "keys", prefix: "/api/users" }).get(
    "/:id/public-key",
    async ({ params, request }) => {
      await context.authenticate(request);
      const key = await getPublicKey(context.keys, params.id);
      if (key === null) throw new DomainError("not_found");
      return key;
    },
    { params: UserParams },
  );
}
