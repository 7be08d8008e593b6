/** Waiting for what a test cannot be told of, such as a row that appears. */

const STEP_MS = 20;
/** Well beyond what a busy machine needs, and within the time that a test has. */
const DEADLINE_MS = 30_000;

/**
 * What a machine that does other things too may add to a time that is promised in seconds (ms). Tests that
 * measure such a time hold that the promise is kept by what was made for it: where that is missing it takes
 * half a minute or for ever. How well it is kept `npm run chaos` measures.
 */
export const BUSY_MS = 8_000;

/** Asks until the answer is true; throws with `what` after a deadline. */
export async function waitUntil(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  for (let step = 1; !(await holds()); step = Math.min(STEP_MS, step * 2)) {
    if (performance.now() > deadline) throw new Error(`Never came true: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, step));
  }
}

/** Milliseconds that this process' processors have worked; what others do on the machine is not in it. */
export function workedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
