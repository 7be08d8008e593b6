/**
 * What each route of the HTTP API does, needs and answers: the part of `/openapi.json` that the
 * routes do not know themselves. Bodies and parameters are read from the routes.
 *
 * A route without an entry, and an entry without a route, fail a test.
 */
import type { z } from "zod";
import {
  BlocksAnswer,
  ChannelAnswer,
  ChannelsAnswer,
  ConversationAnswer,
  ConversationsAnswer,
  EventAnswer,
  HealthAnswer,
  HiddenMessagesAnswer,
  InfoAnswer,
  JwksAnswer,
  LeavingAnswer,
  MeAnswer,
  MessageAnswer,
  MessagesAnswer,
  OwnProfileAnswer,
  ParticipantAnswer,
  ParticipantsAnswer,
  PrivateKeyAnswer,
  PublicKeyAnswer,
  ReactionAnswer,
  ReadyAnswer,
  SessionsAnswer,
  SessionsEndedAnswer,
  SignUpAnswer,
  TokensAnswer,
  UserAnswer,
  UsersAnswer,
  WsTicketAnswer,
} from "./answers.ts";
import type { ErrorCode } from "./errors.ts";
import { ReportAnswer, ReportFiledAnswer, ReportsAnswer } from "./reports.ts";
import { EmailAnswer, LinkAskedAnswer } from "./rest.ts";

/** One route. */
export interface Operation {
  /** A sentence without a full stop, beginning with a verb. */
  readonly summary: string;
  /** The group that it is shown in. */
  readonly tag: string;
  /** `bearer`: an access token is needed; `optional`: with one it does more, or the same in another way. */
  readonly auth: "none" | "bearer" | "optional";
  /** Headers that a request may carry, with what they do. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By status: the schema of the JSON, a media type of something else, or `null` for no body. */
  readonly answers: Readonly<Record<number, z.ZodType | string | null>>;
  /** Refusals of its own; what holds for every route, every body and every token is added. */
  readonly errors?: readonly ErrorCode[];
}

/** Routes by method and pattern, as `GET /api/conversations/{id}`. */
export type Operations = Readonly<Record<`${"GET" | "POST" | "PUT" | "DELETE"} /${string}`, Operation>>;

const auth = { tag: "auth", auth: "none" } as const;
const session = { tag: "auth", auth: "bearer" } as const;
const user = { tag: "users", auth: "bearer" } as const;
const conversation = { tag: "conversations", auth: "bearer" } as const;
const message = { tag: "messages", auth: "bearer" } as const;
const channel = { tag: "channels", auth: "bearer" } as const;
const admin = { tag: "administration", auth: "bearer" } as const;
const server = { tag: "server", auth: "none" } as const;
const socket = { tag: "socket", auth: "optional", answers: { 101: null } } as const;
const SENDING = [
  ...["conversation_not_found", "conflict", "idempotency_conflict", "encryption_mismatch"],
  ...["forbidden", "id_out_of_window", "too_many_in_flight", "busy", "overloaded"],
] as const satisfies readonly ErrorCode[];
const CHANGING = ["message_not_found", "forbidden", "busy"] as const satisfies readonly ErrorCode[];
const CHANGING_CONVERSATION = [
  ...["conversation_not_found", "forbidden", "conflict", "id_out_of_window", "busy", "overloaded"],
] as const satisfies readonly ErrorCode[];
const MAILING = ["mail_disabled", "overloaded"] as const satisfies readonly ErrorCode[];
const SOCKET = ["upgrade_required", "forbidden", "https_required"] as const satisfies readonly ErrorCode[];

/** The routes of the main API and of the server itself. */
export const OPERATIONS: Operations = {
  "POST /api/auth/signup": {
    ...{ ...auth, summary: "Make an account and sign in" },
    answers: { 201: SignUpAnswer },
    errors: ["username_taken", "email_taken", "weak_password", "bad_public_key", "private_key_refused", "overloaded"],
  },
  "POST /api/auth/signin": {
    ...{ ...auth, summary: "Sign in by user name or e-mail address" },
    answers: { 200: TokensAnswer },
    errors: ["invalid_credentials", "account_disabled", "overloaded"],
  },
  "POST /api/auth/refresh": {
    ...{ ...auth, summary: "Exchange a refresh token for new tokens; it works once" },
    answers: { 200: TokensAnswer },
    errors: ["unauthorized", "refresh_reused", "refresh_raced"],
  },
  "POST /api/auth/signout": {
    ...{ ...auth, auth: "optional", summary: "End the session of the access token, of a refresh token, or both" },
    answers: { 204: null },
    errors: ["unauthorized", "token_expired"],
  },
  "GET /api/auth/me": {
    ...session,
    summary: "Show the caller's account, session and device",
    answers: { 200: MeAnswer },
  },
  "POST /api/auth/ws-ticket": {
    ...{ ...session, summary: "Make a one-time ticket for a socket, good for 30 seconds" },
    answers: { 200: WsTicketAnswer },
  },
  "GET /api/auth/sessions": {
    ...{ ...session, summary: "List where the caller is signed in" },
    answers: { 200: SessionsAnswer },
  },
  "DELETE /api/auth/sessions": {
    ...{ ...session, summary: "End every session of the caller but the one that asks" },
    answers: { 200: SessionsEndedAnswer },
  },
  "DELETE /api/auth/sessions/{session_id}": {
    ...{ ...session, summary: "End one of the caller's sessions" },
    answers: { 204: null },
    errors: ["not_found"],
  },
  "POST /api/auth/change-password": {
    ...{ ...session, summary: "Choose another password; all other sessions end" },
    answers: { 204: null },
    errors: ["wrong_password", "weak_password", "overloaded"],
  },
  "POST /api/auth/password-reset": {
    ...{ ...auth, summary: "Ask for a link to choose another password" },
    answers: { 202: LinkAskedAnswer },
    errors: MAILING,
  },
  "POST /api/auth/password-reset/verify": {
    ...{ ...auth, summary: "Choose another password by a link; all sessions end" },
    answers: { 204: null },
    errors: ["link_invalid", "weak_password", "overloaded"],
  },
  "POST /api/auth/magic-link": {
    ...{ ...auth, summary: "Ask for a link to sign in" },
    answers: { 202: LinkAskedAnswer },
    errors: MAILING,
  },
  "POST /api/auth/magic-link/verify": {
    ...{ ...auth, summary: "Sign in by a link; it works once" },
    answers: { 200: TokensAnswer },
    errors: ["link_invalid"],
  },
  "POST /api/auth/email": {
    ...{ ...session, summary: "Ask for a link that makes another address the account's" },
    answers: { 202: LinkAskedAnswer },
    errors: ["wrong_password", ...MAILING],
  },
  "POST /api/auth/email/verification": {
    ...{ ...session, summary: "Ask again for the link that verifies the account's address" },
    answers: { 202: LinkAskedAnswer },
    errors: MAILING,
  },
  "POST /api/auth/email/verify": {
    ...{ ...auth, summary: "Verify an address by a link" },
    answers: { 200: EmailAnswer },
    errors: ["link_invalid", "email_taken"],
  },
  "POST /api/auth/export": {
    ...{ ...session, summary: "Take along everything that is held about the caller" },
    answers: { 200: "application/gzip" },
    errors: ["wrong_password", "overloaded"],
  },
  "POST /api/auth/delete-account": {
    ...{ ...session, summary: "Leave for good; what is held about the caller goes" },
    answers: { 202: LeavingAnswer },
    errors: ["wrong_password", "overloaded"],
  },
  "GET /api/users": {
    ...{ ...user, summary: "Find people by the beginning of a name" },
    answers: { 200: UsersAnswer },
  },
  "GET /api/users/{id}": {
    ...{ ...user, summary: "Show a person, as far as the caller may see" },
    answers: { 200: UserAnswer },
    errors: ["user_not_found"],
  },
  "PUT /api/users/{id}": {
    ...{ ...user, summary: "Change one's own profile" },
    answers: { 200: OwnProfileAnswer },
    errors: ["forbidden"],
  },
  "GET /api/users/{id}/private-key": {
    ...{ ...user, summary: "Show one's own sealed private key; ETag is its version" },
    answers: { 200: PrivateKeyAnswer },
    errors: ["forbidden", "not_found"],
  },
  "PUT /api/users/{id}/private-key": {
    ...{ ...user, summary: "Keep one's own private key, sealed by the client" },
    headers: { "If-Match": "The version that it replaces", "If-None-Match": "`*`: there is none yet" },
    answers: { 204: null },
    errors: ["forbidden", "precondition_failed", "precondition_required"],
  },
  "POST /api/users/{id}/block": {
    ...{ ...user, summary: "Block somebody; they are not told" },
    answers: { 204: null },
    errors: ["user_not_found", "too_many_blocked", "busy"],
  },
  "DELETE /api/users/{id}/block": {
    ...{ ...user, summary: "Block somebody no longer" },
    answers: { 204: null },
    errors: ["busy"],
  },
  "GET /api/blocks": { ...{ ...user, summary: "List whom the caller blocks" }, answers: { 200: BlocksAnswer } },
  "POST /api/reports": {
    ...{ ...user, summary: "Report somebody to the administrators; nobody else is told" },
    answers: { 200: ReportFiledAnswer, 201: ReportFiledAnswer },
    errors: ["user_not_found", "conversation_not_found", "message_not_found", "conflict", "idempotency_conflict"],
  },
  "GET /api/admin/reports": {
    ...{ ...admin, summary: "List reports, the newest first, as an administrator of the server" },
    answers: { 200: ReportsAnswer },
    errors: ["forbidden"],
  },
  "GET /api/admin/reports/{id}": {
    ...{ ...admin, summary: "Read a report; that it was read is written down" },
    answers: { 200: ReportAnswer },
    errors: ["forbidden", "not_found"],
  },
  "POST /api/admin/reports/{id}/close": {
    ...{ ...admin, summary: "Close a report, and disable the account where that is the outcome" },
    answers: { 200: ReportAnswer },
    errors: ["forbidden", "not_found", "report_closed"],
  },
  "GET /api/users/{id}/public-key": {
    ...{ ...user, summary: "Show an account's current public key" },
    answers: { 200: PublicKeyAnswer },
    errors: ["not_found"],
  },
  "GET /api/conversations": {
    ...{ ...conversation, summary: "List the caller's conversations, newest first" },
    answers: { 200: ConversationsAnswer },
  },
  "POST /api/conversations": {
    ...{ ...conversation, summary: "Make a conversation; a dm that exists already is given again" },
    answers: { 200: ConversationAnswer, 201: ConversationAnswer },
    errors: ["user_not_found", "too_many_participants", "encryption_unsupported", "channel_taken"],
  },
  "GET /api/conversations/{id}": {
    ...{ ...conversation, summary: "Show one of the caller's conversations" },
    answers: { 200: ConversationAnswer },
    errors: ["conversation_not_found"],
  },
  "PUT /api/conversations/{id}": {
    ...{ ...conversation, summary: "Rename a group, or say how long its messages live" },
    answers: { 200: ConversationAnswer },
    errors: CHANGING_CONVERSATION,
  },
  "DELETE /api/conversations/{id}": {
    ...{ ...conversation, summary: "End a group for everybody, or clear a dm for the caller" },
    answers: { 204: null },
    errors: ["conversation_not_found", "use_leave", "busy", "overloaded"],
  },
  "PUT /api/conversations/{id}/settings": {
    ...{ ...conversation, summary: "Mute, archive or pin a conversation, for the caller alone" },
    answers: { 200: ConversationAnswer },
    errors: ["conversation_not_found"],
  },
  "GET /api/conversations/{id}/participants": {
    ...{ ...conversation, summary: "List who is in a conversation" },
    answers: { 200: ParticipantsAnswer },
    errors: ["conversation_not_found"],
  },
  "PUT /api/conversations/{id}/participants/{user_id}": {
    ...{ ...conversation, summary: "Give a member another role; owner: hand the group over" },
    answers: { 200: ParticipantAnswer },
    errors: [...CHANGING_CONVERSATION, "user_not_found"],
  },
  "POST /api/conversations/{id}/participants": {
    ...{ ...conversation, summary: "Add somebody to a group or channel" },
    answers: { 201: ConversationAnswer },
    errors: [
      ...(["conversation_not_found", "user_not_found", "already_member", "forbidden"] as const),
      ...(["too_many_participants", "busy", "overloaded"] as const),
    ],
  },
  "DELETE /api/conversations/{id}/participants/{user_id}": {
    ...{ ...conversation, summary: "Leave a group or channel, or remove somebody from it" },
    answers: { 204: null },
    errors: ["conversation_not_found", "user_not_found", "forbidden", "busy", "overloaded"],
  },
  "GET /api/conversations/{id}/messages": {
    ...{ ...conversation, summary: "Read a page of a conversation's log" },
    answers: { 200: MessagesAnswer },
    errors: ["conversation_not_found"],
  },
  "POST /api/conversations/{id}/messages": {
    ...{ ...conversation, summary: "Send a message; an id that is stored already gives the stored one again" },
    answers: { 200: EventAnswer, 201: EventAnswer },
    errors: SENDING,
  },
  "PUT /api/messages/{id}": {
    ...{ ...message, summary: "Edit one's own message; gives it as it is now" },
    answers: { 200: MessageAnswer },
    errors: [...CHANGING, "gone", "encryption_mismatch", "idempotency_conflict", "id_out_of_window"],
  },
  "DELETE /api/messages/{id}": {
    ...{ ...message, summary: "Delete a message for everybody, or for the caller alone" },
    answers: { 204: null },
    errors: CHANGING,
  },
  "POST /api/messages/{id}/reactions": {
    ...{ ...message, summary: "React to a message; again is the same" },
    answers: { 200: ReactionAnswer, 201: ReactionAnswer },
    errors: [...CHANGING, "gone", "encryption_mismatch", "too_many_reactions"],
  },
  "DELETE /api/messages/{id}/reactions/{emoji}": {
    ...{ ...message, summary: "Take a reaction back; again is the same" },
    answers: { 204: null },
    errors: [...CHANGING, "gone", "encryption_mismatch"],
  },
  "GET /api/messages/hidden": {
    ...{ ...message, summary: "List what the caller deleted for themselves, in its order" },
    answers: { 200: HiddenMessagesAnswer },
  },
  "POST /api/conversations/{id}/join": {
    ...{ ...conversation, summary: "Join a public channel; who is in it already is given it again" },
    answers: { 200: ConversationAnswer, 201: ConversationAnswer },
    errors: ["conversation_not_found", "too_many_participants", "busy"],
  },
  "GET /api/channels": {
    ...{ ...channel, summary: "List public channels by the beginning of their address" },
    answers: { 200: ChannelsAnswer },
  },
  "GET /api/channels/{channel}": {
    ...{ ...channel, summary: "Show a public channel" },
    answers: { 200: ChannelAnswer },
    errors: ["conversation_not_found"],
  },
  "POST /api/channels/{channel}/join": {
    ...{ ...channel, summary: "Join a public channel by its address" },
    answers: { 200: ConversationAnswer, 201: ConversationAnswer },
    errors: ["conversation_not_found", "too_many_participants", "busy"],
  },
  "POST /api/announcements": {
    ...{ ...channel, summary: "Say something to everybody, as an administrator of the server" },
    answers: { 200: EventAnswer, 201: EventAnswer },
    errors: ["forbidden", "idempotency_conflict", "conflict", "id_out_of_window", "busy", "overloaded"],
  },
  "GET /ws/public/{channel}": {
    ...{ ...socket, auth: "none", summary: "Read a public channel over a socket" },
    errors: [...SOCKET, "not_found"],
  },
  "GET /ws": { ...socket, summary: "Open a socket", errors: SOCKET },
  "GET /ws/{user_id}/{session_id}": {
    ...{ ...socket, summary: "Open a socket that must be this account's and session's", errors: SOCKET },
  },
  "GET /": { ...server, summary: "Show what this is, and where to go on", answers: { 200: InfoAnswer } },
  "GET /health": { ...server, summary: "Tell whether the process lives", answers: { 200: HealthAnswer } },
  "GET /ready": {
    ...{ ...server, summary: "Tell whether to send requests here" },
    answers: { 200: ReadyAnswer, 503: ReadyAnswer },
  },
  "GET /metrics": {
    ...{ ...server, summary: "Show measurements, to this machine or who has METRICS_TOKEN" },
    answers: { 200: "text/plain" },
    errors: ["not_found"],
  },
  "GET /.well-known/jwks.json": {
    ...{ ...server, summary: "Show the public keys of access tokens, where they have some" },
    answers: { 200: JwksAnswer },
  },
  "GET /docs": { ...server, summary: "Read this in a browser, and try it", answers: { 200: "text/html" } },
  "GET /redoc": { ...server, summary: "Read this as one page, which prints well", answers: { 200: "text/html" } },
  "GET /docs/sockets": { ...server, summary: "Read what is spoken on the sockets", answers: { 200: "text/html" } },
  "GET /docs/{file}": {
    ...{ ...server, summary: "Load a file of that page" },
    answers: { 200: "application/octet-stream" },
    errors: ["not_found"],
  },
  "GET /openapi.json": { ...server, summary: "Load this description", answers: { 200: "application/json" } },
  "GET /asyncapi.json": {
    ...{ ...server, summary: "Load the description of the sockets" },
    answers: { 200: "application/json" },
  },
};
