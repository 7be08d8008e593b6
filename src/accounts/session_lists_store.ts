/** The statements that list sessions, and change none. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, DeviceId, Platform, SessionEnd, SessionId } from "../protocol/mod.ts";

/** A live session as its owner and an administrator see it. */
export interface ListedSession {
  readonly id: SessionId;
  readonly deviceId: DeviceId;
  readonly deviceName: string | null;
  readonly platform: Platform | null;
  readonly createdAt: Date;
  /** The day it was last used, `YYYY-MM-DD`, UTC. */
  readonly seenOn: string;
}

/** The live sessions of an account, newest first; `LIMITS.sessionsPerAccount` at most. */
export async function listSessionsOf(sql: Sql, accountId: AccountId, now: number): Promise<ListedSession[]> {
  return sql.query<ListedSession>(
    `select sessions.id, device as "deviceId", name as "deviceName", platform, sessions.created_at as "createdAt",
            coalesce(seen_on, (rotated_at at time zone 'UTC')::date)::text as "seenOn"
     from sessions join devices on devices.id = sessions.device
     where sessions.account = $1 and ended_at is null and expires_at > $2
     order by sessions.created_at desc, sessions.id desc`,
    [accountId, new Date(now)],
    "sessions_list_of",
  );
}

/** Of some sessions why each is over, `null` while it lives; those whose rows are gone are missing. Read by the primary key. */
export async function listSessionEnds(
  sql: Sql,
  ids: readonly SessionId[],
): Promise<{ readonly id: SessionId; readonly end: SessionEnd | null }[]> {
  return sql.query(
    `select id, case when ended_at is not null then coalesce(end_reason, 'session_ended') end as "end"
     from sessions where id = any ($1::uuid[])`,
    [ids],
    "sessions_list_ends",
  );
}

/** A session that is over, and whose it was. */
export interface EndedSession {
  readonly id: SessionId;
  readonly accountId: AccountId;
  readonly reason: SessionEnd;
}

/** Sessions that ended at a time or later, the newest first, at most `limit`. Read by `sessions_ended`: a range, however many sessions there are. */
export async function listEndedSessions(sql: Sql, since: number, limit: number): Promise<EndedSession[]> {
  const rows = await sql.query<{ id: SessionId; account: AccountId; reason: SessionEnd }>(
    `select id, account, coalesce(end_reason, 'session_ended') as reason
     from sessions where ended_at >= $1 order by ended_at desc limit $2`,
    [new Date(since), limit],
    "sessions_list_ended",
  );
  return rows.map((row) => ({ id: row.id, accountId: row.account, reason: row.reason }));
}

/** How many sessions live, and on how many devices somebody ever signed in; reads them all. */
export async function countSessions(sql: Sql, now: number): Promise<{ live: number; devices: number }> {
  const [row] = await sql.query<{ live: number; devices: number }>(
    `select (select count(*) from sessions where ended_at is null and expires_at > $1) as live,
            (select count(*) from devices) as devices`,
    [new Date(now)],
  );
  return row ?? { live: 0, devices: 0 };
}
