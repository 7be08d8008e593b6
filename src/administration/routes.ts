/** `/api/announcements`: administrators speak to everybody. */
import { Elysia } from "elysia";
import type { Principal } from "../accounts/mod.ts";
import type { Delivery } from "../conversations/mod.ts";
import { AnnounceBody, newMessageId, toEventFrame } from "../protocol/mod.ts";
import { type Announcer, announce } from "./announce.ts";

/** What app.ts passes in. */
export interface AnnouncementRoutesContext extends Announcer {
  readonly authenticate: (request: Request) => Promise<Principal>;
  /** Hands what was committed to the spine. */
  readonly deliver: (delivery: Delivery) => void;
}

/** See the head of this file. */
export function announcementRoutes({ authenticate, deliver, ...deps }: AnnouncementRoutesContext) {
  return new Elysia({ name: "announcements" }).post(
    "/api/announcements",
    async ({ body, request, set }) => {
      const { accountId } = await authenticate(request);
      const { id = newMessageId(deps.conversations.clock.now()), content, expires_in: expiresIn = null } = body;
      const { entry, delivery } = await announce(deps, { actorId: accountId, id, content, expiresIn });
      deliver(delivery);
      set.status = delivery.stored ? 201 : 200;
      return toEventFrame(entry);
    },
    { body: AnnounceBody },
  );
}
