/** The statements on `sessions` and `devices`. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, DeviceId, Platform, SessionEnd, SessionId } from "../protocol/mod.ts";

/** A row of `sessions`. */
export interface StoredSession {
  readonly id: SessionId;
  readonly accountId: AccountId;
  readonly deviceId: DeviceId;
  readonly generation: number;
  readonly refreshHash: Buffer;
  readonly previousHash: Buffer | null;
  readonly rotatedAt: number;
  readonly forgiven: boolean;
  readonly expiresAt: number;
  readonly expiresLatest: number;
  readonly ended: boolean;
}

interface Row {
  id: SessionId;
  account: AccountId;
  device: DeviceId;
  generation: number;
  refresh_hash: Buffer;
  previous_hash: Buffer | null;
  rotated_at: Date;
  forgiven: boolean;
  expires_at: Date;
  expires_latest: Date;
  ended_at: Date | null;
}

/** What {@link insertSession} writes. */
export interface NewSession {
  readonly id: SessionId;
  readonly accountId: AccountId;
  readonly deviceId: DeviceId;
  readonly refreshHash: Buffer;
  readonly now: number;
  readonly expiresAt: number;
  readonly expiresLatest: number;
}

/** Makes a device the account's, or finds that it is; `false` where it is another account's. */
export async function claimDevice(
  tx: Sql,
  device: {
    readonly id: DeviceId;
    readonly accountId: AccountId;
    readonly name: string | null;
    readonly platform: Platform | null;
    readonly now: number;
  },
): Promise<boolean> {
  const rows = await tx.query(
    `insert into devices as mine (id, account, name, platform, created_at) values ($1, $2, $3, $4, $5)
     on conflict (id) do update
     set name = coalesce(excluded.name, mine.name), platform = coalesce(excluded.platform, mine.platform)
     where mine.account = excluded.account
     returning 1`,
    [device.id, device.accountId, device.name, device.platform, new Date(device.now)],
    "devices_claim",
  );
  return rows.length === 1;
}

/** Stores a session. */
export async function insertSession(tx: Sql, session: NewSession): Promise<void> {
  const { id, accountId, deviceId, refreshHash } = session;
  const times = [session.now, session.expiresAt, session.expiresLatest].map((time) => new Date(time));
  await tx.query(
    `insert into sessions
       (id, account, device, generation, refresh_hash, created_at, rotated_at, expires_at, expires_latest, seen_on)
     values ($1, $2, $3, 0, $4, $5, $5, $6, $7, $8)`,
    [id, accountId, deviceId, refreshHash, ...times, dayOf(session.now)],
    "sessions_insert",
  );
}

/** Ends the live session of a device, and those whose refresh tokens have expired. */
export async function endReplacedSessions(
  tx: Sql,
  by: { readonly accountId: AccountId; readonly deviceId: DeviceId; readonly now: number },
): Promise<SessionId[]> {
  const rows = await tx.query<{ id: SessionId }>(
    `update sessions set ended_at = $3
     where account = $1 and ended_at is null and (device = $2 or expires_at <= $3) returning id`,
    [by.accountId, by.deviceId, new Date(by.now)],
    "sessions_end_replaced",
  );
  return rows.map((row) => row.id);
}

/** Ends the oldest live sessions of an account until `keep` are left. The caller holds the account's lock. */
export async function endOldestSessions(
  tx: Sql,
  by: { readonly accountId: AccountId; readonly keep: number; readonly now: number },
): Promise<SessionId[]> {
  const rows = await tx.query<{ id: SessionId }>(
    `update sessions set ended_at = $3
     where id in (
       select id from sessions where account = $1 and ended_at is null
       order by created_at desc, id desc offset $2
     ) and ended_at is null returning id`,
    [by.accountId, by.keep, new Date(by.now)],
    "sessions_end_oldest",
  );
  return rows.map((row) => row.id);
}

/** Ends the live sessions of an account, all but one where one is named. The caller holds the account's lock. */
export async function endSessionsOf(
  tx: Sql,
  by: {
    readonly accountId: AccountId;
    readonly except: SessionId | null;
    readonly now: number;
    /** What their sockets are told; standard `session_ended`. */
    readonly reason?: SessionEnd;
  },
): Promise<SessionId[]> {
  const { accountId, except, now, reason = "session_ended" } = by;
  const rows = await tx.query<{ id: SessionId }>(
    `update sessions set ended_at = $3, end_reason = nullif($4, 'session_ended')
     where account = $1 and ended_at is null and id is distinct from $2 returning id`,
    [accountId, except, new Date(now), reason],
    "sessions_end_of",
  );
  return rows.map((row) => row.id);
}

/** Ends one session, whosever it is, and gives whose; `undefined` where it had ended before or there is none. */
export async function endAnySession(sql: Sql, id: SessionId, now: number): Promise<AccountId | undefined> {
  const [row] = await sql.query<{ account: AccountId }>(
    "update sessions set ended_at = $2 where id = $1 and ended_at is null returning account",
    [id, new Date(now)],
    "sessions_end_any",
  );
  return row?.account;
}

/** Ends one session; `false` where it had ended before or there is none. */
export async function endSession(sql: Sql, id: SessionId, now: number): Promise<boolean> {
  return (await endAnySession(sql, id, now)) !== undefined;
}

/** Whether one session is live and an account's own. Read by the primary key. */
export async function ownsSession(sql: Sql, accountId: AccountId, id: SessionId): Promise<boolean> {
  const rows = await sql.query(
    "select 1 from sessions where id = $1 and account = $2 and ended_at is null",
    [id, accountId],
    "sessions_owns",
  );
  return rows.length === 1;
}

/** The day a live session was last seen, where it lives. Read by the primary key. */
export async function findSeen(sql: Sql, id: SessionId): Promise<{ readonly seenOn: string | null } | undefined> {
  const [row] = await sql.query<{ seenOn: string | null }>(
    `select seen_on::text as "seenOn" from sessions where id = $1 and ended_at is null`,
    [id],
    "sessions_seen",
  );
  return row;
}

/** Notes the day (`YYYY-MM-DD`, UTC) on which a session is seen, once. */
export async function noteSeen(sql: Sql, id: SessionId, day: string): Promise<void> {
  await sql.query(
    "update sessions set seen_on = $2 where id = $1 and (seen_on is null or seen_on < $2)",
    [id, day],
    "sessions_note_seen",
  );
}

/** One session, locked until the transaction ends, so that its refreshes come one after another. */
export async function lockSession(tx: Sql, id: SessionId): Promise<StoredSession | undefined> {
  const [row] = await tx.query<Row>(
    `select id, account, device, generation, refresh_hash, previous_hash, rotated_at, forgiven,
            expires_at, expires_latest, ended_at
     from sessions where id = $1 for no key update`,
    [id],
    "sessions_lock",
  );
  return row === undefined ? undefined : toSession(row);
}

/** Puts the next refresh token in the place of the current one. The caller holds the session's lock. */
export async function rotateSession(
  tx: Sql,
  to: { readonly id: SessionId; readonly refreshHash: Buffer; readonly now: number; readonly expiresAt: number },
): Promise<void> {
  await tx.query(
    `update sessions
     set generation = generation + 1, previous_hash = refresh_hash, refresh_hash = $2,
         rotated_at = $3, expires_at = $4, forgiven = false
     where id = $1`,
    [to.id, to.refreshHash, new Date(to.now), new Date(to.expiresAt)],
    "sessions_rotate",
  );
}

/** Notes that a lost answer was given again. The caller holds the session's lock. */
export async function forgiveSession(tx: Sql, id: SessionId): Promise<void> {
  await tx.query("update sessions set forgiven = true where id = $1", [id], "sessions_forgive");
}

/** Removes sessions that ended or expired before a time, at most `limit`; gives how many. */
export async function deleteOldSessions(sql: Sql, before: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `delete from sessions where id in (
       (select id from sessions where ended_at is not null and ended_at < $1 limit $2)
       union all
       (select id from sessions where ended_at is null and expires_at < $1 limit $2)
     ) returning 1`,
    [new Date(before), limit],
    "sessions_delete_old",
  );
  return rows.length;
}

/** A day as it is stored: `YYYY-MM-DD`, UTC. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function toSession(row: Row): StoredSession {
  const { id, generation, forgiven } = row;
  return {
    id,
    accountId: row.account,
    deviceId: row.device,
    generation,
    refreshHash: row.refresh_hash,
    previousHash: row.previous_hash,
    rotatedAt: row.rotated_at.getTime(),
    forgiven,
    expiresAt: row.expires_at.getTime(),
    expiresLatest: row.expires_latest.getTime(),
    ended: row.ended_at !== null,
  };
}
