/**
 * Counts for all nodes together, in Redis and by its clock, and for this node alone while Redis does
 * not answer: never without a limit, never with an error, and never slower by more than a moment.
 *
 *   shared ──late or failed──▶ alone, for a second ──▶ trying, in the background ──answered──▶ shared
 *                                    ▲                        │
 *                                    └─────late or failed─────┘
 *
 * - What Redis says is noted here too. So this node goes on from there when Redis goes, and refuses
 *   by itself who it knows to be far ahead: a flood costs Redis nothing.
 * - Keys are hashed with a secret: Redis holds no name and no address.
 */
import { createHmac } from "node:crypto";
import { type Clock, steadyNow } from "./clock.ts";
import { intervalOf, MemoryRateLimiter, type RateClaim, type RateLimiter, toleranceOf } from "./rate_limit.ts";
import type { Redis } from "./redis.ts";

/** What a {@link RedisRateLimiter} is made of. */
export interface RedisRateLimiterOptions {
  readonly redis: Pick<Redis, "up" | "script">;
  readonly clock: Clock;
  /** Hashes the keys; all nodes have the same one. */
  readonly secretKey: string | Uint8Array;
  /** Told once of each time that Redis does not answer. */
  readonly onFault?: (error: unknown) => void;
}

/** What a request may wait for Redis. */
const PATIENCE_MS = 50;
/** For how long nobody waits after that. */
const ALONE_MS = 1_000;

/**
 * Takes one from each bucket, or from none.
 * KEYS[i] a bucket: when it will be paid for, in microseconds since the epoch · ARGV[2i - 1] what one
 * costs, in microseconds · ARGV[2i] how far ahead a bucket may be paid and another one is let through.
 * Returns the longest wait, and for each bucket how far ahead it is now, all in microseconds.
 */
const TAKE = `
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local wait = 0
local ahead = {}
for i, key in ipairs(KEYS) do
  local cost, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local paid = (tonumber(redis.call("GET", key)) or now) - now
  if paid < 0 or paid > tolerance + cost then paid = 0 end
  ahead[i] = paid
  wait = math.max(wait, paid - tolerance)
end
for i, key in ipairs(KEYS) do
  if wait == 0 then
    ahead[i] = ahead[i] + tonumber(ARGV[2 * i - 1])
    redis.call("SET", key, string.format("%.0f", now + ahead[i]), "PX", math.ceil(ahead[i] / 1000))
  end
  ahead[i] = math.ceil(ahead[i])
end
return { math.ceil(wait), ahead }`;

/** See the head of this file. */
export class RedisRateLimiter implements RateLimiter {
  readonly #options: RedisRateLimiterOptions;
  readonly #local: MemoryRateLimiter;
  #state: "shared" | "alone" | "trying" = "shared";
  #aloneUntil = 0;

  constructor(options: RedisRateLimiterOptions) {
    this.#options = options;
    this.#local = new MemoryRateLimiter(options.clock);
  }

  /** Whether all nodes count together now. */
  get shared(): boolean {
    return this.#state === "shared" && this.#options.redis.up;
  }

  async take(claims: readonly RateClaim[]): Promise<number> {
    if (this.#state === "alone" && steadyNow(this.#options.clock) >= this.#aloneUntil) {
      this.#state = "trying";
      void this.#ask([]); // nobody waits for it: later claims will know
    }
    const known = this.#local.wait(claims);
    if (known > 0) return known;
    if (!this.#options.redis.up) return this.#local.take(claims);
    return (this.#state === "shared" ? await this.#ask(claims) : null) ?? this.#local.take(claims);
  }

  /** What Redis says; `null` where it says nothing in time. Changes the state by that. */
  async #ask(claims: readonly RateClaim[]): Promise<number | null> {
    try {
      const [wait, ahead] = answerOf(await inTime(this.#script(claims)));
      claims.forEach((claim, i) => {
        this.#local.note(claim, (ahead[i] ?? 0) / 1_000);
      });
      this.#state = "shared";
      return Math.ceil(wait / 1_000);
    } catch (error) {
      if (this.#state === "shared") this.#options.onFault?.(error);
      this.#state = "alone";
      this.#aloneUntil = steadyNow(this.#options.clock) + ALONE_MS;
      return null;
    }
  }

  #script(claims: readonly RateClaim[]): Promise<unknown> {
    const keys = claims.map(({ policy, key }) => `sotto:rate:${policy.name}:${this.#hash(key)}`);
    const micro = (ms: number) => String(Math.round(ms * 1_000));
    const values = claims.flatMap(({ policy }) => [micro(intervalOf(policy)), micro(toleranceOf(policy))]);
    return this.#options.redis.script(TAKE, keys, values);
  }

  #hash(key: string): string {
    return createHmac("sha256", this.#options.secretKey).update("sotto rate ").update(key).digest("base64url");
  }
}

/** An answer, or an error once patience has ended. */
async function inTime(answer: Promise<unknown>): Promise<unknown> {
  const late = Promise.withResolvers<never>();
  answer.catch(() => {}); // it may fail when nobody listens any more
  const timer = setTimeout(() => {
    // A process that was busy for long finds its timers due first, and answers that came meanwhile next.
    setImmediate(() => setImmediate(() => late.reject(new Error(`Redis took longer than ${PATIENCE_MS} ms`))));
  }, PATIENCE_MS);
  try {
    return await Promise.race([answer, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function answerOf(answer: unknown): readonly [wait: number, ahead: readonly number[]] {
  if (!Array.isArray(answer) || !Array.isArray(answer[1])) throw new Error("Redis gave no answer to a claim");
  return [Number(answer[0]), answer[1].map(Number)];
}
