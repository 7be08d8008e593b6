/**
 * Whether a password is easily guessed. There are no rules about which characters it must hold
 * (NIST SP 800-63B-4 section 3.1.1.2); what counts is how soon a guesser would come to it.
 */
import { COMMON_PASSWORDS } from "./common_passwords.ts";
import { foldName, normalizePassword } from "./names.ts";

/** Characters that a password has at least, once it is normalized. */
const LEAST_CHARACTERS = 8;
const LEAST_DIFFERENT = 4;
const MOST_AROUND_A_WORD = 6;
const MOST_AROUND_A_NAME = 3;
/** Rows of keyboards and of the alphabet, along which people slide. */
const ROWS = [
  "abcdefghijklmnopqrstuvwxyz",
  "01234567890",
  "qwertyuiop",
  "asdfghjkl",
  "zxcvbnm",
  "qazwsxedcrfvtgbyhnujm",
  "1qaz2wsx3edc4rfv5tgb",
  "qwertzuiop",
  "azertyuiop",
];
const LEET: Readonly<Record<string, string>> = {
  "0": "o",
  "1": "l",
  "3": "e",
  "4": "a",
  "5": "s",
  "7": "t",
  "@": "a",
  $: "s",
  "!": "i",
};

/** What is known of the person, whose own name makes no password. */
export interface PasswordOwner {
  readonly username: string;
  readonly email?: string | undefined;
}

/** Why a password is weak, as advice to a person; empty where nothing speaks against it. */
export function adviseOnPassword(password: string, owner: PasswordOwner): string[] {
  const characters = [...normalizePassword(password)];
  const folded = foldName(password);
  const advice: string[] = [];
  if (characters.length < LEAST_CHARACTERS) advice.push(`Use at least ${LEAST_CHARACTERS} characters`);
  if (new Set(characters).size < LEAST_DIFFERENT) advice.push("Use more than a few different characters");
  if (isCommon(folded)) advice.push("Do not use a password that many people use");
  if (namesOf(owner).some((name) => mostlyIs(folded, name))) advice.push("Do not use your own name");
  if (isRepeated(folded)) advice.push("Do not repeat one short part");
  if (isSlide(folded)) advice.push("Do not slide along the keyboard or the alphabet");
  return advice;
}

/** A common password stays one with a few digits or signs around it, or with letters written as digits. */
function isCommon(folded: string): boolean {
  const stripped = folded.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, "");
  const bare = folded.length - stripped.length <= MOST_AROUND_A_WORD ? stripped : folded;
  return [folded, bare].some((form) => COMMON_PASSWORDS.has(form) || COMMON_PASSWORDS.has(unleet(form)));
}

function unleet(form: string): string {
  return [...form].map((character) => LEET[character] ?? character).join("");
}

function namesOf(owner: PasswordOwner): string[] {
  const mailbox = owner.email?.split("@")[0] ?? "";
  return [owner.username, owner.email ?? "", mailbox].map(foldName).filter((name) => name.length >= 3);
}

/** Whether a password is a name with little of its own around it. */
function mostlyIs(folded: string, name: string): boolean {
  const reversed = [...name].reverse().join("");
  return [name, reversed].some((form) => folded.includes(form) && folded.length - form.length <= MOST_AROUND_A_NAME);
}

function isRepeated(folded: string): boolean {
  return /^(.{1,4})\1+.{0,3}$/u.test(folded);
}

/** Whether at least three quarters of the password run along one row, forward or backward. */
function isSlide(folded: string): boolean {
  const least = Math.max(6, Math.ceil(folded.length * 0.75));
  for (const row of [...ROWS, ...ROWS.map((forward) => [...forward].reverse().join(""))]) {
    for (let start = 0; start + least <= folded.length; start++) {
      if (row.includes(folded.slice(start, start + least))) return true;
    }
  }
  return false;
}
