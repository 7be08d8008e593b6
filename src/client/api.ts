/** The HTTP API as typed calls; paths and bodies as in `protocol/rest.ts`. Every failure is a SottoError. */
import { z } from "zod";
import {
  AccountId,
  ConversationId,
  ConversationType,
  type CreateConversationBody,
  DeviceId,
  type EditMessageBody,
  Encryption,
  type EventFrame,
  type HiddenMessage,
  MessageId,
  newMessageId,
  type ReportBody,
  Role,
  SessionId,
  type SignInBody,
  type SignUpBody,
} from "../protocol/mod.ts";
import { type HttpOptions, type HttpRequest, request } from "./http.ts";
import { type OnSession, type Session, SessionKeeper, TokenAnswer, toSession, UserOfAnswer } from "./session_keeper.ts";
import { SottoError } from "./sotto_error.ts";

/** The caller's own account. */
export const Me = z.looseObject({
  id: AccountId,
  username: z.string(),
  public_key: z.string().nullable().optional(),
  session_id: SessionId,
  device_id: DeviceId,
});
/** See {@link Me}. */
export type Me = z.infer<typeof Me>;

/** A conversation as the server describes it. */
export const Conversation = z.looseObject({
  id: ConversationId,
  name: z.string().nullable(),
  conversation_type: ConversationType,
  encryption: Encryption,
  /** In lists not all of them. */
  participant_ids: z.array(AccountId),
  participant_count: z.int(),
  /** The caller's own. */
  role: Role,
  /** Nothing below this seq is the caller's to read. */
  first_seq: z.int(),
  last_seq: z.int(),
  read_seq: z.int(),
  unread_count: z.int(),
  /** ISO 8601; `null`: not muted. */
  muted_until: z.string().nullable(),
  archived: z.boolean(),
  pinned: z.boolean(),
  /** ISO 8601. */
  last_activity: z.string(),
});
/** See {@link Conversation}. */
export type Conversation = z.infer<typeof Conversation>;

/** The current public key of an account. `fingerprint`: SHA-256 of the DER, hex. */
export const PublicKey = z.looseObject({ public_key: z.string(), fingerprint: z.string() });
/** See {@link PublicKey}. */
export type PublicKey = z.infer<typeof PublicKey>;

/** A public channel, as everybody sees it; `channel` is its address. */
export const Channel = z.looseObject({
  id: ConversationId,
  channel: z.string(),
  name: z.string().nullable(),
  participant_count: z.int(),
});
const ChannelPage = z.object({ channels: z.array(Channel), next: z.string().nullable() });
/** Somebody as others see them. */
export const User = z.looseObject({ id: AccountId, username: z.string() });
/** See {@link User}. */
export type User = z.infer<typeof User>;

/** What somebody said in the public room. */
export const RoomMessage = z.looseObject({
  id: MessageId,
  username: z.string(),
  content: z.string(),
  timestamp: z.string(),
});
/** See {@link RoomMessage}. */
export type RoomMessage = z.infer<typeof RoomMessage>;

/** A page of the room; `previous` is the `before` of the page before this one, `null` at the beginning. */
export const RoomPage = z.looseObject({ messages: z.array(RoomMessage), previous: z.int().nullable() });
/** See {@link RoomPage}. */
export type RoomPage = z.infer<typeof RoomPage>;

const UserPage = z.object({ users: z.array(User), next: z.string().nullable() });

const ConversationPage = z.object({
  conversations: z.array(Conversation),
  left: z.array(ConversationId),
  next: z.string().nullable(),
  sync: z.string(),
});
/** See {@link Api.listConversations}. */
export type ConversationPage = z.infer<typeof ConversationPage>;

const Participant = z.looseObject({ user_id: AccountId, role: Role, joined_at: z.string() });
/** Somebody who is in a conversation. `joined_at`: ISO 8601. */
export type Participant = z.infer<typeof Participant>;
const ParticipantPage = z.object({ participants: z.array(Participant), next: AccountId.nullable() });
const EventPage = z.object({
  // Only what the SDK relies on is checked: a newer server may know more kinds of event.
  messages: z.array(
    z.looseObject({ type: z.string(), conversation_id: ConversationId, seq: z.int().min(1), id: z.string() }),
  ),
  next: z.number().nullable(),
  previous: z.number().nullable(),
});

const HiddenPage = z.object({
  messages: z.array(
    z.object({
      conversation_id: ConversationId,
      message_id: MessageId,
      message_seq: z.int().min(1),
      number: z.int().min(1),
    }),
  ),
  more: z.boolean(),
});

/** A page of a log in rising order; `next` and `previous` are seqs to go on from, `null` at an end. */
export interface HistoryPage {
  readonly messages: readonly EventFrame[];
  readonly next: number | null;
  readonly previous: number | null;
}

/** Which page of a log: the newest, or what comes after or before a seq. */
export interface HistoryQuery {
  readonly limit?: number;
  readonly after_seq?: number;
  readonly before_seq?: number;
}

/** Makes an account and signs in. */
export async function signUp(http: HttpOptions, body: z.input<typeof SignUpBody>): Promise<Session> {
  const answer = await request(http, { method: "POST", path: "/api/auth/signup", body });
  const { user } = read(UserOfAnswer, answer);
  return toSession(user.id, read(TokenAnswer, answer), http.timing.now());
}

/** Signs in. With `device_id` the device keeps its cursors. */
export async function signIn(http: HttpOptions, body: z.input<typeof SignInBody>): Promise<Session> {
  const answer = read(TokenAnswer, await request(http, { method: "POST", path: "/api/auth/signin", body }));
  const me = await request(http, { method: "GET", path: "/api/auth/me", token: answer.access_token });
  return toSession(read(Me, me).id, answer, http.timing.now());
}

/** The calls of a session. A token that has ended is renewed on the way. */
export class Api {
  readonly #http: HttpOptions;
  /** The session's tokens. */
  readonly tokens: SessionKeeper;

  constructor(http: HttpOptions, session: Session, onSession: OnSession = () => {}) {
    this.#http = http;
    this.tokens = new SessionKeeper(http, session, onSession);
  }

  /** The caller's own account. */
  async me(): Promise<Me> {
    return read(Me, await this.#call({ method: "GET", path: "/api/auth/me" }));
  }

  /** Ends the session; its sockets close. */
  async signOut(): Promise<void> {
    const body = { refresh_token: this.tokens.session.refreshToken };
    await this.#call({ method: "POST", path: "/api/auth/signout", body });
  }

  /** Makes a conversation; the same dm again gives the one there is. */
  async createConversation(body: z.input<typeof CreateConversationBody>): Promise<Conversation> {
    return read(Conversation, await this.#call({ method: "POST", path: "/api/conversations", body }));
  }

  /**
   * A page of the caller's conversations, newest first; `next` is the following page's `cursor`. With `since`,
   * the `sync` of an earlier list, only those that changed after it, and in `left` those that are gone.
   */
  async listConversations(
    query: { readonly limit?: number; readonly cursor?: string; readonly since?: string } = {},
  ): Promise<ConversationPage> {
    return read(ConversationPage, await this.#call({ method: "GET", path: "/api/conversations", query: { ...query } }));
  }

  /** One conversation. */
  async conversation(id: ConversationId): Promise<Conversation> {
    return read(Conversation, await this.#call({ method: "GET", path: `/api/conversations/${id}` }));
  }

  /** Gives a group another name. */
  async rename(id: ConversationId, name: string): Promise<Conversation> {
    return this.#update(id, { name });
  }

  /** Says how many seconds what is sent from now on lives; `null`: it is kept. */
  async setRetention(id: ConversationId, seconds: number | null): Promise<Conversation> {
    return this.#update(id, { retention_seconds: seconds });
  }

  /** Gives a member another role; `owner` hands the group over, and the caller is an admin then. */
  async setRole(id: ConversationId, userId: AccountId, role: Role): Promise<Participant> {
    const path = `/api/conversations/${id}/participants/${userId}`;
    return read(Participant, await this.#change({ method: "PUT", path, body: { role } }));
  }

  /** Mutes until a time (ms since the epoch); `null`: no longer. One's own devices are told, nobody else. */
  async mute(id: ConversationId, until: number | null): Promise<Conversation> {
    return this.#set(id, { muted_until: until === null ? null : new Date(until).toISOString() });
  }

  /** Puts a conversation away, or back; one's own devices are told. */
  async archive(id: ConversationId, archived = true): Promise<Conversation> {
    return this.#set(id, { archived });
  }

  /** Keeps a conversation at the top of one's list, or no longer; one's own devices are told. */
  async pin(id: ConversationId, pinned = true): Promise<Conversation> {
    return this.#set(id, { pinned });
  }

  /** Ends one's own group for everybody; clears a dm for the caller alone. */
  async deleteConversation(id: ConversationId): Promise<void> {
    await this.#call({ method: "DELETE", path: `/api/conversations/${id}` });
  }

  /** Leaves a group. */
  async leave(id: ConversationId): Promise<void> {
    await this.removeParticipant(id, this.tokens.session.userId);
  }

  /** A page of who is in a conversation, by user id; `next` is the following page's `cursor`. */
  async participants(
    id: ConversationId,
    query: { readonly limit?: number; readonly cursor?: AccountId } = {},
  ): Promise<z.infer<typeof ParticipantPage>> {
    const path = `/api/conversations/${id}/participants`;
    return read(ParticipantPage, await this.#call({ method: "GET", path, query: { ...query } }));
  }

  /** Adds somebody to a group. */
  async addParticipant(id: ConversationId, userId: AccountId): Promise<void> {
    await this.#call({ method: "POST", path: `/api/conversations/${id}/participants`, body: { user_id: userId } });
  }

  /** Removes somebody from a group; oneself: leaves it. */
  async removeParticipant(id: ConversationId, userId: AccountId): Promise<void> {
    await this.#call({ method: "DELETE", path: `/api/conversations/${id}/participants/${userId}` });
  }

  /** Joins a public channel; who is in it already is given it again. */
  async joinChannel(id: ConversationId): Promise<Conversation> {
    return read(Conversation, await this.#call({ method: "POST", path: `/api/conversations/${id}/join` }));
  }

  /** Public channels by the beginning of their address, in its order; `next` is the following page's `cursor`. */
  async listChannels(query: { readonly q?: string; readonly limit?: number; readonly cursor?: string } = {}) {
    return read(ChannelPage, await this.#call({ method: "GET", path: "/api/channels", query: { ...query } }));
  }

  /** A page of a conversation's log. */
  async history(id: ConversationId, query: HistoryQuery = {}): Promise<HistoryPage> {
    const path = `/api/conversations/${id}/messages`;
    const page = read(EventPage, await this.#call({ method: "GET", path, query: { ...query } }));
    return { ...page, messages: page.messages as unknown as EventFrame[] };
  }

  /** Edits a message of the caller's own; the same `id` again stores nothing. */
  async editMessage(id: MessageId, body: z.input<typeof EditMessageBody>): Promise<void> {
    await this.#call({ method: "PUT", path: `/api/messages/${id}`, body });
  }

  /** Deletes a message for everybody, or for the caller alone. */
  async deleteMessage(id: MessageId, audience: "all" | "me" = "all"): Promise<void> {
    await this.#call({ method: "DELETE", path: `/api/messages/${id}`, query: { for: audience } });
  }

  /** Reacts to a message, or takes that back. */
  async react(id: MessageId, emoji: string, change: "added" | "removed" = "added"): Promise<void> {
    const path = `/api/messages/${id}/reactions`;
    if (change === "added") await this.#call({ method: "POST", path, body: { emoji } });
    else await this.#call({ method: "DELETE", path: `${path}/${encodeURIComponent(emoji)}` });
  }

  /** What the account deleted for itself after a `number`, in its order; `more`: ask again after the last one. */
  async hiddenMessages(
    after = 0,
    limit = 100,
  ): Promise<{ readonly messages: readonly HiddenMessage[]; readonly more: boolean }> {
    return read(HiddenPage, await this.#call({ method: "GET", path: "/api/messages/hidden", query: { after, limit } }));
  }

  /** The current public key of an account; `not_found` where there is none. */
  async publicKey(userId: AccountId): Promise<PublicKey> {
    return read(PublicKey, await this.#call({ method: "GET", path: `/api/users/${userId}/public-key` }));
  }

  /** Publishes a public key (PEM) for the caller, in place of the one before; `key_reused` for an earlier one. */
  async setPublicKey(publicKey: string): Promise<void> {
    await this.#call({ method: "PUT", path: "/update-key", body: { public_key: publicKey } });
  }

  /** One person; `user_not_found` where there is none. */
  async user(id: AccountId): Promise<User> {
    return read(User, await this.#call({ method: "GET", path: `/api/users/${id}` }));
  }

  /** People whose name begins like this, of those who let themselves be found; `next` is the following page's `cursor`. */
  async findUsers(q: string, query: { readonly limit?: number; readonly cursor?: string } = {}) {
    return read(UserPage, await this.#call({ method: "GET", path: "/api/users", query: { q, ...query } }));
  }

  /** Blocks somebody; again is the same. They are not told. */
  async block(userId: AccountId): Promise<void> {
    await this.#call({ method: "POST", path: `/api/users/${userId}/block` });
  }

  /** Ends a block, also where there is none. What was withheld stays so. */
  async unblock(userId: AccountId): Promise<void> {
    await this.#call({ method: "DELETE", path: `/api/users/${userId}/block` });
  }

  /** A page of whom the caller blocks, the latest first; `next` is the following page's `cursor`. */
  async blocked(query: { readonly limit?: number; readonly cursor?: string } = {}) {
    return read(UserPage, await this.#call({ method: "GET", path: "/api/blocks", query: { ...query } }));
  }

  /** Reports somebody to the administrators; the same `id` again is the same report. */
  async report(body: z.input<typeof ReportBody>): Promise<void> {
    await this.#call({ method: "POST", path: "/api/reports", body });
  }

  /** A page of what was said in the public room, the newest or the one before `before`; oldest first. */
  async roomMessages(query: { readonly limit?: number; readonly before?: number } = {}): Promise<RoomPage> {
    return read(RoomPage, await this.#call({ method: "GET", path: "/api/chat/messages", query: { ...query } }));
  }

  async #update(id: ConversationId, body: object): Promise<Conversation> {
    return read(Conversation, await this.#change({ method: "PUT", path: `/api/conversations/${id}`, body }));
  }

  async #set(id: ConversationId, body: object): Promise<Conversation> {
    return read(Conversation, await this.#call({ method: "PUT", path: `/api/conversations/${id}/settings`, body }));
  }

  /** A change of the log: under an id of its own, so that what is asked again is the same change. */
  async #change(input: HttpRequest): Promise<unknown> {
    const asked = { ...input, body: { ...input.body, id: newMessageId(this.#http.timing.now()) } };
    try {
      return await this.#call(asked);
    } catch (error) {
      // Whether it was made is not known.
      if (!(error instanceof SottoError) || !error.retryable) throw error;
      return this.#call(asked);
    }
  }

  async #call(input: HttpRequest): Promise<unknown> {
    const token = await this.tokens.token();
    try {
      return await request(this.#http, { ...input, token });
    } catch (error) {
      if (!(error instanceof SottoError) || error.status !== 401) throw error;
      return request(this.#http, { ...input, token: await this.tokens.token(token) });
    }
  }
}

function read<T>(schema: z.ZodType<T>, answer: unknown): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  throw new SottoError("bad_answer", "Update the client or the server: the answer was not understood", {
    cause: parsed.error,
  });
}
