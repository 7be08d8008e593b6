/** Too much waits already; nothing was done. */
export class OverloadedError extends Error {
  override readonly name = "OverloadedError";
}
