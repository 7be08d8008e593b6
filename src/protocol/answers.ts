/**
 * The answers of the HTTP API as schemas: what `/openapi.json` says and what tests hold the server
 * to. Nothing is parsed by them at run time. Times are ISO 8601, UTC.
 */
import { z } from "zod";
import { ChannelHistory, ChannelPosting, ChannelSlug } from "./channels.ts";
import { ConversationType, Encryption, MessageContent, MessageStatus, Role } from "./content.ts";
import { ERRORS, type ErrorCode } from "./errors.ts";
import { AccountId, ConversationId, DeviceId, MessageId, SessionId } from "./ids.ts";
import { LastSeenTo, UserStatus } from "./people.ts";
import { Platform } from "./rest.ts";

const Time = z.iso.datetime();
const Seq = z.int().min(1).describe("A place in the conversation's log");

/** Every refusal. `details` names fields, limits or milliseconds; never content. */
export const ErrorAnswer = z.strictObject({
  error: z.strictObject({
    code: z.enum(Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]]),
    message: z.string(),
    requestId: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** The tokens of a session. */
export const TokensAnswer = z.strictObject({
  access_token: z.string(),
  refresh_token: z.string(),
  token_type: z.literal("bearer"),
  expires_in: z.int().min(0).describe("Seconds until the access token ends"),
  session_id: SessionId,
  device_id: DeviceId,
  device_token: z
    .string()
    .describe("Given back at a later sign-in it shows that the device is known; it opens nothing"),
});

/** An account as it sees itself. */
export const OwnUserAnswer = z.strictObject({
  id: AccountId,
  username: z.string(),
  email: z.string().nullable(),
  email_verified: z.boolean().describe("Whether somebody has shown that the address is theirs"),
  display_name: z.string().nullable(),
  public_key: z.string().nullable(),
  role: z.enum(["user", "admin"]),
  created_at: Time,
  updated_at: Time,
});

/** `GET /api/auth/me`. */
export const MeAnswer = OwnUserAnswer.extend({ session_id: SessionId, device_id: DeviceId });

/** `POST /api/auth/signup`. */
export const SignUpAnswer = TokensAnswer.extend({ user: OwnUserAnswer });

/** `GET /api/auth/sessions`. */
export const SessionsAnswer = z.strictObject({
  sessions: z.array(
    z.strictObject({
      id: SessionId,
      device_id: DeviceId,
      device_name: z.string().nullable(),
      platform: Platform.nullable(),
      created_at: Time,
      last_seen: z.iso.date().describe("The day it was last used"),
      current: z.boolean().describe("Whether it is the one that asks"),
    }),
  ),
});

/** `DELETE /api/auth/sessions`: how many ended. */
export const SessionsEndedAnswer = z.strictObject({ ended: z.int().min(0) });

/** `GET /.well-known/jwks.json` (RFC 7517 section 5). */
export const JwksAnswer = z.strictObject({ keys: z.array(z.looseObject({ kid: z.string(), kty: z.string() })) });

/** `POST /api/auth/ws-ticket`; `expires_in` in seconds. */
export const WsTicketAnswer = z.strictObject({ ticket: z.string(), expires_in: z.int() });

/** An account's current public key. */
export const PublicKeyAnswer = z.strictObject({
  user_id: AccountId,
  public_key: z.string().describe("SubjectPublicKeyInfo as PEM"),
  fingerprint: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .describe("SHA-256 of the DER"),
  algorithm: z.string(),
  version: z.int().min(1).describe("How many keys the account has had, this one included"),
  created_at: Time,
});

const Profile = z.strictObject({
  id: AccountId,
  username: z.string(),
  display_name: z.string().nullable(),
  status: UserStatus,
  last_seen: z.iso.date().nullable().describe("A day; `null` where it is not known or not shown"),
  created_at: Time,
  updated_at: Time,
});
const OwnProfile = Profile.extend({
  public_key: z.string().nullable(),
  email: z.string().nullable(),
  private_key_encrypted: z.string().nullable(),
  privacy: z.strictObject({ last_seen: LastSeenTo, findable: z.boolean(), read_receipts: z.boolean() }),
});

/** `GET /api/users/{id}`: more of it to the account itself. */
export const UserAnswer = z.union([OwnProfile, Profile.extend({ public_key: z.string().nullable() })]);

/** `PUT /api/users/{id}`. */
export const OwnProfileAnswer = OwnProfile;

/** `GET /api/users`. */
export const UsersAnswer = z.strictObject({ users: z.array(Profile), next: z.string().nullable() });

/** `GET /api/users/{id}/private-key`; its version is the `ETag`. */
export const PrivateKeyAnswer = z.strictObject({ private_key_encrypted: z.string(), updated_at: Time });

/** `GET /api/blocks`. */
export const BlocksAnswer = z.strictObject({
  users: z.array(
    z.strictObject({
      id: AccountId,
      username: z.string(),
      display_name: z.string().nullable(),
      blocked_at: Time,
    }),
  ),
  next: z.string().nullable(),
});

/** `POST /api/auth/delete-account`. */
export const LeavingAnswer = z.strictObject({ state: z.literal("leaving") });

/** A conversation as its members see it. */
export const ConversationAnswer = z.strictObject({
  id: ConversationId,
  conversation_type: ConversationType,
  encryption: Encryption,
  name: z.string().nullable(),
  /** The first of them by joining, in a channel by id: 1,000 at most, in lists 20. */
  participant_ids: z.array(AccountId),
  participant_count: z.int().min(1),
  /** The caller's own. */
  role: Role,
  history: ChannelHistory,
  posting: ChannelPosting,
  public: z.boolean(),
  /** The name in addresses, of a channel that has one. */
  channel: z.string().nullable(),
  last_seq: z.int().min(0),
  /** Nothing below this seq is the caller's to read. */
  first_seq: Seq,
  /** Up to here the caller has read, on any device. */
  read_seq: z.int().min(0),
  /** Messages beyond `read_seq`, the caller's own included. */
  unread_count: z.int().min(0),
  muted_until: Time.nullable(),
  archived: z.boolean(),
  pinned: z.boolean(),
  last_message_id: MessageId.nullable(),
  last_activity: Time,
  message_count: z.int().min(0),
  retention_seconds: z.int().nullable(),
  created_at: Time,
});

/** A public channel, as everybody sees it. */
export const ChannelAnswer = z.strictObject({
  id: ConversationId,
  channel: ChannelSlug,
  name: z.string().nullable(),
  posting: ChannelPosting,
  participant_count: z.int().min(0),
  last_seq: z.int().min(0),
  last_activity: Time,
  created_at: Time,
});

/** `GET /api/channels`. */
export const ChannelsAnswer = z.strictObject({ channels: z.array(ChannelAnswer), next: z.string().nullable() });

/** `GET /api/conversations`. */
export const ConversationsAnswer = z.strictObject({
  conversations: z.array(ConversationAnswer),
  /** Of a list with `since`: ids of conversations that are the caller's no more, or were cleared. */
  left: z.array(ConversationId),
  /** The `cursor` of the following page. */
  next: z.string().nullable(),
  /** The `since` of a later list; the same on all pages of this one. */
  sync: z.string(),
});

const Participant = z.strictObject({ user_id: AccountId, role: Role, joined_at: Time });

/** `PUT /api/conversations/{id}/participants/{user_id}`. */
export const ParticipantAnswer = Participant;

/** `GET /api/conversations/{id}/participants`. */
export const ParticipantsAnswer = z.strictObject({
  participants: z.array(Participant),
  /** The `cursor` of the following page. */
  next: z.string().nullable(),
});

const Entry = {
  conversation_id: ConversationId,
  seq: Seq,
  id: MessageId,
  sender_id: AccountId,
  created_at: Time,
  expires_at: Time.optional(),
};

const Ref = { message_id: MessageId, message_seq: Seq };

/** One reaction of a message. */
export const ReactionAnswer = z.strictObject({ user_id: AccountId, emoji: z.string() });

/** A message as it is now. `reactions` and, of the caller's own, `status` are on pages only; `edit_id` is the id of the entry that its content came with. */
export const MessageAnswer = z.strictObject({
  type: z.literal("message"),
  ...Entry,
  ...MessageContent.shape,
  edited_at: Time.optional(),
  edit_id: MessageId.optional(),
  reactions: z.array(ReactionAnswer).optional(),
  status: MessageStatus.optional(),
});

/** An entry of a conversation's log, over HTTP and over the socket alike. */
export const EventAnswer = z.discriminatedUnion("type", [
  MessageAnswer,
  z.strictObject({
    type: z.literal("membership"),
    ...Entry,
    change: z.enum(["created", "joined", "left", "removed"]),
    user_ids: z.array(AccountId),
  }),
  z.strictObject({
    type: z.literal("notice"),
    ...Entry,
    notice: z.literal("key_changed"),
    user_id: AccountId,
    fingerprint: z.string(),
  }),
  z.strictObject({ type: z.literal("edit"), ...Entry, ...Ref, ...MessageContent.shape }),
  z.strictObject({ type: z.literal("deletion"), ...Entry, ...Ref }),
  z.strictObject({
    type: z.literal("reaction"),
    ...Entry,
    ...Ref,
    emoji: z.string(),
    change: z.enum(["added", "removed"]),
  }),
  z.strictObject({
    type: z.literal("tombstone"),
    ...Entry,
    reason: z.enum(["deleted", "expired", "hidden", "unknown"]),
  }),
  z.strictObject({
    type: z.literal("change"),
    ...Entry,
    name: z.string().optional(),
    user_id: AccountId.optional(),
    role: Role.optional(),
    settings: z.strictObject({ retention_seconds: z.int().nullable() }).optional(),
  }),
]);

/** `GET /api/conversations/{id}/messages`; `next` and `previous` are seqs to go on from. */
export const MessagesAnswer = z.strictObject({
  messages: z.array(EventAnswer),
  next: Seq.nullable(),
  previous: Seq.nullable(),
});

/** `GET /api/messages/hidden`; the `number` of the last one is the following page's `after`, and `more` says whether there is one. */
export const HiddenMessagesAnswer = z.strictObject({
  messages: z.array(z.strictObject({ conversation_id: ConversationId, ...Ref, number: z.int().min(1) })),
  more: z.boolean(),
});

/** `GET /`. */
export const InfoAnswer = z.strictObject({
  name: z.string(),
  description: z.string(),
  version: z.string(),
  links: z.record(z.string(), z.string()),
});

const Part = z.enum(["up", "down"]);
const Bus = z.enum(["in_process", "up", "down"]);

/** `GET /health`. */
export const HealthAnswer = z.strictObject({ status: z.literal("ok"), database: Part, bus: Bus });

/** `GET /ready`. */
export const ReadyAnswer = z.strictObject({
  status: z.enum(["ready", "draining", "unavailable"]),
  database: Part,
  bus: Bus,
});
