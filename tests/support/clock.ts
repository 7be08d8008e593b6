/** A clock that a test moves by hand. */
import type { Clock } from "../../src/platform/clock.ts";

/** See the head of this file. */
export interface MovableClock extends Clock {
  /** Moves the clock by milliseconds. */
  advance(ms: number): void;
}

/** A clock that goes like the machine's until it is moved. */
export function movableClock(): MovableClock {
  let offset = 0;
  return {
    now: () => Date.now() + offset,
    advance: (ms) => {
      offset += ms;
    },
  };
}
