/** A mailbox: first in, first out, bounded in items and in bytes. */

/** The bounds of a mailbox. */
export interface MailboxLimits {
  readonly items: number;
  readonly bytes: number;
}

/**
 * - `offer` never waits and never grows past the bounds.
 * - A message larger than the byte bound is taken when the mailbox is empty, so it cannot be stuck for ever.
 */
export class Mailbox<Message> {
  readonly #limits: MailboxLimits;
  #items: (Message | undefined)[] = [];
  #sizes: number[] = [];
  #first = 0;
  #bytes = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  /** How many messages wait. */
  get length(): number {
    return this.#items.length - this.#first;
  }

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a message of `bytes` at the end, or gives false where there is no room. */
  offer(message: Message, bytes: number): boolean {
    const full = this.length >= this.#limits.items || this.#bytes + bytes > this.#limits.bytes;
    if (full && this.length > 0) return false;
    this.#items.push(message);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
    return true;
  }

  /** Takes the first message, or `undefined` where there is none. */
  take(): Message | undefined {
    if (this.length === 0) return undefined;
    const message = this.#items[this.#first];
    this.#bytes -= this.#sizes[this.#first] ?? 0;
    this.#items[this.#first] = undefined;
    this.#first++;
    if (this.#first === this.#items.length) this.#reset();
    return message;
  }

  #reset(): void {
    this.#items = [];
    this.#sizes = [];
    this.#first = 0;
  }
}
