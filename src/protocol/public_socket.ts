/**
 * The socket of a public channel as `/asyncapi.json` describes it: schemas of what the server sends there,
 * and notes of all its frames; see `sockets.ts`. Nothing is parsed by the schemas at run time.
 */
import { z } from "zod";
import {
  ChannelSlug,
  type PublicClientFrame,
  PublicClientFrame as PublicClientSchema,
  type PublicServerFrame,
} from "./channels.ts";
import { MessageId } from "./ids.ts";
import { ERROR_FRAME, PONG_FRAME } from "./server_frames.ts";
import {
  type ClientFrameNote,
  COMMON_CLIENT_NOTES,
  COMMON_SERVER_NOTES,
  type FrameNote,
  type SocketDescription,
} from "./sockets.ts";

const Time = z.iso.datetime();
const Seq = z.int().min(0).describe("A place in the channel's log; some are no announcements");
const Changed = {
  channel: ChannelSlug,
  seq: Seq,
  message_id: MessageId,
  message_seq: Seq.describe("The place of the announcement"),
  created_at: Time,
};

const ENTRIES = [
  z.strictObject({
    type: z.literal("announcement"),
    channel: ChannelSlug,
    seq: Seq,
    id: MessageId,
    content: z.string(),
    created_at: Time,
    edited_at: Time.optional().describe("When it was said otherwise last: `content` is what it says now"),
    expires_at: Time.optional().describe("From then on it is not to be shown any more"),
  }),
  z.strictObject({ type: z.literal("edit"), ...Changed, content: z.string(), expires_at: Time.optional() }),
  z.strictObject({ type: z.literal("deletion"), ...Changed }),
] as const;

/** Every frame that the server may send to a reader of a public channel. */
export const PublicServerSchema = z.discriminatedUnion("type", [
  ...ENTRIES,
  PONG_FRAME,
  ERROR_FRAME,
  z.strictObject({
    type: z.literal("subscribed"),
    channel: ChannelSlug,
    name: z.string().nullable(),
    last_seq: Seq,
    heartbeat_ms: z.int().min(1).describe("Milliseconds between the server's pings"),
  }),
  z.strictObject({
    type: z.literal("page"),
    ref: PONG_FRAME.shape.ref,
    channel: ChannelSlug,
    announcements: z.array(z.discriminatedUnion("type", [...ENTRIES])).max(100),
    next: z
      .int()
      .min(0)
      .nullable()
      .describe("The `after_seq` to go on with; `null`: that was all, and the socket is live"),
  }),
]);

const channel = "news";
const created_at = "2026-01-31T09:30:00.000Z";
const id = "0198f3a2-6d2f-7e51-8c2a-3a7b8d4e5f61";
const announcement = { type: "announcement", channel, seq: 42, id, content: "We open at nine", created_at };
const changed = { channel, seq: 43, message_id: id, message_seq: 42, created_at };

const CLIENT_NOTES: Readonly<Record<PublicClientFrame["type"], ClientFrameNote>> = {
  ping: COMMON_CLIENT_NOTES.ping,
  subscribe: {
    summary: "Ask for what was announced after a seq, and go on from there; without one, from now on",
    example: { type: "subscribe", ref: 1, after_seq: 41 },
    answers: ["page"],
    errors: ["too_many_in_flight"],
  },
};

const SERVER_NOTES: Readonly<Record<PublicServerFrame["type"], FrameNote>> = {
  subscribed: {
    summary: "The first frame: from here on every announcement comes",
    example: { type: "subscribed", channel, name: "News", last_seq: 41, heartbeat_ms: 30_000 },
  },
  announcement: { summary: "Something was announced", example: announcement },
  edit: {
    summary: "An announcement says something else now",
    example: { type: "edit", ...changed, content: "At ten" },
  },
  deletion: { summary: "An announcement is gone", example: { type: "deletion", ...changed } },
  page: {
    summary: "The answer to `subscribe`: at most 100 announcements as they are now",
    example: { type: "page", ref: 1, channel, announcements: [announcement], next: null },
  },
  pong: COMMON_SERVER_NOTES.pong,
  error: COMMON_SERVER_NOTES.error,
};

/** The socket of a public channel, for everybody. */
export const PUBLIC_SOCKET: SocketDescription = {
  name: "publicChannel",
  addresses: { "/ws/public/{channel}": "What is announced in a public channel, for everybody" },
  summary: "No account is needed, and nothing is heard of who reads",
  query: {},
  auth: "none",
  client: { schema: PublicClientSchema, notes: CLIENT_NOTES },
  server: { schema: PublicServerSchema, notes: SERVER_NOTES },
  closes: ["bad_protocol", "channel_gone", "unavailable", "slow_reader", "flooding", "draining"],
};
