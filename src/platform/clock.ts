/** Time as an argument, so a test can drive it. */
export interface Clock {
  /** Milliseconds since the epoch. May be set, forward and back. */
  now(): number;
  /** Milliseconds of a clock that nobody sets, for deadlines and rates; absent where `now` is never set. */
  steady?(): number;
}

/** The machine's clock. */
export const systemClock: Clock = { now: () => Date.now(), steady: () => performance.now() };

/** Milliseconds of a clock's steady side; their zero means nothing. */
export function steadyNow(clock: Clock): number {
  return clock.steady?.() ?? clock.now();
}
