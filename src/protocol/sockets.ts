/**
 * What each frame of a socket is for, needs and answers: the part of `/asyncapi.json` that the schemas of
 * frames do not know themselves. A frame type without a note does not pass the type checker; its example
 * is held to its schema by a test.
 */
import type { z } from "zod";
import type { CloseReason } from "./close_codes.ts";
import type { ErrorCode } from "./errors.ts";
import { ClientFrame, type ServerFrame } from "./frames.ts";
import { ServerFrameSchema } from "./server_frames.ts";

/** One frame type. */
export interface FrameNote {
  /** A sentence without a full stop. */
  readonly summary: string;
  readonly example: { readonly type: string } & Readonly<Record<string, unknown>>;
}

/** A frame type that clients send. */
export interface ClientFrameNote extends FrameNote {
  /** Types of the server's frames that answer it, beside `error`. */
  readonly answers?: readonly string[];
  /** Refusals of its own; what every frame may meet is added. */
  readonly errors?: readonly ErrorCode[];
}

/** The frames of one direction: schemas, discriminated by `type`, and a note for each type. */
export interface FrameSet<Note extends FrameNote = FrameNote> {
  readonly schema: z.ZodType;
  readonly notes: Readonly<Record<string, Note>>;
}

/** A socket that may be opened. */
export interface SocketDescription {
  /** Its name in the document: letters only. */
  readonly name: string;
  /** The first is described in full, the others are further ways in. `{name}` stands for a segment. */
  readonly addresses: Readonly<Record<`/${string}`, string>>;
  readonly summary: string;
  /** Parameters of the query, with what they do. */
  readonly query: Readonly<Record<string, string>>;
  /** Whether it belongs to somebody who has signed in. */
  readonly auth: "bearer" | "none";
  readonly client: FrameSet<ClientFrameNote>;
  readonly server: FrameSet;
  /** Why the server may close it. */
  readonly closes: readonly CloseReason[];
}

/** What each reason to close means to a client. */
export const CLOSE_NOTES: Readonly<Record<CloseReason, string>> = {
  bad_protocol: "Something other than JSON in text messages was sent, or too much before `welcome`",
  unauthorized: "The token was bad or has ended, or the first frame did not say who speaks: refresh, or sign in again",
  wrong_session: "The token is of another session than the address or the socket",
  authentication_timeout: "Nobody said within 5 seconds who they are",
  too_many_sockets: "The session has as many sockets at this node as it may",
  session_ended: "The session was ended, here or elsewhere: sign in again",
  account_disabled: "An administrator has disabled the account",
  channel_gone: "The channel is public no more",
  failing: "Five frames of this socket made the server fail within a minute",
  unavailable: "A part of the server does not answer",
  slow_reader: "The client did not read for 30 seconds, or 1 MiB waited for it",
  unacknowledged: "512 events were not acknowledged for 60 seconds",
  flooding: "400 frames in a row were refused because they were too many",
  draining: "The node stops; another one is there, or this one again soon",
};

const SENDING = [
  ...["conversation_not_found", "conflict", "idempotency_conflict", "encryption_mismatch", "id_out_of_window"],
  ...["payload_too_large", "out_of_order", "too_many_in_flight", "busy"],
] as const satisfies readonly ErrorCode[];

const conversation_id = "0198f3a2-5c1e-7d40-9b1f-2f6a7c3d4e50";
const id = "0198f3a2-6d2f-7e51-8c2a-3a7b8d4e5f61";
const message_id = "0198f3a2-5f2c-7e44-8b10-4d6c8a9b0c1d";
const user_id = "0198f3a2-4b0d-7c3f-8a0e-1e5f6b2c3d4f";
const session_id = "0198f3a2-7e30-7f62-8d3b-4b8c9e5f6a72";
const at = "2026-01-31T09:30:00.000Z";
const entry = { conversation_id, seq: 42, id, sender_id: user_id, created_at: at };
const earlier = { message_id, message_seq: 40 };

/** Notes of the frames that every socket of somebody who has signed in takes. */
export const COMMON_CLIENT_NOTES: Readonly<Record<"authenticate" | "ping", ClientFrameNote>> = {
  authenticate: {
    summary: "Say who the socket belongs to: as the first frame, and again with a newer token before the old one ends",
    example: { type: "authenticate", token: "eyJhbGciOi…" },
    answers: ["welcome"],
    errors: ["unauthorized"],
  },
  ping: { summary: "Ask for a sign of life", example: { type: "ping", ref: 7 }, answers: ["pong"] },
};

/** Notes of the frames that every such socket is answered with. */
export const COMMON_SERVER_NOTES: Readonly<Record<"welcome" | "pong" | "reauth" | "error", FrameNote>> = {
  welcome: {
    summary: "The first frame once the socket belongs to somebody, and the answer to `authenticate`",
    example: {
      ...{ type: "welcome", user_id, expires_at: at, heartbeat_ms: 30_000 },
      session_id,
      device_id: "0198f3a2-8f41-7a73-8e4c-5c9daf6a7b83",
    },
  },
  pong: { summary: "The answer to `ping`", example: { type: "pong", ref: 7 } },
  reauth: {
    summary: "The token ends in a minute: send `authenticate` with a newer one of the same session",
    example: { type: "reauth", expires_at: at },
  },
  error: {
    summary: "A frame is refused; the socket and every other frame are as they were",
    example: {
      ...{ type: "error", ref: 7, id, code: "busy", message: "Try again: the conversation is busy", retryable: true },
      request_id: "0198f3a2-a052-7b84-8f5d-6daeb07b8c94",
    },
  },
};

const CLIENT_NOTES: Readonly<Record<ClientFrame["type"], ClientFrameNote>> = {
  ...COMMON_CLIENT_NOTES,
  message: {
    summary: "Send a message; the same `id` again is the same message",
    example: { type: "message", ref: 1, id, conversation_id, encrypted_content: "q83vEjRWeJA=" },
    answers: ["receipt"],
    errors: SENDING,
  },
  reaction: {
    summary: "React to a message with an emoji, or take that back",
    example: { type: "reaction", ref: 2, id, conversation_id, message_id, emoji: "👍" },
    answers: ["receipt"],
    errors: [
      ...(["message_not_found", "gone", "too_many_reactions", "conflict", "idempotency_conflict"] as const),
      ...(["encryption_mismatch", "id_out_of_window", "busy"] as const),
    ],
  },
  message_ack: {
    summary: "Say that this device has stored everything up to `seq`; there is no answer",
    example: { type: "message_ack", conversation_id, seq: 42 },
    errors: ["ack_ahead"],
  },
  message_read: {
    summary: "Say that the person has read everything up to `seq`; there is no answer",
    example: { type: "message_read", conversation_id, seq: 42 },
    errors: ["conversation_not_found", "ack_ahead"],
  },
  key_exchange: {
    summary: "Hand something to the devices of somebody, or to one of them; it is kept until they have it",
    example: {
      ...{ type: "key_exchange", ref: 3, id, to_user_id: user_id },
      ...{ to_session_id: session_id, payload: "q83vEjRWeJA=" },
    },
    answers: ["key_exchange_stored"],
    errors: [
      ...(["user_not_found", "idempotency_conflict", "id_out_of_window", "payload_too_large"] as const),
      ...(["inbox_full", "too_many_in_flight", "busy"] as const),
    ],
  },
  key_exchange_ack: {
    summary: "Say that this device has stored what its inbox held up to `seq`; there is no answer",
    example: { type: "key_exchange_ack", seq: 7 },
    errors: ["ack_ahead"],
  },
  presence_update: {
    summary: "Say that the person is at this device, or away from it; there is no answer",
    example: { type: "presence_update", status: "away" },
  },
  typing_start: {
    summary: "Say that the person has begun to type; there is no answer, and it may be lost",
    example: { type: "typing_start", conversation_id },
  },
  typing_stop: {
    summary: "Say that the person types no longer; there is no answer, and it may be lost",
    example: { type: "typing_stop", conversation_id },
  },
  resume: {
    summary: "Set this socket's cursors to what the device has stored, and catch up from there",
    example: { type: "resume", cursors: { [conversation_id]: 41 } },
    answers: ["caught_up"],
  },
};

const SERVER_NOTES: Readonly<Record<ServerFrame["type"], FrameNote>> = {
  ...COMMON_SERVER_NOTES,
  message: {
    summary: "An entry of a log: somebody said something",
    example: { type: "message", ...entry, message_type: "text", encrypted_content: "q83vEjRWeJA=" },
  },
  membership: {
    summary: "An entry of a log: who is in the conversation has changed",
    example: { type: "membership", ...entry, change: "joined", user_ids: [user_id] },
  },
  notice: {
    summary: "An entry of a log: a member has published another public key",
    example: { type: "notice", ...entry, notice: "key_changed", user_id, fingerprint: "5e".repeat(32) },
  },
  edit: {
    summary: "An entry of a log: a message has other content",
    example: { type: "edit", ...entry, ...earlier, message_type: "text", encrypted_content: "q83vEjRWeJA=" },
  },
  deletion: {
    summary: "An entry of a log: a message, its edits and its reactions are gone for everybody",
    example: { type: "deletion", ...entry, ...earlier },
  },
  reaction: {
    summary: "An entry of a log: somebody reacted to a message, or took that back",
    example: { type: "reaction", ...entry, ...earlier, emoji: "👍", change: "added" },
  },
  change: {
    summary: "An entry of a log: the conversation has another name, other roles or another retention",
    example: { type: "change", ...entry, name: "another name" },
  },
  settings: {
    summary: "The person changed their own settings of a conversation, on some device",
    example: {
      ...{ type: "settings", conversation_id, muted_until: null, archived: false, pinned: true, first_seq: 1 },
    },
  },
  message_hidden: {
    summary: "The person deleted a message for themselves alone, on some device",
    example: { type: "message_hidden", conversation_id, ...earlier, number: 3 },
  },
  report_filed: {
    summary: "To administrators of the server: there is a new report",
    example: { type: "report_filed", report_id: id, reason: "spam" },
  },
  tombstone: {
    summary: "An entry of a log: what stood here is gone",
    example: { type: "tombstone", ...entry, reason: "expired" },
  },
  receipt: {
    summary: "What was sent is stored: it was committed before this was said",
    example: { type: "receipt", ref: 1, conversation_id, id, seq: 42, created_at: at, in_order: true },
  },
  key_exchange: {
    summary: "From this device's inbox: another device handed it this",
    example: {
      ...{ type: "key_exchange", seq: 7, id, from_user_id: user_id, from_session_id: session_id },
      ...{ payload: "q83vEjRWeJA=", created_at: at },
    },
  },
  key_exchange_stored: {
    summary: "What was handed over is in the inbox of each device that it is for",
    example: { type: "key_exchange_stored", ref: 3, id },
  },
  caught_up: {
    summary: "Everything up to now was sent; from here on the socket is live",
    example: { type: "caught_up" },
  },
  resync: {
    summary: "The server starts again from what this device acknowledged: drop what was not",
    example: { type: "resync" },
  },
  truncated: {
    summary: "What was below a seq has gone by retention",
    example: { type: "truncated", conversation_id, truncated_before: 40 },
  },
  conversation_left: {
    summary: "The person is no longer in the conversation",
    example: { type: "conversation_left", conversation_id, left_seq: 43 },
  },
  message_delivered: {
    summary: "Some device of a person was given everything up to a seq",
    example: { type: "message_delivered", conversation_id, user_id, seq: 42 },
  },
  presence_update: {
    summary: "How a contact is seen has changed",
    example: { type: "presence_update", user_id, status: "online", last_seen: null },
  },
  message_read: {
    summary: "Somebody has read everything up to a seq",
    example: { type: "message_read", conversation_id, user_id, seq: 42 },
  },
  typing_start: {
    summary: "Somebody has begun to type",
    example: { type: "typing_start", conversation_id, user_id },
  },
  typing_stop: {
    summary: "Somebody types no longer",
    example: { type: "typing_stop", conversation_id, user_id },
  },
};

/** The socket of SPEC.md. */
export const MAIN_SOCKET: SocketDescription = {
  name: "socket",
  addresses: {
    "/ws": "Messages, and all that happens in the caller's conversations",
    "/ws/{user_id}/{session_id}": "The same, where the token must be of this account and this session",
  },
  summary: "One socket of a device: it is told what it missed, then what happens",
  query: { ticket: "A one-time ticket from `POST /api/auth/ws-ticket`, in place of a header or a first frame" },
  auth: "bearer",
  client: { schema: ClientFrame, notes: CLIENT_NOTES },
  server: { schema: ServerFrameSchema, notes: SERVER_NOTES },
  closes: (Object.keys(CLOSE_NOTES) as CloseReason[]).filter((reason) => reason !== "channel_gone"),
};
