/** `/api/channels`, and joining: public channels for everybody who is signed in. */
import { Elysia } from "elysia";
import { z } from "zod";
import type { Principal } from "../accounts/mod.ts";
import { type AccountId, ChannelSlug, ConversationId, ListChannelsQuery } from "../protocol/mod.ts";
import { joinChannel } from "./channel_members.ts";
import { listChannels, requireChannel } from "./channels.ts";
import type { PublicChannel } from "./channels_store.ts";
import type { ConversationsDeps, Delivery, Doorbell } from "./deps.ts";

/** What the routes of conversations pass in. */
export interface ChannelRoutesContext {
  readonly conversations: ConversationsDeps;
  readonly authenticate: (request: Request) => Promise<Principal>;
  readonly tell: (told: Delivery | Doorbell) => void;
  /** A conversation as one of its members is shown it. */
  readonly show: (accountId: AccountId, id: ConversationId) => Promise<object>;
}

const ChannelParams = z.object({ channel: ChannelSlug });

/** See the head of this file. */
export function channelRoutes({ conversations, authenticate, tell, show }: ChannelRoutesContext) {
  async function join(request: Request, set: { status?: number | string }, find: () => Promise<ConversationId>) {
    const { accountId } = await authenticate(request);
    const id = await find();
    const told = await joinChannel(conversations, accountId, id);
    if (told !== null) tell(told);
    set.status = told === null ? 200 : 201;
    return show(accountId, id);
  }

  return new Elysia({ name: "channels" })
    .post("/api/conversations/:id/join", ({ params, request, set }) => join(request, set, async () => params.id), {
      params: z.object({ id: ConversationId }),
    })
    .get(
      "/api/channels",
      async ({ query, request }) => {
        await authenticate(request);
        const page = { beginning: query.q, behind: query.cursor ?? null, limit: query.limit };
        const { channels, next } = await listChannels(conversations, page);
        return { channels: channels.map(channelAnswer), next };
      },
      { query: ListChannelsQuery },
    )
    .get(
      "/api/channels/:channel",
      async ({ params, request }) => {
        await authenticate(request);
        return channelAnswer(await requireChannel(conversations, params.channel));
      },
      { params: ChannelParams },
    )
    .post(
      "/api/channels/:channel/join",
      ({ params, request, set }) =>
        join(request, set, async () => (await requireChannel(conversations, params.channel)).id),
      { params: ChannelParams },
    );
}

function channelAnswer(channel: PublicChannel) {
  return {
    id: channel.id,
    channel: channel.channel,
    name: channel.name,
    posting: channel.openPosting ? "everybody" : "admins",
    participant_count: channel.members,
    last_seq: channel.lastSeq,
    last_activity: new Date(channel.lastActivity).toISOString(),
    created_at: new Date(channel.createdAt).toISOString(),
  };
}
