/**
 * How often something may be done: the generic cell rate algorithm (ITU-T I.371), which is a token
 * bucket kept as one number: when everything that was let through will have been paid for.
 *
 * - A claim on several buckets takes one from each, or from none: who is refused by one of them
 *   does not use up the others.
 * - Bounded: at most {@link MOST_KEYS} keys a policy; the one that was used least recently goes first.
 *   A key that goes starts afresh, so an attacker with many addresses gains no more than those.
 */

import { type Clock, steadyNow } from "./clock.ts";
import { forgetOldest } from "./forget_oldest.ts";

/** How often, on average and at once. */
export interface Rate {
  readonly perMinute: number;
  /** What may come at once. */
  readonly burst: number;
}

/** A rate with a name, which tells its buckets from those of others. */
export interface RatePolicy extends Rate {
  readonly name: string;
}

/** One from a bucket: of a policy, for one address, account or whatever else it counts by. */
export interface RateClaim {
  readonly policy: RatePolicy;
  readonly key: string;
}

/** Counts; `rate_limit_redis.ts` does so for all nodes together. */
export interface RateLimiter {
  /**
   * Takes one from each bucket, or none: 0 where every bucket had one, else the milliseconds until
   * they all will. Never rejects, and never waits long.
   */
  take(claims: readonly RateClaim[]): Promise<number>;
}

const MOST_KEYS = 100_000;
/** Sums of fractions are a little off; without this the last of a burst is refused now and then. */
const ROUNDING_MS = 0.01;

/** Milliseconds that one claim costs. */
export function intervalOf(policy: Rate): number {
  return 60_000 / policy.perMinute;
}

/** How far ahead of now (ms) a bucket may be paid for, and a further claim still be let through. */
export function toleranceOf(policy: Rate): number {
  return intervalOf(policy) * Math.max(0, policy.burst - 1) + ROUNDING_MS;
}

/** Counts in memory, for one node. */
export class MemoryRateLimiter implements RateLimiter {
  readonly #clock: Clock;
  /** By policy and key, when the bucket will be paid for; keys in the order of last use. */
  readonly #paidAt = new Map<string, Map<string, number>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async take(claims: readonly RateClaim[]): Promise<number> {
    const wait = this.wait(claims);
    if (wait > 0) return wait;
    for (const claim of claims) this.#set(claim, this.ahead(claim) + intervalOf(claim.policy));
    return 0;
  }

  /** What {@link take} would answer, without taking. */
  wait(claims: readonly RateClaim[]): number {
    return Math.max(0, ...claims.map((claim) => Math.ceil(this.ahead(claim) - toleranceOf(claim.policy))));
  }

  /** Milliseconds for which a bucket is paid ahead. */
  ahead({ policy, key }: RateClaim): number {
    const ahead = (this.#paidAt.get(policy.name)?.get(key) ?? 0) - steadyNow(this.#clock);
    // More than any claim could have made it: the clock was set back, and nobody shall wait for it to catch up.
    return ahead > toleranceOf(policy) + intervalOf(policy) ? 0 : Math.max(0, ahead);
  }

  /** Learns from elsewhere that a bucket is paid ahead, unless it is known to be paid further. */
  note(claim: RateClaim, aheadMs: number): void {
    const { policy } = claim;
    const most = toleranceOf(policy) + intervalOf(policy);
    this.#set(claim, Math.min(most, Math.max(this.ahead(claim), aheadMs)));
  }

  #set({ policy, key }: RateClaim, aheadMs: number): void {
    const buckets = this.#paidAt.get(policy.name) ?? new Map<string, number>();
    this.#paidAt.set(policy.name, buckets);
    buckets.delete(key);
    buckets.set(key, steadyNow(this.#clock) + aheadMs);
    forgetOldest(buckets, MOST_KEYS);
  }
}
