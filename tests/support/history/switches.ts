/**
 * What people switch on and off, such as a block or a setting, as far as those who asked for it can tell:
 * when it certainly was on, and when it may have been. Everything is off at first.
 */
import type { AnyOperation } from "./history.ts";

/** A part of a run. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** When something can have taken effect. */
interface Change extends Span {
  readonly on: boolean;
  readonly done: boolean;
}

/** See the head of this file. */
export class Switches {
  readonly #changes = new Map<string, Change[]>();

  /** An operation that switches something; `key` names it. */
  add(key: string, on: boolean, { invokedAt: from, outcome }: AnyOperation): void {
    // What was refused, for being too busy or for good, was not done.
    if (outcome.type === "refused" && outcome.code !== "unavailable") return;
    const own = this.#changes.get(key) ?? [];
    this.#changes.set(key, own);
    const done = outcome.type === "ok";
    // Where nobody knows what came of it, it may still happen.
    own.push({ on, done, from, to: done ? outcome.at : Infinity });
  }

  /** Whether it certainly was on all the time. */
  certainly(key: string, { from, to }: Span): boolean {
    const since = this.onSince(key, to);
    return since !== null && since < from;
  }

  /** Whether it may have been on at any time. */
  possibly(key: string, { from, to }: Span): boolean {
    const changes = this.#of(key);
    return changes.some((change) => {
      if (!change.on || change.from > to) return false;
      return !changes.some((other) => !other.on && other.done && other.from > change.to && other.to < from);
    });
  }

  /** Since when at the latest it has certainly been on, up to a moment; `null` where that is not certain. */
  onSince(key: string, moment: number): number | null {
    const changes = this.#of(key);
    let since: number | null = null;
    for (const change of changes) {
      if (!change.on || !change.done || change.to >= moment) continue;
      const undone = changes.some(({ on, from, to }) => !on && to >= change.from && from <= moment);
      if (!undone) since = Math.min(since ?? Infinity, change.to);
    }
    return since;
  }

  #of(key: string): readonly Change[] {
    return this.#changes.get(key) ?? [];
  }
}
