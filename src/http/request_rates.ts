/** How many requests an account may make, and an address whose requests name no account. */
import { createThrottle, type Throttle } from "../accounts/mod.ts";
import type { Rate, RateLimiter } from "../platform/rate_limit.ts";

/** See the head of this file. */
export type RequestThrottle = Throttle<"requests_account" | "requests_address">;

/** What {@link createRequestThrottle} is told. */
export interface RequestThrottleOptions {
  readonly limiter: RateLimiter;
  /** `RATE_LIMIT_PER_MINUTE` and `RATE_LIMIT_BURST`, for each account and each address. */
  readonly rate: Rate;
  /** Told of each refusal. */
  readonly onRefused?: () => void;
}

/** Makes the throttle of requests. */
export function createRequestThrottle({ limiter, rate, ...told }: RequestThrottleOptions): RequestThrottle {
  return createThrottle({ limiter, rates: { requests_account: rate, requests_address: rate }, ...told });
}
