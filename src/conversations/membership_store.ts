/**
 * Who is in a conversation: the calls of `create_conversation` and `change_membership` (0013).
 * Each is one statement, locks one head, and writes its own event; what may be done is decided
 * there, under the lock.
 */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation } from "../platform/sql_states.ts";
import type { AccountId, ConversationId, ConversationType, Encryption, MessageId, Role } from "../protocol/mod.ts";
import { type AnswerRow, placeOf } from "./event_log_store.ts";
import { statusOf, unlessBusy } from "./held_head.ts";

/** How `conversations.kind` stores a type. */
export const CONVERSATION_KINDS = { dm: 1, group: 2, channel: 3 } as const satisfies Record<ConversationType, number>;

/** How `conversations.encryption` stores an encryption. */
export const ENCRYPTIONS = { mls: 1, opaque: 2, server: 3 } as const satisfies Record<Encryption, number>;

/** How `members.role` stores a role. */
export const ROLES = { owner: 1, admin: 2, member: 3 } as const satisfies Record<Role, number>;

/** The name of a stored number. */
export function nameOf<Name extends string>(names: Readonly<Record<Name, number>>, value: number): Name {
  const found = (Object.keys(names) as Name[]).find((name) => names[name] === value);
  if (found === undefined) throw new Error(`Teach this version the stored value ${value}`);
  return found;
}

/** What {@link insertConversation} stores. */
export interface NewConversation {
  readonly id: ConversationId;
  readonly type: ConversationType;
  readonly encryption: Encryption;
  readonly name: string | null;
  readonly creatorId: AccountId;
  /** The members beside the creator; naming the creator too does no harm. */
  readonly otherIds: readonly AccountId[];
  readonly retentionSeconds: number | null;
  /** Of a dm: a value that is the same for the same two people; `null` otherwise. */
  readonly dmKey: Uint8Array | null;
  /** Of a `server` conversation: the wrapped key of its bodies. */
  readonly dataKey: Uint8Array | null;
  /** Of a channel. */
  readonly channel?: ChannelSettings | null;
  /** The first event: membership "created". */
  readonly event: MembershipEvent;
}

/** What makes a channel, fixed when it is made. */
export interface ChannelSettings {
  /** Its name in addresses; `null`: it has none. */
  readonly slug: string | null;
  readonly isPublic: boolean;
  /** Whether who comes late reads what was before them. */
  readonly shared: boolean;
  /** Whether every member posts, and not owners and admins alone. */
  readonly openPosting: boolean;
}

/** An event as its maker gives it. */
export interface MembershipEvent {
  readonly id: MessageId;
  readonly body: Uint8Array;
  /** 16 bytes. */
  readonly digest: Uint8Array;
}

/** What became of a {@link NewConversation}. Times are milliseconds since the epoch. */
export type CreateOutcome =
  | {
      /** `known`: the dm, or this conversation of the same creator, was there before; `id` is its id. */
      readonly status: "stored" | "known";
      readonly id: ConversationId;
      /** The place of the first event: always 1. */
      readonly seq: number;
      readonly membersVersion: number;
      readonly createdAt: number;
      readonly expiresAt: number | null;
    }
  /**
   * `conflict`: somebody else has a conversation of this id. `no_account`: one of the people does not
   * exist. `busy`: the same dm was being made for 2 s. `blocked`: the creator of a new dm blocks the other.
   * `taken`: another channel has the slug.
   */
  | { readonly status: "conflict" | "no_account" | "busy" | "blocked" | "taken" };

/** One change of a conversation's members: all of `accountIds` or none. */
export interface MembershipChangeRequest {
  readonly conversationId: ConversationId;
  readonly actorId: AccountId;
  /** Removing oneself alone is leaving. */
  readonly change: "add" | "remove";
  readonly accountIds: readonly AccountId[];
  /** Whether those who are added may send. */
  readonly canSend: boolean;
  readonly event: MembershipEvent;
  /** The most members there may be. */
  readonly limit: number;
}

/** What became of a {@link MembershipChangeRequest}. Times are milliseconds since the epoch. */
export type MembershipOutcome =
  | {
      /** `known`: the same event by the same actor was stored before, and this is its place. */
      readonly status: "stored" | "known";
      /** Those added see from here on; those removed saw what is below. */
      readonly seq: number;
      readonly membersVersion: number;
      readonly createdAt: number;
      readonly expiresAt: number | null;
    }
  | { readonly status: MembershipRefusal };

/**
 * Why members were not changed.
 *
 * - `conflict`: the event's id is another event's.
 * - `no_conversation`: none, or the actor is not in it.
 * - `not_member`: somebody who should be removed is not in it.
 * - `busy`: the head was locked for 2 s; nothing was stored.
 */
export type MembershipRefusal =
  | "conflict"
  | "no_conversation"
  | "id_out_of_window"
  | "forbidden"
  | "already_member"
  | "not_member"
  | "too_many"
  | "no_account"
  | "busy";

const REFUSALS: Readonly<Record<number, MembershipRefusal>> = {
  2: "conflict",
  4: "no_conversation",
  5: "id_out_of_window",
  8: "forbidden",
  9: "already_member",
  10: "not_member",
  11: "too_many",
};

interface CreatedRow extends AnswerRow {
  readonly conversation: ConversationId;
}

/** The status of `create_dm` that `create_conversation` does not know. */
const CREATOR_BLOCKS = 12;

const CREATE = `
  select o_status as status, o_conversation as conversation, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from create_conversation($1::uuid, $2::smallint, $3::smallint, $4::text, $5::uuid, $6::uuid[],
                           $7::int, $8::bytea, $9::bytea, $10::uuid, $11::bytea, $12::bytea)`;

const CREATE_DM = `
  select o_status as status, o_conversation as conversation, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from create_dm($1::uuid, $2::smallint, $3::uuid, $4::uuid, $5::int, $6::bytea, $7::bytea, $8::uuid, $9::bytea, $10::bytea)`;

const CREATE_CHANNEL = `
  select o_status as status, o_conversation as conversation, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from create_channel($1::uuid, $2::smallint, $3::text, $4::uuid, $5::uuid[], $6::int, $7::bytea, $8::uuid, $9::bytea, $10::bytea,
                      $11::text, $12::boolean, $13::boolean, $14::boolean)`;

/** Stores a conversation with its members and its first event; the second call for a dm is given the first one's. */
export async function insertConversation(sql: Sql, input: NewConversation): Promise<CreateOutcome> {
  try {
    const row = await unlessBusy(() => create(sql, input));
    if (row === "busy") return { status: "busy" };
    if (row.status === CREATOR_BLOCKS) return { status: "blocked" };
    if (row.status > 1) return { status: "conflict" };
    return { ...placeOf(row), id: row.conversation };
  } catch (error) {
    if (isForeignKeyViolation(error)) return { status: "no_account" }; // the only one that these calls can violate
    if (isTakenSlug(error)) return { status: "taken" };
    throw error;
  }
}

function create(sql: Sql, input: NewConversation): Promise<CreatedRow[]> {
  const { id, name, creatorId, otherIds, retentionSeconds, channel = null, event } = input;
  const [type, encryption] = [CONVERSATION_KINDS[input.type], ENCRYPTIONS[input.encryption]];
  const [dmKey, dataKey] = [bytes(input.dmKey), bytes(input.dataKey)];
  const first = [event.id, bytes(event.digest), bytes(event.body)];
  if (channel !== null) {
    const { slug, isPublic, shared, openPosting } = channel;
    const people = [id, encryption, name, creatorId, otherIds];
    return sql.query<CreatedRow>(CREATE_CHANNEL, [
      ...[...people, retentionSeconds, dataKey, ...first],
      ...[slug, isPublic, shared, openPosting],
    ]);
  }
  const rest = [retentionSeconds, dmKey, dataKey, ...first];
  return dmKey === null
    ? sql.query<CreatedRow>(CREATE, [id, type, encryption, name, creatorId, otherIds, ...rest])
    : sql.query<CreatedRow>(CREATE_DM, [id, encryption, creatorId, otherIds[0], ...rest]);
}

const CHANGE = `
  select o_status as status, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from change_membership($1::uuid, $2::uuid, $3::smallint, $4::uuid[], $5::boolean, $6::uuid, $7::bytea, $8::bytea, $9::int)`;

/** Adds or removes members, with one event, if the actor may. Repeating the same call is safe. */
export async function changeMembership(sql: Sql, input: MembershipChangeRequest): Promise<MembershipOutcome> {
  const { event } = input;
  try {
    const row = await unlessBusy(() =>
      sql.query<AnswerRow>(CHANGE, [
        ...[input.conversationId, input.actorId, input.change === "add" ? 1 : 2, input.accountIds, input.canSend],
        ...[event.id, bytes(event.digest), bytes(event.body), input.limit],
      ]),
    );
    if (row === "busy") return { status: "busy" };
    return row.status <= 1 ? placeOf(row) : { status: statusOf(REFUSALS, row.status) };
  } catch (error) {
    if (isForeignKeyViolation(error)) return { status: "no_account" }; // the only one that these calls can violate
    throw error;
  }
}

/** SQLSTATE 23505 of the one index that a person can violate. */
function isTakenSlug(error: unknown): boolean {
  return error instanceof Error && "constraint" in error && error.constraint === "channels_slug_unique";
}

/** The driver writes a Uint8Array that is no Buffer as an object. */
export function bytes(value: Uint8Array | null): Buffer | null {
  return value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
