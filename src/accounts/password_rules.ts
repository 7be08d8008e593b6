/**
 * Whether a password is easily guessed. There are no rules about which characters it must hold
 * (NIST SP 800-63B-4 section 3.1.1.2); what counts is how many guesses a guesser would need who knows
 * what people choose.
 *
 * - The estimate is that of zxcvbn (Wheeler, USENIX Security 2016), by @zxcvbn-ts (MIT licence).
 * - Its list, in @zxcvbn-ts/language-common (MIT licence), holds the 49,000 commonest passwords of the
 *   ten million that Mark Burnett (xato.net) gathered from breaches and gave to the public domain.
 */
import { ZxcvbnFactory } from "@zxcvbn-ts/core";
import { adjacencyGraphs, dictionary } from "@zxcvbn-ts/language-common";
import { foldName, normalizePassword } from "./names.ts";

/** What is known of the person, whose own name makes no password. */
export interface PasswordOwner {
  readonly username: string;
  readonly email?: string | null | undefined;
}

/** A hundred million guesses, and hashing as slow as ours, keep a guesser busy who stole the hash. */
const ENOUGH_SCORE = 3;
/** The estimate takes time as the square of the length, and an end of this length says enough. */
const END_CHARACTERS = 24;
const LEAST_NAME_CHARACTERS = 3;
const MOST_AROUND_A_NAME = 3;

const COMMON = "Do not use a password that many people use";
const NAME = "Do not use your own name";
const REPEAT = "Do not repeat one short part";
const SLIDE = "Do not slide along the keyboard or the alphabet";
const DATE = "Do not build it on a date or a year";
const WORD = "Do not use one word or name alone";
/** What zxcvbn warns of, in our words. */
const WARNINGS: Readonly<Record<string, string>> = {
  ...{ topTen: COMMON, topHundred: COMMON, common: COMMON, similarToCommon: COMMON, pwned: COMMON },
  ...{ simpleRepeat: REPEAT, extendedRepeat: REPEAT, sequences: SLIDE, straightRow: SLIDE, keyPattern: SLIDE },
  ...{ recentYears: DATE, associatedYears: DATE, dates: DATE },
  ...{ wordByItself: WORD, namesByThemselves: WORD, commonNames: WORD, userInputs: NAME },
};
const ALWAYS = "Use three or four words that have nothing to do with each other";

const estimator = new ZxcvbnFactory({ dictionary, graphs: adjacencyGraphs, maxLength: END_CHARACTERS });

/** Why a password is weak, as advice to a person; empty where nothing speaks against it. Takes some milliseconds. */
export function adviseOnPassword(password: string, owner: PasswordOwner): string[] {
  const whole = [...normalizePassword(password)];
  const names = namesOf(owner);
  if (names.some((name) => mostlyIs(foldName(password), name))) return [NAME, ALWAYS];
  // Saying a thing again makes it longer and no harder to guess.
  const characters = whole.slice(0, periodOf(whole));
  // Strong is what has one strong end: whoever does not guess that does not guess the whole.
  const ends = [characters.slice(0, END_CHARACTERS)];
  if (characters.length > END_CHARACTERS) ends.push(characters.slice(-END_CHARACTERS));
  let warning: string | null = null;
  for (const end of ends) {
    const { score, feedback } = estimator.check(end.join(""), names);
    if (score >= ENOUGH_SCORE) return [];
    warning ??= feedback.warning;
  }
  const said = characters.length < whole.length ? REPEAT : WARNINGS[warning ?? ""];
  return said === undefined ? [ALWAYS] : [said, ALWAYS];
}

/** Characters after which a text begins anew, over and over; its length where it does not. */
function periodOf(characters: readonly string[]): number {
  for (let period = 1; period * 2 <= characters.length; period++) {
    if (characters.every((character, i) => i < period || character === characters[i - period])) return period;
  }
  return characters.length;
}

function namesOf({ username, email }: PasswordOwner): string[] {
  const mailbox = email?.split("@")[0] ?? "";
  const parts = [username, email ?? "", mailbox].flatMap((name) => [name, ...name.split(/[^\p{L}\p{N}]+/u)]);
  return [...new Set(parts.map(foldName))].filter((name) => name.length >= LEAST_NAME_CHARACTERS);
}

/** Whether a password is a name, forward or backward, with little of its own around it. */
function mostlyIs(folded: string, name: string): boolean {
  const reversed = [...name].reverse().join("");
  return [name, reversed].some((form) => folded.includes(form) && folded.length - form.length <= MOST_AROUND_A_NAME);
}
