/** The statements on `device_inboxes` and `device_inbox`; what putting something in means is in migration 0043. */
import type { Sql } from "../platform/postgres.ts";
import { isForeignKeyViolation, isLockTimeout } from "../platform/sql_states.ts";
import { type AccountId, type DeviceId, LIMITS, type MessageId, type SessionId } from "../protocol/mod.ts";

/** What an entry is; the numbers are stored. */
export const INBOX_KINDS = { key_exchange: 1 } as const;

/** The name of one of {@link INBOX_KINDS}. */
export type InboxKind = keyof typeof INBOX_KINDS;

/** An entry to be put in. */
export interface NewInboxEntry {
  readonly sender: { readonly accountId: AccountId; readonly deviceId: DeviceId; readonly sessionId: SessionId };
  /** Whose devices get it. */
  readonly accountId: AccountId;
  /** Only the device of this session of theirs; `null`: every device where they are signed in. */
  readonly sessionId: SessionId | null;
  readonly kind: InboxKind;
  readonly id: MessageId;
  /** By which a repetition is known: 32 bytes. */
  readonly digest: Uint8Array;
  readonly body: Uint8Array;
}

/** What became of an entry; the order is that of the function's answers. */
const OUTCOMES = ["stored", "no_device", "other_body", "full", "out_of_window"] as const;

/** What became of an entry, `busy` where a lock was not to be had. */
export type PutOutcome = (typeof OUTCOMES)[number] | "busy";

const SECOND_MS = 1_000;
/** Seconds for which an acknowledged entry is known by its id: an id is accepted a day before its time and a day after it. */
const KNOWN_SECONDS = (2 * LIMITS.idWindowMs) / SECOND_MS;

/** Puts an entry into the inboxes that it is for. */
export async function putInInboxes(sql: Sql, entry: NewInboxEntry): Promise<PutOutcome> {
  const { sender, accountId, sessionId, kind, id, digest, body } = entry;
  try {
    const [row] = await sql.query<{ outcome: number }>(
      "select put_in_inboxes($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) as outcome",
      [
        ...[sender.accountId, sender.deviceId, sender.sessionId, accountId, sessionId],
        ...[INBOX_KINDS[kind], id, Buffer.from(digest), Buffer.from(body)],
        ...[LIMITS.inboxEntries, LIMITS.inboxBytes, LIMITS.inboxEntriesOfOne, LIMITS.inboxBytesOfOne],
        ...[LIMITS.idWindowMs / SECOND_MS, LIMITS.inboxKeepMs / SECOND_MS],
      ],
      "inboxes_put",
    );
    return OUTCOMES[row?.outcome ?? -1] ?? "busy";
  } catch (error) {
    if (isForeignKeyViolation(error)) return "no_device"; // one of the two has just gone
    if (isLockTimeout(error)) return "busy";
    throw error;
  }
}

/** An inbox, and how far it was given. */
export interface InboxPlace {
  readonly deviceId: DeviceId;
  readonly after: number;
}

/** An entry as a device gets it. Times are milliseconds since the epoch. */
export interface InboxEntry {
  readonly seq: number;
  readonly kind: InboxKind;
  readonly id: MessageId;
  readonly senderId: AccountId;
  readonly senderSessionId: SessionId;
  readonly body: Uint8Array;
  readonly createdAt: number;
}

interface Row {
  place: number;
  seq: number;
  kind: number;
  id: MessageId;
  sender: AccountId;
  session: SessionId;
  body: Buffer;
  at: Date;
}

/** What some inboxes hold beyond a place, in the order of the places; each within its window. */
export async function listInboxes(sql: Sql, places: readonly InboxPlace[]): Promise<readonly InboxEntry[][]> {
  const rows = await sql.query<Row>(
    `select o_place as place, o_seq as seq, o_kind as kind, o_id as id, o_sender as sender, o_session as session,
            o_body as body, o_at as at
     from read_inboxes($1, $2, $3)`,
    [places.map(({ deviceId }) => deviceId), places.map(({ after }) => after), LIMITS.inboxWindow],
    "inboxes_list",
  );
  const inboxes: InboxEntry[][] = places.map(() => []);
  for (const row of rows) {
    const kind = kindOf(row.kind);
    if (kind !== undefined) inboxes[row.place - 1]?.push({ ...toEntry(row), kind });
  }
  return inboxes;
}

/** Drops the bodies of what a device has, up to a seq. Index: device_inbox_held. */
export async function dropAcknowledged(sql: Sql, deviceId: DeviceId, seq: number): Promise<void> {
  await sql.query(
    `update device_inbox set body = null, expires_at = least(expires_at, at + make_interval(secs => $3))
     where device = $1 and seq <= $2 and body is not null`,
    [deviceId, seq, KNOWN_SECONDS],
    "inboxes_acknowledge",
  );
}

/** Removes entries whose time is over, at most `limit`; gives how many. Index: device_inbox_expiry. */
export async function deleteOldEntries(sql: Sql, limit: number): Promise<number> {
  const rows = await sql.query(
    `delete from device_inbox where (account, device, sender, id) in (
       select account, device, sender, id from device_inbox where expires_at <= now() order by expires_at limit $1
     ) returning 1`,
    [limit],
    "inboxes_delete_old",
  );
  return rows.length;
}

/** A kind that a newer version put in is left for it. */
function kindOf(number: number): InboxKind | undefined {
  return (Object.keys(INBOX_KINDS) as InboxKind[]).find((kind) => INBOX_KINDS[kind] === number);
}

function toEntry(row: Row): Omit<InboxEntry, "kind"> {
  return {
    seq: row.seq,
    id: row.id,
    senderId: row.sender,
    senderSessionId: row.session,
    body: row.body,
    createdAt: row.at.getTime(),
  };
}
