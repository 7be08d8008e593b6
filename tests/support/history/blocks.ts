/**
 * Who blocked whom and when, as far as those who asked for it can tell: a message that was sent and stored
 * while a block certainly held is withheld; one that met no block is not; and of the others nobody can say.
 */
import type { AccountId } from "../../../src/protocol/mod.ts";
import type { Entry } from "./entry.ts";
import type { AnyOperation, History, Operation } from "./history.ts";

/** When something can have taken effect. */
interface Change {
  readonly block: boolean;
  readonly done: boolean;
  readonly from: number;
  /** Infinity where nobody knows what came of it: it may still happen. */
  readonly to: number;
}

/** When a message can have been stored. */
export interface Stored {
  readonly from: number;
  readonly to: number;
}

/** See the head of this file. */
export class Blocks {
  readonly #changes = new Map<string, Change[]>();

  constructor({ operations }: History) {
    for (const operation of operations) if (operation.kind === "block") this.#add(operation);
  }

  /** Whether a reader certainly blocked the sender of an entry when it was stored. */
  certainly(reader: AccountId, { sender }: Pick<Entry, "sender">, stored: Stored): boolean {
    const changes = this.#of(reader, sender);
    return changes.some((change) => {
      if (!change.block || !change.done || change.to >= stored.from) return false;
      return !changes.some(({ block, from, to }) => !block && to >= change.from && from <= stored.to);
    });
  }

  /** Whether a reader may have blocked the sender of an entry when it was stored. */
  possibly(reader: AccountId, { sender }: Pick<Entry, "sender">, stored: Stored): boolean {
    const changes = this.#of(reader, sender);
    return changes.some((change) => {
      if (!change.block || change.from > stored.to) return false;
      return !changes.some(({ block, done, from, to }) => !block && done && from > change.to && to < stored.from);
    });
  }

  #of(reader: AccountId, sender: AccountId): readonly Change[] {
    return this.#changes.get(`${reader} ${sender}`) ?? [];
  }

  #add({ input, invokedAt: from, outcome }: Operation<"block">): void {
    // What was refused, for being too busy or for good, was not done.
    if (outcome.type === "refused" && outcome.code !== "unavailable") return;
    const key = `${input.account} ${input.whom}`;
    const own = this.#changes.get(key) ?? [];
    this.#changes.set(key, own);
    const done = outcome.type === "ok";
    own.push({ block: input.change === "block", done, from, to: done ? outcome.at : Infinity });
  }
}

/** When a message can have been stored: after it was first sent, and before anybody was told so. */
export function storedWithin(attempts: readonly AnyOperation[], seenAt: number | undefined): Stored {
  const from = Math.min(...attempts.map(({ invokedAt }) => invokedAt));
  const told = attempts.map(({ outcome }) => (outcome.type === "ok" ? outcome.at : Infinity));
  return { from, to: Math.min(seenAt ?? Infinity, ...told) };
}
