/** `/api/messages` (family B of the contracts): what is done to one message, known by its id. */
import { Elysia } from "elysia";
import type { z } from "zod";
import {
  type AccountId,
  AddReactionBody,
  DeleteMessageQuery,
  EditMessageBody,
  ListHiddenQuery,
  MessageParams,
  newMessageId,
  ReactionParams,
  toEventFrame,
} from "../protocol/mod.ts";
import { deleteMessage, editMessage, react } from "./change_message.ts";
import { hideFromSelf, listHiddenMessages } from "./hide_message.ts";
import type { ConversationRoutesContext } from "./routes_context.ts";

/** The routes under `/api/messages`. */
export function singleMessageRoutes(context: ConversationRoutesContext) {
  const { conversations, authenticate, deliver, signal } = context;
  return new Elysia({ name: "message changes", prefix: "/api/messages" })
    .get(
      "/hidden",
      async ({ query, request }) => {
        const { accountId } = await authenticate(request);
        return listHiddenMessages(conversations, { accountId, after: query.after, limit: query.limit });
      },
      { query: ListHiddenQuery },
    )
    .put(
      "/:id",
      async ({ params, body, request }) => {
        const { accountId: actorId } = await authenticate(request);
        const { id = newMessageId(conversations.clock.now()), ...content } = body;
        const edited = await editMessage(conversations, { actorId, messageId: params.id, id, content });
        deliver(edited.delivery);
        return toEventFrame(edited.message);
      },
      { params: MessageParams, body: EditMessageBody },
    )
    .delete(
      "/:id",
      async ({ params, query, request, set }) => {
        const { accountId: actorId } = await authenticate(request);
        const change = { actorId, messageId: params.id };
        if (query.for === "me") {
          const hidden = await hideFromSelf(conversations, change);
          signal([actorId], { type: "message_hidden", ...hidden });
        } else {
          const delivery = await deleteMessage(conversations, change);
          if (delivery !== null) deliver(delivery);
        }
        set.status = 204;
      },
      { params: MessageParams, query: DeleteMessageQuery },
    )
    .use(reactionRoutes(context));
}

function reactionRoutes({ conversations, authenticate, deliver }: ConversationRoutesContext) {
  /** Whether anything was changed. */
  const apply = async (
    actorId: AccountId,
    { id: messageId, emoji }: z.infer<typeof ReactionParams>,
    change: "added" | "removed",
  ): Promise<boolean> => {
    const id = newMessageId(conversations.clock.now());
    const reacted = await react(conversations, { actorId, messageId, conversationId: null, id, emoji, change });
    if (reacted.delivery !== null) deliver(reacted.delivery);
    return reacted.delivery !== null;
  };
  return new Elysia({ name: "reactions" })
    .post(
      "/:id/reactions",
      async ({ params, body, request, set }) => {
        const { accountId } = await authenticate(request);
        set.status = (await apply(accountId, { ...params, ...body }, "added")) ? 201 : 200;
        return { user_id: accountId, emoji: body.emoji };
      },
      { params: MessageParams, body: AddReactionBody },
    )
    .delete(
      "/:id/reactions/:emoji",
      async ({ params, request, set }) => {
        const { accountId } = await authenticate(request);
        await apply(accountId, params, "removed");
        set.status = 204;
      },
      { params: ReactionParams },
    );
}
