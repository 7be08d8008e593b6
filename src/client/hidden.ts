/**
 * What the account deleted for itself alone, on this device or another: told as it happens, and once there is a
 * connection again what was missed meanwhile, by the numbers that the server gives [CHG-5].
 *
 * - Everything is told at least once, and again where that cannot be known: hiding twice is hiding.
 * - A new device is told of all there is: of what it has not read yet it gets the tombstone in any case.
 */
import type { HiddenMessage } from "../protocol/mod.ts";
import type { Signal } from "./intake.ts";
import { untilAnswered } from "./repeating.ts";
import type { Timing } from "./timing.ts";

/** What the server says of a message that was hidden. */
type HiddenSignal = Extract<Signal, { type: "message_hidden" }>;

/** What {@link Hidden} is made of. */
export interface HiddenOptions {
  readonly timing: Timing;
  /** Up to which number everything was told. */
  readonly number: number;
  /** What was hidden after a number, in its order. */
  readonly page: (after: number) => Promise<{ readonly messages: readonly HiddenMessage[]; readonly more: boolean }>;
  /** Keeps the number that all was told up to. */
  readonly keep: (number: number) => Promise<void>;
  readonly tell: (signal: HiddenSignal) => void;
}

/** See the head of this file. */
export class Hidden {
  readonly #options: HiddenOptions;
  #number: number;
  #asking: Promise<void> | undefined;
  /** Something was missed since the asking began. */
  #again = false;

  constructor(options: HiddenOptions) {
    this.#options = options;
    this.#number = options.number;
  }

  /** The server told of one. */
  heard(signal: HiddenSignal): void {
    this.#options.tell(signal);
    if (signal.number > this.#number + 1) return this.refresh(); // others before it may have been missed
    this.#told(signal.number);
  }

  /** There is a connection again: asks for what was missed. What cannot be asked for now is with the next connection. */
  refresh(): void {
    this.#again = true;
    this.#asking ??= this.#ask()
      .catch(() => {})
      .finally(() => {
        this.#asking = undefined;
      });
  }

  async #ask(): Promise<void> {
    const { timing, page, tell } = this.#options;
    let more = false;
    while (this.#again || more) {
      this.#again = false;
      const found = await untilAnswered(timing, () => page(this.#number));
      for (const hidden of found.messages) tell({ type: "message_hidden", ...hidden });
      this.#told(found.messages.at(-1)?.number ?? 0);
      more = found.more;
    }
  }

  #told(number: number): void {
    if (number <= this.#number) return;
    this.#number = number;
    this.#options.keep(number).catch(() => {}); // what is told again after a restart; the next change of the store says why
  }
}
