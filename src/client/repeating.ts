/** Requests that are sent again until they are answered: only those that change nothing more when they are repeated. */
import { SottoError } from "./sotto_error.ts";
import { backoffMs, delay, type Timing } from "./timing.ts";

/** How often a request is sent, at most. */
const TRIES = 6;
const BASE_MS = 200;
const MOST_MS = 5_000;
const MOST_ASKED_MS = 60_000;

/** Sends a request until it is answered, or refused for good; rejects with the last refusal. */
export async function untilAnswered<Answer>(timing: Timing, request: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof SottoError) || !error.retryable || attempt + 1 >= TRIES) throw error;
      const asked = error.details.retry_after_ms;
      const pause = backoffMs(attempt, timing.random(), BASE_MS, MOST_MS);
      await delay(timing, typeof asked === "number" ? Math.min(Math.max(asked, pause), MOST_ASKED_MS) : pause);
    }
  }
}
