/**
 * Channels: how they are made and found, and the frames of `/ws/public/{channel}`, which SPEC.md numbers as PUB.
 */
import { z } from "zod";
import type { ErrorCode } from "./errors.ts";
import type { EventFrame } from "./frames.ts";
import type { MessageId } from "./ids.ts";

/** A channel's name in addresses. */
export const ChannelSlug = z
  .string()
  .regex(/^[a-z0-9-]{3,50}$/, { error: "must be 3 to 50 lower-case letters, digits or -" });

/** What who comes late may read: what is said from then on, or also what was before them. */
export const ChannelHistory = z.enum(["joined", "shared"]);
/** See {@link ChannelHistory}. */
export type ChannelHistory = z.infer<typeof ChannelHistory>;

/** Who may post: owners and admins, or every member. */
export const ChannelPosting = z.enum(["admins", "everybody"]);
/** See {@link ChannelPosting}. */
export type ChannelPosting = z.infer<typeof ChannelPosting>;

/** What `POST /api/conversations` takes of a channel, and of nothing else. */
export const ChannelFields = {
  channel: ChannelSlug.optional(),
  /** Anybody may find, read and join it. Standard: false. */
  public: z.boolean().optional(),
  /** Standard: `admins`. */
  posting: ChannelPosting.optional(),
  /** Standard: `shared`. */
  history: ChannelHistory.optional(),
};

/** `GET /api/channels`: `q` is the beginning of an address; `cursor` is the `next` of the page before. */
export const ListChannelsQuery = z.object({
  q: z
    .string()
    .regex(/^[a-z0-9-]{0,50}$/, { error: "must be the beginning of a channel's address" })
    .default(""),
  limit: z.coerce.number().int().min(1).max(100).default(20),
  cursor: ChannelSlug.optional(),
});

const ref = z.union([z.string().max(64), z.int()]).optional();

/** Asks for the announcements after a seq, and to go on from there; without it, from now on [PUB-3]. */
export const SubscribeFrame = z.object({
  type: z.literal("subscribe"),
  ref,
  after_seq: z.int().min(0).optional(),
});

/** What a reader of a public channel may send. */
export const PublicClientFrame = z.discriminatedUnion("type", [
  SubscribeFrame,
  z.object({ type: z.literal("ping"), ref }),
]);
/** See {@link PublicClientFrame}. */
export type PublicClientFrame = z.infer<typeof PublicClientFrame>;

/** What was said in a public channel. */
export interface AnnouncementFrame {
  readonly type: "announcement";
  readonly channel: string;
  readonly seq: number;
  readonly id: MessageId;
  readonly content: string;
  readonly created_at: string;
  /** From then on it is not to be shown any more. */
  readonly expires_at?: string;
}

/** What the server sends to a reader of a public channel. */
export type PublicServerFrame =
  | AnnouncementFrame
  /** The first frame: from here on the socket is live [PUB-2]. */
  | {
      readonly type: "subscribed";
      readonly channel: string;
      readonly name: string | null;
      readonly last_seq: number;
      readonly heartbeat_ms: number;
    }
  | {
      readonly type: "page";
      readonly ref?: PublicClientFrame["ref"];
      readonly channel: string;
      readonly announcements: readonly AnnouncementFrame[];
      /** Where to go on; `null`: that was all, and the socket is live. */
      readonly next: number | null;
    }
  | { readonly type: "pong"; readonly ref?: PublicClientFrame["ref"] }
  | {
      readonly type: "error";
      readonly ref?: PublicClientFrame["ref"];
      readonly code: ErrorCode;
      readonly message: string;
      readonly retryable: boolean;
      readonly request_id: string;
      readonly details?: Readonly<Record<string, unknown>>;
    };

/** The announcement that an entry of a public channel's log is; `null` for what is none, or is gone. */
export function toAnnouncement(channel: string, event: EventFrame): AnnouncementFrame | null {
  if (event.type !== "message" || event.content === undefined) return null;
  return {
    type: "announcement",
    channel,
    seq: event.seq,
    id: event.id,
    content: event.content,
    created_at: event.created_at,
    ...(event.expires_at === undefined ? {} : { expires_at: event.expires_at }),
  };
}
