/** The statements on `socket_tickets`. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, DeviceId, SessionId } from "../protocol/mod.ts";
import type { Principal } from "./principal.ts";

/** Stores a ticket, and removes the session's tickets that nobody came with. */
export async function insertTicket(
  sql: Sql,
  ticket: {
    readonly hash: Buffer;
    readonly sessionId: SessionId;
    readonly now: number;
    readonly expiresAt: number;
    readonly tokenExpiresAt: number;
  },
): Promise<void> {
  const times = [ticket.now, ticket.expiresAt, ticket.tokenExpiresAt].map((time) => new Date(time));
  await sql.query(
    `with swept as (delete from socket_tickets where session = $2 and expires_at <= $3)
     insert into socket_tickets (hash, session, expires_at, token_expires_at) values ($1, $2, $4, $5)`,
    [ticket.hash, ticket.sessionId, ...times],
    "tickets_insert",
  );
}

/**
 * Takes a ticket away and gives whom it was for, where it and its session still live. Of several
 * that come at once one deletes the row, and the others, who waited for it, find none.
 */
export async function takeTicket(sql: Sql, hash: Buffer, now: number): Promise<Principal | undefined> {
  const [row] = await sql.query<{ account: AccountId; session: SessionId; device: DeviceId; token_expires_at: Date }>(
    `with taken as (
       delete from socket_tickets where hash = $1 returning session, expires_at, token_expires_at
     )
     select sessions.account, sessions.id as session, sessions.device, taken.token_expires_at
     from taken join sessions on sessions.id = taken.session
     where taken.expires_at > $2 and taken.token_expires_at > $2 and sessions.ended_at is null`,
    [hash, new Date(now)],
    "tickets_take",
  );
  if (row === undefined) return undefined;
  const { account, session, device } = row;
  return { accountId: account, sessionId: session, deviceId: device, expiresAt: row.token_expires_at.getTime() };
}

/** Removes tickets that expired before a time, at most `limit`; gives how many. */
export async function deleteOldTickets(sql: Sql, before: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `delete from socket_tickets where hash in (
       select hash from socket_tickets where expires_at < $1 limit $2
     ) returning 1`,
    [new Date(before), limit],
    "tickets_delete_old",
  );
  return rows.length;
}
