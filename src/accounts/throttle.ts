/**
 * Slows down who guesses passwords or registers in bulk: fixed windows of a minute, in memory and
 * of this node.
 *
 * - A name is counted together with the address, so a stranger elsewhere cannot lock its owner out.
 * - Bounded: beyond {@link MAX_KEYS} keys in a minute all further ones share a single window.
 */
import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { DomainError } from "../protocol/mod.ts";

/** What {@link createThrottle} is told: attempts a minute. */
export interface ThrottleOptions {
  readonly perAddress: number;
  /** For one name from one address; absent means that names are not counted. */
  readonly perName?: number;
}

/** See the head of this file. */
export interface Throttle {
  /** Counts one attempt; throws `rate_limited` with `details.retry_after_ms` when it is one too many. */
  take(attempt: { readonly address: string; readonly name?: string }): Promise<void>;
}

const WINDOW_SECONDS = 60;
const MAX_KEYS = 50_000;

/** Makes a throttle with nothing counted. */
export function createThrottle(options: ThrottleOptions): Throttle {
  const addresses = window(options.perAddress);
  const names = options.perName === undefined ? null : window(options.perName);
  return {
    async take({ address, name }) {
      // The name first: who is refused here does not use up the address for the others behind it.
      if (names !== null && name !== undefined) await names(`${address} ${name}`);
      await addresses(address);
    },
  };
}

function window(points: number): (key: string) => Promise<void> {
  const limiter = new RateLimiterMemory({ points, duration: WINDOW_SECONDS });
  let keys = new Set<string>();
  let keysSince = Date.now();
  return async (key) => {
    if (Date.now() - keysSince > WINDOW_SECONDS * 1_000) {
      keys = new Set();
      keysSince = Date.now();
    }
    const full = keys.size >= MAX_KEYS && !keys.has(key);
    if (!full) keys.add(key);
    try {
      await limiter.consume(full ? "(all others)" : key);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw new DomainError("rate_limited", { details: { retry_after_ms: Math.ceil(error.msBeforeNext) } });
    }
  };
}
