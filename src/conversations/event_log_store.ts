/**
 * The one statement that appends to logs: `append_batch` (0015), called once per batch.
 * What it locks, and why it is a function, is written there.
 */
import type { Sql } from "../platform/postgres.ts";
import { booleanArray, intArray, smallintArray, uuidArray } from "../platform/postgres_arrays.ts";
import type { AccountId, ConversationId, MessageId } from "../protocol/mod.ts";
import { statusOf } from "./held_head.ts";

/** What an event is, as `events.kind` stores it. */
export const EVENT_KINDS = {
  ...{ message: 1, membership: 2, notice: 3, edit: 4, deletion: 5, reaction: 6, change: 7 },
} as const;

/** A kind of event. */
export type EventKind = keyof typeof EVENT_KINDS;

/** One event to append. */
export interface AppendRequest {
  readonly id: MessageId;
  readonly conversationId: ConversationId;
  readonly senderId: AccountId;
  /** The members' version that the caller's check rests on; 0: not checked. */
  readonly membersVersion: number;
  readonly kind: EventKind;
  readonly body: Uint8Array;
  /** Keyed hash of what makes a retry the same: 16 bytes. */
  readonly digest: Uint8Array;
  /** Seconds until the event expires; `null`: when the conversation's retention says, or never. */
  readonly expireAfter: number | null;
  /** Whether it counts as unread. */
  readonly counts: boolean;
}

/** What the log says of an event that it holds. Times are milliseconds since the epoch. */
export interface Appended {
  /** `known`: a twin (same id, sender, kind and digest) was stored before, and this is its place. */
  readonly status: "stored" | "known";
  readonly seq: number;
  /** The members' version now: a caller that checked an older one should read again. */
  readonly membersVersion: number;
  readonly createdAt: number;
  readonly expiresAt: number | null;
}

/** Why the log refused an event; nothing was stored. */
export interface Refused {
  /**
   * - `conflict_body`: the sender's own id, with another body.
   * - `conflict_id`: an id of another sender or of another conversation.
   * - `not_member`: no member, or one who may not send.
   * - `busy`: somebody else holds the conversation's head.
   */
  readonly status: "conflict_body" | "conflict_id" | "not_member" | "no_conversation" | "id_out_of_window" | "busy";
}

/** Bytes of a digest. */
export const DIGEST_BYTES = 16;

const REFUSALS: Readonly<Record<number, Refused["status"]>> = {
  2: "conflict_body",
  3: "not_member",
  4: "no_conversation",
  5: "id_out_of_window",
  6: "busy",
  7: "conflict_id",
};

const APPEND = `
  select o_status as status, o_seq as seq, o_version as version, o_at as at, o_expires as expires
  from append_batch($1::uuid[], $2::int[], $3::int[], $4::uuid[], $5::uuid[], $6::int[], $7::int[], $8::int[], $9::int[],
                    $10::smallint[], $11::int[], $12::boolean[], $13::int[], $14::int[], $15::bytea, $16::bytea, $17::boolean)`;

/** One element for each event of the batch. */
interface AppendRow {
  readonly status: readonly number[];
  readonly seq: readonly number[];
  readonly version: readonly number[];
  readonly at: readonly number[];
  readonly expires: readonly (number | null)[];
}

/**
 * Appends a batch in one transaction and gives one answer per request, in the same order.
 * `wait` false: conversations whose head is locked elsewhere are answered `busy` at once.
 *
 * - An id may stand at most once in a batch, and every digest has {@link DIGEST_BYTES}.
 * - Throws what the database throws; then nothing of the batch is stored, unless it is a
 *   `DatabaseFault`, when it is not known. Running the same batch again is safe.
 */
export async function appendEvents(
  sql: Sql,
  requests: readonly AppendRequest[],
  wait: boolean,
): Promise<(Appended | Refused)[]> {
  const [row] = await sql.query<AppendRow>(APPEND, parametersOf(requests, wait), "append_batch");
  if (row?.status.length !== requests.length) throw new Error("Answer every event of a batch");
  return requests.map((_, i) =>
    toAnswer({
      status: row.status[i] ?? -1,
      seq: row.seq[i] ?? 0,
      version: row.version[i] ?? 0,
      at: row.at[i] ?? 0,
      expires: row.expires[i] ?? null,
    }),
  );
}

/** Where the events of one conversation stand in a batch. Places count from 1. */
interface BatchHead {
  place: number;
  events: number;
  counted: number;
  last: number;
  lastMessage: number;
}

/** The parameters as `append_batch` (0015) names them. */
function parametersOf(requests: readonly AppendRequest[], wait: boolean): unknown[] {
  const heads = new Map<ConversationId, BatchHead>();
  for (const { conversationId } of requests) {
    if (!heads.has(conversationId))
      heads.set(conversationId, { place: 0, events: 0, counted: 0, last: 0, lastMessage: 0 });
  }
  const rising = [...heads.keys()].sort();
  rising.forEach((id, i) => {
    const head = heads.get(id);
    if (head !== undefined) head.place = i + 1;
  });
  const [headOf, places, counted, offsets]: [number[], number[], number[], number[]] = [[], [], [], []];
  let offset = 0;
  requests.forEach((request, i) => {
    const head = heads.get(request.conversationId);
    if (head === undefined) return;
    head.events++;
    if (request.counts) head.counted++;
    head.last = i + 1;
    if (request.kind === "message") head.lastMessage = i + 1;
    headOf.push(head.place);
    places.push(head.events);
    counted.push(head.counted);
    offsets.push(offset);
    offset += request.body.length;
  });
  return [
    uuidArray(rising),
    intArray(rising.map((id) => heads.get(id)?.last ?? 0)),
    intArray(rising.map((id) => heads.get(id)?.lastMessage ?? 0)),
    uuidArray(requests.map(({ id }) => id)),
    uuidArray(requests.map(({ senderId }) => senderId)),
    intArray(headOf),
    intArray(places),
    intArray(counted),
    intArray(requests.map(({ membersVersion }) => membersVersion)),
    smallintArray(requests.map(({ kind }) => EVENT_KINDS[kind])),
    intArray(requests.map(({ expireAfter }) => expireAfter ?? -1)),
    booleanArray(requests.map(({ counts }) => counts)),
    intArray(offsets),
    intArray(requests.map(({ body }) => body.length)),
    // One bytea with offsets: the driver would write an array of them as hexadecimal text.
    Buffer.concat(requests.map(({ digest }) => digest)),
    Buffer.concat(requests.map(({ body }) => body)),
    wait,
  ];
}

/** What every function that writes an event gives of one. */
export interface AnswerRow {
  readonly status: number;
  readonly seq: number;
  readonly version: number;
  readonly at: number;
  readonly expires: number | null;
}

function toAnswer(row: AnswerRow): Appended | Refused {
  if (row.status > 1) return { status: statusOf(REFUSALS, row.status) };
  return placeOf(row);
}

/** What every function that writes an event gives of it, where it was stored now or before. */
export function placeOf(row: AnswerRow): Appended {
  return {
    status: row.status === 0 ? "stored" : "known",
    seq: row.seq,
    membersVersion: row.version,
    createdAt: row.at,
    expiresAt: row.expires,
  };
}
