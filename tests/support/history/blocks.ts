/**
 * Who blocked whom and when, as far as those who asked for it can tell: a message that was sent and stored
 * while a block certainly held is withheld; one that met no block is not; and of the others nobody can say.
 */
import type { AccountId } from "../../../src/protocol/mod.ts";
import type { Entry } from "./entry.ts";
import type { AnyOperation, History } from "./history.ts";
import { type Span, Switches } from "./switches.ts";

/** When a message can have been stored. */
export type Stored = Span;

/** See the head of this file. */
export class Blocks {
  readonly #switches = new Switches();

  constructor({ operations }: History) {
    for (const operation of operations) {
      if (operation.kind !== "block") continue;
      const { account, whom, change } = operation.input;
      this.#switches.add(`${account} ${whom}`, change === "block", operation);
    }
  }

  /** Whether a reader certainly blocked the sender of an entry when it was stored. */
  certainly(reader: AccountId, { sender }: Pick<Entry, "sender">, stored: Stored): boolean {
    return this.#switches.certainly(`${reader} ${sender}`, stored);
  }

  /** Whether a reader may have blocked the sender of an entry when it was stored. */
  possibly(reader: AccountId, { sender }: Pick<Entry, "sender">, stored: Stored): boolean {
    return this.#switches.possibly(`${reader} ${sender}`, stored);
  }

  /** Since when at the latest one of two has certainly blocked the other, up to a moment; `null`: not certainly. */
  betweenSince(one: AccountId, other: AccountId, moment: number): number | null {
    const [there, back] = [`${one} ${other}`, `${other} ${one}`].map((key) => this.#switches.onSince(key, moment));
    if (there == null) return back ?? null;
    return back == null ? there : Math.min(there, back);
  }

  /** Whether one of two may have blocked the other at any time. */
  maybeBetween(one: AccountId, other: AccountId, span: Span): boolean {
    return this.possibly(one, { sender: other }, span) || this.possibly(other, { sender: one }, span);
  }
}

/** When a message can have been stored: after it was first sent, and before anybody was told so. */
export function storedWithin(attempts: readonly AnyOperation[], seenAt: number | undefined): Stored {
  const from = Math.min(...attempts.map(({ invokedAt }) => invokedAt));
  const told = attempts.map(({ outcome }) => (outcome.type === "ok" ? outcome.at : Infinity));
  return { from, to: Math.min(seenAt ?? Infinity, ...told) };
}
