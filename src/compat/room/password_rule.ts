/** What a password of the room's contract must hold, beside its length of 8 to 128. */
const MUST_HOLD: readonly (readonly [what: RegExp, advice: string])[] = [
  [/\p{Lu}/u, "Use an upper-case letter"],
  [/\p{Ll}/u, "Use a lower-case letter"],
  [/\p{Nd}/u, "Use a digit"],
];

/** What a password lacks, as sentences for the person; empty where it is good. */
export function adviseOnRoomPassword(password: string): readonly string[] {
  const text = password.normalize("NFKC"); // in which it is hashed
  return MUST_HOLD.filter(([what]) => !what.test(text)).map(([, advice]) => advice);
}
