/**
 * The sessions that have frames to write. They are written when the turn of an actor is over, so that
 * what one turn says to a socket leaves in one packet; and what is said outside any turn, at the end
 * of the step in which it was said.
 */
import type { Session } from "./session.ts";

/** See the head of this file. */
export class Outgoing {
  #waiting: Session[] = [];
  #scheduled = false;

  /** Takes a session, which says so with the first frame that waits. */
  add(session: Session): void {
    this.#waiting.push(session);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.flush();
    });
  }

  /** Writes what waits. */
  flush(): void {
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const session of waiting) session.flush();
  }
}
