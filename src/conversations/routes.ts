/** `/api/conversations` (family B of the contracts). A route parses, calls one use case, delivers, answers. */
import { Elysia } from "elysia";
import { z } from "zod";
import {
  type AccountId,
  ConversationId,
  CreateConversationBody,
  type EventFrame,
  ListConversationsQuery,
  ListMessagesQuery,
  type LogEntry,
  newMessageId,
  PostMessageBody,
  toEventFrame,
} from "../protocol/mod.ts";
import { channelRoutes } from "./channel_routes.ts";
import { listCursor, readListCursor, summaryAnswer } from "./conversation_answer.ts";
import { createConversation } from "./create_conversation.ts";
import { groupRoutes } from "./group_routes.ts";
import type { ChannelSettings } from "./membership_store.ts";
import { singleMessageRoutes } from "./message_routes.ts";
import { getConversation, listConversations, listMessages, type MessagePage } from "./read_conversations.ts";
import { type ConversationRoutesContext, tell } from "./routes_context.ts";
import { sendMessage } from "./send_message.ts";

const ConversationParams = z.object({ id: ConversationId });

/** The routes of this slice. */
export function conversationRoutes(context: ConversationRoutesContext) {
  const { conversations, authenticate } = context;
  const show = async (accountId: AccountId, id: ConversationId) =>
    summaryAnswer(await getConversation(conversations, accountId, id));
  return new Elysia({ name: "conversation slice" })
    .use(ofConversations(context))
    .use(singleMessageRoutes(context))
    .use(channelRoutes({ conversations, authenticate, tell: (told) => tell(context, told), show }));
}

function ofConversations(context: ConversationRoutesContext) {
  const { conversations, authenticate, deliver } = context;
  return new Elysia({ name: "conversations", prefix: "/api/conversations" })
    .post(
      "/",
      async ({ body, request, set }) => {
        const caller = await authenticate(request);
        const { id, created, delivery } = await createConversation(conversations, {
          creatorId: caller.accountId,
          type: body.conversation_type,
          encryption: body.encryption ?? (body.conversation_type === "channel" ? "server" : "opaque"),
          name: body.name ?? null,
          participantIds: body.participant_ids,
          retentionSeconds: body.retention_seconds ?? null,
          channel: channelOf(body),
        });
        if (delivery !== null) deliver(delivery);
        set.status = created ? 201 : 200;
        return summaryAnswer(await getConversation(conversations, caller.accountId, id));
      },
      { body: CreateConversationBody },
    )
    .get(
      "/",
      async ({ query, request }) => {
        const caller = await authenticate(request);
        const page = await listConversations(conversations, {
          accountId: caller.accountId,
          ...readListCursor(query.cursor),
          since: query.since === undefined ? null : Number(query.since),
          limit: query.limit,
        });
        return {
          conversations: page.conversations.map(summaryAnswer),
          left: page.left,
          next: listCursor(page),
          sync: String(page.sync),
        };
      },
      { query: ListConversationsQuery },
    )
    .get(
      "/:id",
      async ({ params, request }) => {
        const caller = await authenticate(request);
        return summaryAnswer(await getConversation(conversations, caller.accountId, params.id));
      },
      { params: ConversationParams },
    )
    .use(groupRoutes(context))
    .use(messageRoutes(context));
}

function messageRoutes({ conversations, authenticate, deliver }: ConversationRoutesContext) {
  return new Elysia({ name: "messages" })
    .post(
      "/:id/messages",
      async ({ params, body, request, set }) => {
        const caller = await authenticate(request);
        const { id, expires_in: expiresIn, ...content } = body;
        const sent = await sendMessage(conversations, {
          senderId: caller.accountId,
          conversationId: params.id,
          id: id ?? newMessageId(conversations.clock.now()),
          content,
          expiresIn: expiresIn ?? null,
        });
        deliver(sent.delivery);
        set.status = sent.delivery.stored ? 201 : 200;
        return toEventFrame(sent.entry);
      },
      { params: ConversationParams, body: PostMessageBody },
    )
    .get(
      "/:id/messages",
      async ({ params, query, request }) => {
        const caller = await authenticate(request);
        const page = await listMessages(conversations, {
          accountId: caller.accountId,
          conversationId: params.id,
          limit: query.limit,
          afterSeq: query.after_seq ?? null,
          beforeSeq: query.before_seq ?? null,
        });
        return { messages: page.entries.map((entry) => shown(page, entry)), next: page.next, previous: page.previous };
      },
      { params: ConversationParams, query: ListMessagesQuery },
    );
}

/** An entry on a page: a message with its reactions. */
function shown({ reactions, statuses }: MessagePage, entry: LogEntry): EventFrame {
  const frame = toEventFrame(entry);
  if (frame.type !== "message") return frame;
  const own = reactions.get(entry.seq);
  const status = statuses.get(entry.seq);
  return {
    ...frame,
    ...(own === undefined ? {} : { reactions: own.map(({ accountId, emoji }) => ({ user_id: accountId, emoji })) }),
    ...(status === undefined ? {} : { status }),
  };
}

/** What a body says of a channel; `null` where it neither asks for one nor says anything of one. */
function channelOf(body: z.infer<typeof CreateConversationBody>): ChannelSettings | null {
  const { conversation_type: type, channel, public: isPublic, posting, history } = body;
  const said = channel !== undefined || isPublic !== undefined || posting !== undefined || history !== undefined;
  if (type !== "channel" && !said) return null;
  return {
    slug: channel ?? null,
    isPublic: isPublic ?? false,
    shared: history !== "joined",
    openPosting: posting === "everybody",
  };
}
