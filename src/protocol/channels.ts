/**
 * Channels: how they are made and found, and the frames of `/ws/public/{channel}`, which SPEC.md numbers as PUB.
 */
import { z } from "zod";
import { ExpiresIn } from "./content.ts";
import type { ErrorCode } from "./errors.ts";
import type { EventFrame } from "./frames.ts";
import { MessageId } from "./ids.ts";
import { LIMITS } from "./limits.ts";

/** A channel's name in addresses. */
export const ChannelSlug = z
  .string()
  .regex(/^[a-z0-9-]{3,50}$/, { error: "must be 3 to 50 lower-case letters, digits or -" });

/** The address of the channel in which the server's administrators speak; nobody else can take it. */
export const ANNOUNCEMENTS_SLUG = "announcements";

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

/** `POST /api/announcements`: repeating it with the same `id` says it once. */
export const AnnounceBody = z.strictObject({
  id: MessageId.optional(),
  content: z.string().min(1).max(LIMITS.contentChars),
  expires_in: ExpiresIn.optional(),
});

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
  /** When it was said otherwise last, if it was: `content` is what it says now. */
  readonly edited_at?: string;
  /** From then on it is not to be shown any more. */
  readonly expires_at?: string;
}

/** What became of an announcement [PUB-8]. */
export type AnnouncementChange = {
  readonly channel: string;
  readonly seq: number;
  readonly message_id: MessageId;
  readonly message_seq: number;
  readonly created_at: string;
} & ({ readonly type: "deletion" } | { readonly type: "edit"; readonly content: string; readonly expires_at?: string });

/** What a reader of a public channel is shown of its log. */
export type PublicEntry = AnnouncementFrame | AnnouncementChange;

/** What the server sends to a reader of a public channel. */
export type PublicServerFrame =
  | PublicEntry
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
      readonly announcements: readonly PublicEntry[];
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

/** What a reader is shown of an entry of a public channel's log; `null` for what is no business of theirs, or is gone. */
export function toPublicEntry(channel: string, event: EventFrame): PublicEntry | null {
  const { seq, created_at } = event;
  const end = event.expires_at === undefined ? {} : { expires_at: event.expires_at };
  switch (event.type) {
    case "message": {
      const { id, content, edited_at } = event;
      if (content === undefined) return null;
      const edited = edited_at === undefined ? {} : { edited_at };
      return { type: "announcement", channel, seq, id, content, created_at, ...edited, ...end };
    }
    case "edit": {
      const { message_id, message_seq, content } = event;
      if (content === undefined) return null;
      return { type: "edit", channel, seq, message_id, message_seq, content, created_at, ...end };
    }
    case "deletion": {
      const { message_id, message_seq } = event;
      return { type: "deletion", channel, seq, message_id, message_seq, created_at };
    }
    default:
      return null;
  }
}
