/** What a command is about to do, and how its words are read. */
import type { Outcome } from "./answers.ts";
import { UsageError } from "./arguments.ts";

/** What a command is about to do. */
export interface Plan {
  /** What to ask before it; `null`: nothing is lost by it. */
  readonly question: string | null;
  readonly carryOut: () => Promise<Outcome>;
}

/** A plan by which nothing is lost. */
export function unasked(carryOut: Plan["carryOut"]): Plan {
  return { question: null, carryOut };
}

/** A plan that is carried out after a yes. */
export function asked(question: string, carryOut: Plan["carryOut"]): Plan {
  return { question, carryOut };
}

/** The one word that a command takes. */
export function only(words: readonly string[], what: string): string {
  const [word] = words;
  if (word === undefined || words.length > 1) throw new UsageError(`Give one ${what}: there are ${words.length} words`);
  return word;
}

/** Refuses words where a command takes none. */
export function none(words: readonly string[]): void {
  if (words.length > 0) throw new UsageError(`Leave out what follows the command: current value is ${words.join(" ")}`);
}

/** The whole number of an option, from 1. */
export function wholeOf(option: string, text: string, most: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new UsageError(`Set ${option} to a whole number from 1 to ${most}`);
  return value;
}
