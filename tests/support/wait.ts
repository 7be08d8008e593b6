/** Waiting for what a test cannot be told of, such as a row that appears. */

const STEP_MS = 20;

/** Asks until the answer is true; throws with `what` after a deadline. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
}
