/**
 * Slows down who guesses, registers in bulk or asks too often: named policies over one limiter, which
 * counts for all nodes where they share a Redis.
 *
 * - A bucket of a name is beside one of the name at an address: a stranger elsewhere uses up the
 *   first, and a device that signed in before has a bucket of its own (`device_token.ts`).
 * - What must outlive Redis is in Postgres: see `guesses.ts`.
 */
import type { Rate, RateLimiter } from "../platform/rate_limit.ts";
import { DomainError } from "../protocol/mod.ts";

/** One from the bucket of a policy for a key: an address, an account, a folded name. */
export type ThrottleClaim<Name extends string> = readonly [policy: Name, key: string];

/** See the head of this file. */
export interface Throttle<Name extends string> {
  /** Takes one from each bucket or from none; throws `rate_limited` with `details.retry_after_ms`. */
  take(...claims: readonly ThrottleClaim<Name>[]): Promise<void>;
}

/** What {@link createThrottle} is told. */
export interface ThrottleOptions<Name extends string> {
  readonly limiter: RateLimiter;
  readonly rates: Readonly<Record<Name, Rate>>;
  /** Told of each refusal. */
  readonly onRefused?: () => void;
}

/** Makes a throttle; two with the same names and the same limiter share their buckets. */
export function createThrottle<const Name extends string>(options: ThrottleOptions<Name>): Throttle<Name> {
  const { limiter, rates } = options;
  return {
    async take(...claims) {
      const wait = await limiter.take(claims.map(([name, key]) => ({ policy: { name, ...rates[name] }, key })));
      if (wait === 0) return;
      options.onRefused?.();
      throw new DomainError("rate_limited", { details: { retry_after_ms: wait } });
    },
  };
}

const perMinute = (count: number): Rate => ({ perMinute: count, burst: count });

/** The policies of accounts; each name ends with what it counts by. */
export const ACCOUNT_RATES = {
  sign_up_address: perMinute(5),
  sign_up_everybody: perMinute(6_000),
  /** By devices that nobody knows: one name from one address, all names from it, one name, and all of them. */
  sign_in_name_address: perMinute(10),
  sign_in_address: perMinute(30),
  sign_in_name: perMinute(60),
  sign_in_everybody: perMinute(6_000),
  /** A device that signed in before, by its token: nobody else can use this up. */
  sign_in_device: perMinute(10),
  /** Refresh tokens cannot be guessed: these only bound the work. */
  refresh_session: perMinute(120),
  refresh_address: perMinute(600),
  ticket_account: perMinute(120),
  /** The password of somebody who is signed in, asked for again. */
  password_account: perMinute(10),
  /** Mail that anybody may ask for: so little to one mailbox that it cannot be flooded. */
  mail_name_address: { perMinute: 1, burst: 5 },
  mail_name: { perMinute: 1, burst: 10 },
  mail_address: perMinute(15),
  mail_everybody: perMinute(600),
  /** Family C of the contracts: 5 and 10 a minute for an address. */
  room_register_address: perMinute(5),
  room_login_address: perMinute(10),
} as const satisfies Record<string, Rate>;

/** The name of one of them. */
export type AccountPolicy = keyof typeof ACCOUNT_RATES;
/** Rates in the place of the standard ones. */
export type AccountRates = Partial<Record<AccountPolicy, Rate>>;
