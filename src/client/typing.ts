/**
 * Typing, as it goes out and comes in. What comes may be lost, the end of it too: so who is not heard to type
 * again within six seconds has ceased. What goes out is said again every three seconds while it goes on.
 */
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import type { Signal } from "./intake.ts";
import type { Timing } from "./timing.ts";

type TypingSignal = Extract<Signal, { type: "typing_start" | "typing_stop" }>;

/** Milliseconds after which somebody who is not heard again does not type any more. */
export const TYPING_ENDS_MS = 6_000;
const AGAIN_MS = 3_000;
/** People whose typing is watched; of more, the end is not made up. */
const MOST_TYPING = 1_000;

/** See the head of this file. */
export class Typing implements Disposable {
  readonly #timing: Timing;
  readonly #tell: (signal: TypingSignal) => void;
  readonly #ends = new Map<string, () => void>();
  readonly #saidAt = new Map<ConversationId, number>();

  constructor(timing: Timing, tell: (signal: TypingSignal) => void) {
    this.#timing = timing;
    this.#tell = tell;
  }

  /** Somebody types, or has ceased to. Tells it only where it is new. */
  heard(signal: TypingSignal): void {
    const key = `${signal.conversation_id} ${signal.user_id}`;
    const end = this.#ends.get(key);
    end?.();
    this.#ends.delete(key);
    if (signal.type === "typing_stop") return this.#tell(signal);
    if (this.#ends.size < MOST_TYPING) {
      const ended = () => this.heard({ ...signal, type: "typing_stop" });
      this.#ends.set(key, this.#timing.after(TYPING_ENDS_MS, ended));
    }
    if (end === undefined) this.#tell(signal);
  }

  /** What somebody said ends their typing. */
  said(conversationId: ConversationId, userId: AccountId): void {
    if (!this.#ends.has(`${conversationId} ${userId}`)) return;
    this.heard({ type: "typing_stop", conversation_id: conversationId, user_id: userId });
  }

  /** Whether it should go out that the person types, or has ceased to; `false`: it was said a moment ago. */
  shouldSay(conversationId: ConversationId, isTyping: boolean): boolean {
    const now = this.#timing.now();
    for (const [id, at] of this.#saidAt) if (now - at >= AGAIN_MS) this.#saidAt.delete(id);
    if (!isTyping) {
      this.#saidAt.delete(conversationId);
      return true;
    }
    if (this.#saidAt.has(conversationId)) return false;
    this.#saidAt.set(conversationId, now);
    return true;
  }

  [Symbol.dispose](): void {
    for (const cancel of this.#ends.values()) cancel();
    this.#ends.clear();
  }
}
