/**
 * Wrong passwords are counted in Postgres, whatever becomes of Redis: {@link AT_ONCE} for one name or
 * one known device, and then one in a quarter of an hour (NIST SP 800-63B-4 section 3.2.2 allows 100).
 *
 * - A guess is charged before the password is looked at and given back when it was right, so of any
 *   number at once no more than these are judged.
 * - It counts by a keyed hash of what was asked for, so a name that nobody has answers like any other.
 */
import { createHmac } from "node:crypto";
import type { Sql } from "../platform/postgres.ts";
import { DomainError } from "../protocol/mod.ts";
import type { AccountDeps } from "./deps.ts";
import { chargeGuess, findPaidUntil, type GuessRate, refundGuess } from "./guesses_store.ts";

/** Wrong passwords that may come at once. */
export const AT_ONCE = 100;

const COST_MS = 15 * 60_000;
const RATE: GuessRate = { costMs: COST_MS, aheadMs: COST_MS * (AT_ONCE - 1) };

/** A password that is about to be judged. */
export interface Guess {
  /** It was right, or never judged: it does not count. */
  forget(sql: Sql): Promise<void>;
}

/**
 * Charges a guess at somebody's password. `subject`: the folded name, the device or the account that
 * it is about. Throws `rate_limited` where it is one too many.
 */
export async function beginGuess(
  deps: Pick<AccountDeps, "db" | "clock" | "guessKey">,
  subject: string,
): Promise<Guess> {
  const hash = createHmac("sha256", deps.guessKey).update(subject).digest();
  const now = deps.clock.now();
  if (!(await chargeGuess(deps.db, hash, now, RATE))) {
    const wait = ((await findPaidUntil(deps.db, hash)) ?? now) - now - RATE.aheadMs;
    throw new DomainError("rate_limited", { details: { retry_after_ms: Math.min(COST_MS, Math.max(1, wait)) } });
  }
  return { forget: (sql) => refundGuess(sql, hash, RATE) };
}
