/** Errors that Postgres answers a statement with and that callers expect, by their SQLSTATE. */

/** Whether a statement gave up because somebody else held a lock (55P03). */
export function isLockTimeout(error: unknown): boolean {
  return stateOf(error) === "55P03";
}

/** Whether a statement was chosen to end a deadlock or lost a race that a repetition wins (class 40). */
export function isTransactionLoss(error: unknown): boolean {
  return stateOf(error)?.startsWith("40") === true;
}

/** Whether a statement named, or removed, what a foreign key needs (23503): somebody has just gone, or just come. */
export function isForeignKeyViolation(error: unknown): boolean {
  return stateOf(error) === "23503";
}

function stateOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
