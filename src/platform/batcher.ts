/**
 * Gathers single requests into batches: one goes out at once when none is in flight, and
 * what arrives meanwhile goes with the next. So a quiet server answers without delay and
 * a busy one asks the database once for many.
 *
 * - At most one batch in flight unless told, at most `most` requests in it, at most `waiting` behind it.
 * - A batch that fails rejects each of its requests with the same error.
 */
import { OverloadedError } from "./overloaded.ts";

/** What a {@link Batcher} may be told. */
export interface BatcherOptions {
  /** Requests in one batch. */
  readonly most: number;
  /** Requests that may wait; a further one is rejected with {@link OverloadedError}. */
  readonly waiting: number;
  /** Batches that may be in flight; standard 1. With more their answers may come in any order. */
  readonly inFlight?: number;
}

interface Waiting<Request, Answer> {
  readonly request: Request;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

/** See the head of this file. `answer` gives the answers in the order of the requests. */
export class Batcher<Request, Answer> {
  readonly #answer: (requests: readonly Request[]) => Promise<readonly Answer[]>;
  readonly #options: BatcherOptions;
  #waiting: Waiting<Request, Answer>[] = [];
  #scheduled = false;
  #inFlight = 0;

  constructor(answer: (requests: readonly Request[]) => Promise<readonly Answer[]>, options: BatcherOptions) {
    this.#answer = answer;
    this.#options = options;
  }

  /** Joins the next batch. */
  ask(request: Request): Promise<Answer> {
    if (this.#waiting.length >= this.#options.waiting)
      return Promise.reject(new OverloadedError("Try again later: too much is waiting"));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      if (this.#scheduled || this.#full) return;
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        while (this.#waiting.length > 0 && !this.#full) void this.#flush();
      });
    });
  }

  get #full(): boolean {
    return this.#inFlight >= (this.#options.inFlight ?? 1);
  }

  /** Sends batches, one after the other, until nothing waits. */
  async #flush(): Promise<void> {
    this.#inFlight++;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, this.#options.most);
      this.#waiting = this.#waiting.slice(batch.length);
      try {
        const answers = await this.#answer(batch.map((one) => one.request));
        batch.forEach((one, i) => {
          const answer = answers[i];
          if (answer === undefined) one.reject(new Error("A batch gave too few answers"));
          else one.resolve(answer);
        });
      } catch (error) {
        for (const one of batch) one.reject(error);
      }
    }
    this.#inFlight--;
  }
}
