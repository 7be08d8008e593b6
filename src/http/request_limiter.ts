/**
 * How many requests an account or an address may make: the generic cell rate algorithm
 * (ITU-T I.371), which is a token bucket kept as one number.
 *
 * - Bounded: at most {@link MAX_KEYS} keys; the one that was used least recently goes first. A key
 *   that goes starts afresh, so an attacker with many addresses gains no more than those addresses.
 * - In memory and of this node. What must hold over nodes has its own counters.
 */
import type { Clock } from "../platform/clock.ts";
import { DomainError } from "../protocol/mod.ts";

/** What {@link createRequestLimiter} is told. */
export interface RequestLimiterOptions {
  readonly perMinute: number;
  /** Requests that may come at once. */
  readonly burst: number;
  readonly clock: Clock;
  /** Told of each refusal. */
  readonly onRefused?: () => void;
}

/** See the head of this file. */
export interface RequestLimiter {
  /** Counts one request; throws `rate_limited` with `details.retry_after_ms` when it is one too many. */
  take(key: string): void;
}

const MAX_KEYS = 100_000;
/** Sums of fractions are a little off; without this the last request of a burst is refused now and then. */
const ROUNDING_MS = 0.01;

/** Makes a limiter with nothing counted. */
export function createRequestLimiter(options: RequestLimiterOptions): RequestLimiter {
  const intervalMs = 60_000 / options.perMinute;
  const toleranceMs = intervalMs * Math.max(0, options.burst - 1) + ROUNDING_MS;
  /** When each key will have paid for all its requests; in the order of last use. */
  const paidAt = new Map<string, number>();
  return {
    take(key) {
      const now = options.clock.now();
      const noted = paidAt.get(key) ?? now;
      // Later than any request could have made it: the clock was set back, and nobody shall wait for it to catch up.
      const due = noted - now > toleranceMs + intervalMs ? now : Math.max(noted, now);
      if (due - now > toleranceMs) {
        options.onRefused?.();
        throw new DomainError("rate_limited", { details: { retry_after_ms: Math.ceil(due - now - toleranceMs) } });
      }
      paidAt.delete(key);
      paidAt.set(key, due + intervalMs);
      if (paidAt.size <= MAX_KEYS) return;
      for (const oldest of paidAt.keys()) {
        paidAt.delete(oldest);
        break;
      }
    },
  };
}
