/** The routes that change a conversation, who is in it, and what the caller keeps of it. */
import { Elysia } from "elysia";
import { z } from "zod";
import {
  AccountId,
  AddParticipantBody,
  ConversationId,
  ConversationSettingsBody,
  ListParticipantsQuery,
  SetRoleBody,
  UpdateConversationBody,
} from "../protocol/mod.ts";
import { setRole, updateConversation } from "./change_conversation.ts";
import { participantAnswer, settingsFrame, summaryAnswer } from "./conversation_answer.ts";
import { deleteConversation } from "./delete_conversation.ts";
import { updateSettings } from "./own_settings.ts";
import { addParticipant, getParticipant, listParticipants, removeParticipant } from "./participants.ts";
import { getConversation } from "./read_conversations.ts";
import { type ConversationRoutesContext, tell } from "./routes_context.ts";

const ConversationParams = z.object({ id: ConversationId });
const ParticipantParams = z.object({ id: ConversationId, user_id: AccountId });

/** The routes under `/api/conversations/{id}` beside those that read it and its messages. */
export function groupRoutes(context: ConversationRoutesContext) {
  const { conversations, authenticate, deliver, signal } = context;
  return new Elysia({ name: "groups" })
    .put(
      "/:id",
      async ({ params, body, request }) => {
        const { accountId } = await authenticate(request);
        const delivery = await updateConversation(conversations, {
          actorId: accountId,
          conversationId: params.id,
          id: body.id ?? null,
          name: body.name,
          retentionSeconds: body.retention_seconds,
        });
        if (delivery !== null) deliver(delivery);
        return summaryAnswer(await getConversation(conversations, accountId, params.id));
      },
      { params: ConversationParams, body: UpdateConversationBody },
    )
    .delete(
      "/:id",
      async ({ params, request, set }) => {
        const { accountId } = await authenticate(request);
        const input = { actorId: accountId, conversationId: params.id, deliver };
        if ((await deleteConversation(conversations, input)) === "cleared") {
          signal([accountId], settingsFrame(await getConversation(conversations, accountId, params.id)));
        }
        set.status = 204;
      },
      { params: ConversationParams },
    )
    .put(
      "/:id/settings",
      async ({ params, body, request }) => {
        const { accountId } = await authenticate(request);
        await updateSettings(conversations, {
          accountId,
          conversationId: params.id,
          mutedUntil: typeof body.muted_until === "string" ? Date.parse(body.muted_until) : body.muted_until,
          archived: body.archived,
          pinned: body.pinned,
        });
        const summary = await getConversation(conversations, accountId, params.id);
        signal([accountId], settingsFrame(summary));
        return summaryAnswer(summary);
      },
      { params: ConversationParams, body: ConversationSettingsBody },
    )
    .use(participantRoutes(context));
}

function participantRoutes(context: ConversationRoutesContext) {
  const { conversations, authenticate, deliver } = context;
  return new Elysia({ name: "participants" })
    .get(
      "/:id/participants",
      async ({ params, query, request }) => {
        const { accountId } = await authenticate(request);
        const page = await listParticipants(conversations, {
          accountId,
          conversationId: params.id,
          beyond: query.cursor ?? null,
          limit: query.limit,
        });
        return { participants: page.participants.map(participantAnswer), next: page.next };
      },
      { params: ConversationParams, query: ListParticipantsQuery },
    )
    .post(
      "/:id/participants",
      async ({ params, body, request, set }) => {
        const { accountId } = await authenticate(request);
        const change = { actorId: accountId, conversationId: params.id, accountId: body.user_id };
        tell(context, await addParticipant(conversations, change));
        set.status = 201;
        return summaryAnswer(await getConversation(conversations, accountId, params.id));
      },
      { params: ConversationParams, body: AddParticipantBody },
    )
    .put(
      "/:id/participants/:user_id",
      async ({ params, body, request }) => {
        const { accountId } = await authenticate(request);
        const change = { actorId: accountId, conversationId: params.id, accountId: params.user_id };
        const delivery = await setRole(conversations, { ...change, id: body.id ?? null, role: body.role });
        if (delivery !== null) deliver(delivery);
        return participantAnswer(await getParticipant(conversations, params.id, params.user_id));
      },
      { params: ParticipantParams, body: SetRoleBody },
    )
    .delete(
      "/:id/participants/:user_id",
      async ({ params, request, set }) => {
        const { accountId } = await authenticate(request);
        const change = { actorId: accountId, conversationId: params.id, accountId: params.user_id };
        tell(context, await removeParticipant(conversations, change));
        set.status = 204;
      },
      { params: ParticipantParams },
    );
}
