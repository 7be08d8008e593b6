/** How many frames one socket may send: a token bucket, and the end for who does not listen [LIM-3]. */
import { type ClientFrame, LIMITS } from "../protocol/mod.ts";

/** Frames that a `resume` counts as, and cursors in it that count as one more. */
const RESUME_FRAMES = 10;
const CURSORS_A_FRAME = 20;

/** See the head of this file. Times are milliseconds of a clock that nobody sets. */
export class FrameRate {
  #tokens: number = LIMITS.frameBurst;
  #at: number;
  /** Refusals since the last frame that was let through. */
  #refusals = 0;

  constructor(now: number) {
    this.#at = now;
  }

  /** Counts a frame: 0 where it may pass, or the milliseconds until one may. */
  take(now: number): number {
    const earned = ((now - this.#at) / 1_000) * LIMITS.framesPerSecond;
    this.#tokens = Math.min(LIMITS.frameBurst, this.#tokens + earned);
    this.#at = now;
    if (this.#tokens < 1) {
      this.#refusals++;
      return Math.ceil(((1 - this.#tokens) / LIMITS.framesPerSecond) * 1_000);
    }
    this.#tokens--;
    this.#refusals = 0;
    return 0;
  }

  /** Counts a frame for more than one. */
  more(frames: number): void {
    this.#tokens -= frames;
  }

  /** Whether the socket goes on in spite of every refusal. */
  get flooding(): boolean {
    return this.#refusals > LIMITS.floodRefusals;
  }

  /** A `resume` makes the server look at every cursor in it, so it counts for more than one frame. */
  charge({ cursors }: Extract<ClientFrame, { type: "resume" }>): void {
    this.more(RESUME_FRAMES - 1 + Math.ceil(Object.keys(cursors).length / CURSORS_A_FRAME));
  }
}
