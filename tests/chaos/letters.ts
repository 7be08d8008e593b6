/**
 * The messages that a device has to send, until each is answered for good. Repeats keep the id and
 * the order of the first attempts: after a retryable refusal nothing more goes to that conversation
 * before what was refused has gone again [MSG-5], and on a new socket everything goes again, in order.
 */
import { type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";

/** One message. */
export interface Letter {
  readonly id: MessageId;
  readonly conversation: ConversationId;
  readonly text: string;
  /** `waiting` to be sent, or sent again; `flying`: sent, not answered. */
  state: "waiting" | "flying";
}

/** Messages of a device that may wait or fly. */
export const MOST_LETTERS = 24;

/** See the head of this file. */
export class Letters {
  /** In the order in which they were written. */
  readonly #letters = new Set<Letter>();
  /** Conversations in which something was refused and did not go again yet. */
  readonly #refused = new Set<ConversationId>();
  /** The last that were stored, for deliberate repeats. */
  readonly stored: Letter[] = [];

  /** How many are not answered for good. */
  get size(): number {
    return this.#letters.size;
  }

  /** Takes a new one; `null` where too many wait. */
  write(conversation: ConversationId, text: string): Letter | null {
    if (this.#letters.size >= MOST_LETTERS) return null;
    const letter: Letter = { id: newMessageId(), conversation, text, state: "waiting" };
    this.#letters.add(letter);
    return letter;
  }

  /** Those that may go now, in order; they fly from here on. */
  take(): Letter[] {
    const all = [...this.#letters];
    // What was refused goes again once the others of its conversation have come back too.
    const held = new Set(all.filter(({ state }) => state === "flying").map(({ conversation }) => conversation));
    const may = ({ conversation }: Letter) => !(this.#refused.has(conversation) && held.has(conversation));
    const taken = all.filter((letter) => letter.state === "waiting" && may(letter));
    for (const letter of taken) {
      letter.state = "flying";
      this.#refused.delete(letter.conversation);
    }
    return taken;
  }

  /** It was refused, and may be sent again. */
  refused(letter: Letter): void {
    letter.state = "waiting";
    this.#refused.add(letter.conversation);
  }

  /** The socket is gone, and nobody knows of those that flew. */
  lost(): void {
    this.#refused.clear();
    for (const letter of this.#letters) letter.state = "waiting";
  }

  /** It was answered for good. */
  done(letter: Letter, stored: boolean): void {
    this.#letters.delete(letter);
    if (stored && this.stored.push(letter) > MOST_LETTERS) this.stored.shift();
  }
}
