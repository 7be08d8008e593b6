/** Chance that can be repeated: the same seed gives the same choices. */

/** See the head of this file. */
export class Chance {
  #state: number;

  /** `seed`: any whole number. */
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A number from 0 up to, not including, 1 (the generator known as mulberry32). */
  readonly next = (): number => {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };

  /** A number from `least` up to, not including, `most`. */
  between(least: number, most: number): number {
    return least + this.next() * (most - least);
  }

  /** A whole number from `least` up to, not including, `most`. */
  whole(least: number, most: number): number {
    return Math.floor(this.between(least, most));
  }

  /** Whether something of this likelihood happens. */
  happens(likelihood: number): boolean {
    return this.next() < likelihood;
  }

  /** One of several. Throws where there are none. */
  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.whole(0, items.length)];
    if (item === undefined) throw new Error("Offer something to pick from");
    return item;
  }

  /** A generator of its own, so that what it is asked does not change what this one gives. */
  fork(): Chance {
    return new Chance(this.next() * 2 ** 32);
  }
}
