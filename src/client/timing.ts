/** Time and chance as an argument, so a test can drive them. */

/** What the SDK knows of time and chance. */
export interface Timing {
  /** Milliseconds since the epoch. */
  now(): number;
  /** A number in [0, 1), for jitter. */
  random(): number;
  /** Runs `work` once after `ms` milliseconds; the answer calls it off. */
  after(ms: number, work: () => void): () => void;
}

/** The machine's own clock, timers and chance. */
export const systemTiming: Timing = {
  now: () => Date.now(),
  random: () => Math.random(),
  after: (ms, work) => {
    const timer = setTimeout(work, ms);
    return () => clearTimeout(timer);
  },
};

/**
 * How long to wait before attempt number `attempt` (0 is the first repetition): exponential
 * backoff with full jitter, so that clients which lost one node do not come back as one wave.
 * Milliseconds.
 */
export function backoffMs(attempt: number, random: number, baseMs: number, mostMs: number): number {
  return Math.floor(random * Math.min(mostMs, baseMs * 2 ** Math.min(attempt, 30)));
}

/** Resolves after `ms` milliseconds. */
export function delay(timing: Timing, ms: number): Promise<void> {
  return new Promise((resolve) => {
    timing.after(ms, resolve);
  });
}
