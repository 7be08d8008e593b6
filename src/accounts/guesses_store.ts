/** The statements on `password_guesses`. Times are milliseconds since the epoch. */
import type { Sql } from "../platform/postgres.ts";

/** What one guess costs and how far ahead may be guessed, in milliseconds. */
export interface GuessRate {
  readonly costMs: number;
  readonly aheadMs: number;
}

/** Charges one guess, unless it is one too many. Of several at once each waits for the one before. */
export async function chargeGuess(sql: Sql, subject: Buffer, now: number, rate: GuessRate): Promise<boolean> {
  const rows = await sql.query(
    `insert into password_guesses as mine (subject, paid_until) values ($1, $3)
     on conflict (subject) do update
       set paid_until = greatest(mine.paid_until, $2::timestamptz) + ($3::timestamptz - $2::timestamptz)
       where mine.paid_until <= $4
     returning 1`,
    [subject, ...[now, now + rate.costMs, now + rate.aheadMs].map((time) => new Date(time))],
    "guesses_charge",
  );
  return rows.length === 1;
}

/** When a further guess will be let through. */
export async function findPaidUntil(sql: Sql, subject: Buffer): Promise<number | undefined> {
  const [row] = await sql.query<{ paid_until: Date }>(
    "select paid_until from password_guesses where subject = $1",
    [subject],
    "guesses_paid_until",
  );
  return row?.paid_until.getTime();
}

/** Gives one guess back. */
export async function refundGuess(sql: Sql, subject: Buffer, rate: GuessRate): Promise<void> {
  await sql.query(
    "update password_guesses set paid_until = paid_until - make_interval(secs => $2) where subject = $1",
    [subject, rate.costMs / 1_000],
    "guesses_refund",
  );
}

/** Removes buckets that are full again, at most `limit`; gives how many. */
export async function deletePaidGuesses(sql: Sql, now: number, limit: number): Promise<number> {
  const rows = await sql.query(
    `delete from password_guesses where subject in (
       select subject from password_guesses where paid_until < $1 limit $2
     ) and paid_until < $1 returning 1`,
    [new Date(now), limit],
    "guesses_delete_paid",
  );
  return rows.length;
}
