/** How names and passwords are brought to one form before they are compared or hashed. */

/** The form in which user names and e-mail addresses are unique: NFKC and lower case. */
export function foldName(name: string): string {
  // Lower case can undo the composition (U+0130), so it is composed once more.
  return name.normalize("NFKC").toLowerCase().normalize("NFKC");
}

/** A password as it is hashed: NFKC, so that two keyboards give the same (NIST SP 800-63B-4 section 3.1.1.2). */
export function normalizePassword(password: string): string {
  return password.normalize("NFKC");
}
