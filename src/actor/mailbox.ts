/** A mailbox: first in, first out, bounded in items and in bytes. */

/** The bounds of a mailbox. */
export interface MailboxLimits {
  readonly items: number;
  readonly bytes: number;
}

interface Item<Message> {
  readonly message: Message;
  readonly bytes: number;
  next: Item<Message> | null;
}

/**
 * - `offer` never waits and never grows past the bounds.
 * - A message larger than the byte bound is taken when the mailbox is empty, so it cannot be stuck for ever.
 * - A chain and no list: most mailboxes hold nothing most of the time, and then they keep nothing.
 */
export class Mailbox<Message> {
  readonly #limits: MailboxLimits;
  #first: Item<Message> | null = null;
  #last: Item<Message> | null = null;
  #length = 0;
  #bytes = 0;

  constructor(limits: MailboxLimits) {
    this.#limits = limits;
  }

  /** How many messages wait. */
  get length(): number {
    return this.#length;
  }

  /** How many bytes wait. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Puts a message of `bytes` at the end, or gives false where there is no room. */
  offer(message: Message, bytes: number): boolean {
    const full = this.#length >= this.#limits.items || this.#bytes + bytes > this.#limits.bytes;
    if (full && this.#length > 0) return false;
    const item: Item<Message> = { message, bytes, next: null };
    if (this.#last === null) this.#first = item;
    else this.#last.next = item;
    this.#last = item;
    this.#length++;
    this.#bytes += bytes;
    return true;
  }

  /** Takes the first message, or `undefined` where there is none. */
  take(): Message | undefined {
    const item = this.#first;
    if (item === null) return undefined;
    this.#first = item.next;
    if (this.#first === null) this.#last = null;
    this.#length--;
    this.#bytes -= item.bytes;
    return item.message;
  }
}
