/** `/api/users` and `/api/blocks` (family B of the contracts). A route parses, calls one use case, answers. */
import { Elysia } from "elysia";
import { z } from "zod";
import {
  AccountId,
  DomainError,
  ListBlocksQuery,
  ListUsersQuery,
  PrivateKeyBody,
  readPagePlace,
  UpdateUserBody,
  writePagePlace,
} from "../protocol/mod.ts";
import { blockUser, listBlocked, unblockUser, type WithheldChange } from "./blocks.ts";
import type { ProfileDeps } from "./deps.ts";
import { type LeavingRoutesContext, leavingRoutes } from "./leaving_routes.ts";
import { listUsers } from "./list_users.ts";
import { putPrivateKey, readPrivateKey } from "./private_key.ts";
import { getUser } from "./profile.ts";
import { updateUser } from "./update_user.ts";

/** What app.ts passes in. */
export interface PeopleRoutesContext extends LeavingRoutesContext {
  readonly people: ProfileDeps;
  /** Lets every node look again what somebody set. Called after the commit. */
  readonly settingsChanged: (id: AccountId) => void;
  /** Writes the cursors that wait here: how far somebody seems to be is kept as it is when they block. */
  readonly beforeBlock: () => Promise<void>;
  /** Somebody blocks somebody. Called after the commit. */
  readonly onBlocked: (blocker: AccountId, blocked: AccountId) => void;
  /** Lets every node look again who is told what in a dm of two people. Called after the commit. */
  readonly withheldChanged: (people: readonly AccountId[], change: WithheldChange) => void;
}

const UserParams = z.object({ id: AccountId });

/** The routes under `/api/users`, `/api/blocks`, and those of `leaving_routes.ts`. */
export function peopleRoutes(context: PeopleRoutesContext) {
  const { people, authenticate } = context;
  return new Elysia({ name: "people", prefix: "/api" })
    .get(
      "/users",
      async ({ query, request }) => {
        const { accountId } = await authenticate(request);
        return listUsers(people, { viewerId: accountId, query: query.q, cursor: query.cursor, limit: query.limit });
      },
      { query: ListUsersQuery },
    )
    .get(
      "/users/:id",
      async ({ params, request }) => {
        const { accountId } = await authenticate(request);
        return getUser(people, { viewerId: accountId, id: params.id });
      },
      { params: UserParams },
    )
    .put(
      "/users/:id",
      async ({ params, body, request }) => {
        const id = await own(context, request, params.id);
        await updateUser(people, { ...body, id });
        context.settingsChanged(id);
        return getUser(people, { viewerId: id, id });
      },
      { params: UserParams, body: UpdateUserBody },
    )
    .use(privateKeyRoutes(context))
    .use(blockRoutes(context))
    .use(leavingRoutes(context));
}

/** The caller's id, where that is the one in the address; else `forbidden`. */
async function own(context: PeopleRoutesContext, request: Request, id: AccountId): Promise<AccountId> {
  const { accountId } = await context.authenticate(request);
  if (accountId !== id) throw new DomainError("forbidden");
  return accountId;
}

function privateKeyRoutes(context: PeopleRoutesContext) {
  const { people } = context;
  return new Elysia({ name: "private keys" })
    .get(
      "/users/:id/private-key",
      async ({ params, request, set }) => {
        const accountId = await own(context, request, params.id);
        const { etag, ...key } = await readPrivateKey(people, { accountId });
        set.headers["etag"] = etag;
        return key;
      },
      { params: UserParams },
    )
    .put(
      "/users/:id/private-key",
      async ({ params, body, request, set }) => {
        const accountId = await own(context, request, params.id);
        const etag = await putPrivateKey(people, {
          accountId,
          blob: body.private_key_encrypted,
          ifMatch: request.headers.get("if-match"),
          ifNoneMatch: request.headers.get("if-none-match"),
        });
        set.headers["etag"] = etag;
        set.status = 204;
      },
      { params: UserParams, body: PrivateKeyBody },
    );
}

function blockRoutes({ people, authenticate, beforeBlock, onBlocked, withheldChanged }: PeopleRoutesContext) {
  return new Elysia({ name: "blocks" })
    .post(
      "/users/:id/block",
      async ({ params, request, set }) => {
        const { accountId } = await authenticate(request);
        await beforeBlock();
        const changed = await blockUser(people, { blockerId: accountId, blockedId: params.id });
        for (const change of changed) withheldChanged([accountId, params.id], change);
        onBlocked(accountId, params.id);
        set.status = 204;
      },
      { params: UserParams },
    )
    .delete(
      "/users/:id/block",
      async ({ params, request, set }) => {
        const { accountId } = await authenticate(request);
        const changed = await unblockUser(people, { blockerId: accountId, blockedId: params.id });
        for (const change of changed) withheldChanged([accountId, params.id], change);
        set.status = 204;
      },
      { params: UserParams },
    )
    .get(
      "/blocks",
      async ({ query, request }) => {
        const { accountId } = await authenticate(request);
        const behind = readPagePlace(query.cursor, AccountId);
        const page = await listBlocked(people, { accountId, behind, limit: query.limit });
        return { users: page.users, next: writePagePlace(page.next) };
      },
      { query: ListBlocksQuery },
    );
}
