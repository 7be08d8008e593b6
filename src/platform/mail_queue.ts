/**
 * Mails are written and sent outside of the requests that ask for them, so that an answer neither waits
 * for a mail server nor tells by its time whether there was anything to send.
 *
 * - Bounded: {@link MailQueueOptions.most} wait at once; one more is refused while it is asked for.
 * - Tried three times, within a deadline that is shorter than the life of the links inside. A server that
 *   refuses for good is asked once.
 * - In memory: mails that wait when the process dies are lost, and their people ask again. In an orderly
 *   end those under way get {@link LAST_MS}.
 */
import { type Mail, type MailTransport, newMailId } from "./mail_transport.ts";
import { OverloadedError } from "./overloaded.ts";

/** What became of a mail. `nothing`: there was none to send. */
export type MailOutcome = "sent" | "nothing" | "failed" | "late" | "lost";

/** What {@link createMailQueue} is told. */
export interface MailQueueOptions {
  readonly transport: MailTransport;
  /** Told of each mail's end, once; and with `error` why it failed. */
  readonly onEnded: (outcome: MailOutcome, error?: unknown) => void;
  /** Mails that may wait; standard 1,000. */
  readonly most?: number;
  /** Milliseconds before the second and the third try; standard 1,000 and 5,000. */
  readonly pausesMs?: readonly number[];
  /** Milliseconds from being asked for until a mail is given up; standard 120,000. */
  readonly deadlineMs?: number;
}

/** See the head of this file. */
export interface MailQueue extends AsyncDisposable {
  /**
   * Has a mail written and sent, later. `write` gives `null` where there is nothing to send; it is asked
   * again where it throws.
   *
   * @throws {OverloadedError} when too many wait
   */
  post(write: () => Promise<Mail | null>): void;
  /** Whether `post` would refuse now. */
  readonly isFull: boolean;
  /** Mails that wait or are under way. */
  readonly depth: number;
}

interface Order {
  readonly id: string;
  readonly write: () => Promise<Mail | null>;
  readonly until: number;
}

const MOST = 1_000;
const AT_ONCE = 4;
const PAUSES_MS: readonly number[] = [1_000, 5_000];
const DEADLINE_MS = 120_000;
const LAST_MS = 2_000;

/** Makes a queue with nothing in it. */
export function createMailQueue(options: MailQueueOptions): MailQueue {
  const { transport, onEnded, most = MOST, pausesMs = PAUSES_MS, deadlineMs = DEADLINE_MS } = options;
  const waiting: Order[] = [];
  const ending = new AbortController();
  const running = new Set<Promise<void>>();

  function next(): void {
    while (running.size < AT_ONCE) {
      const order = waiting.shift();
      if (order === undefined) return;
      const work = carry(order).finally(() => {
        running.delete(work);
        next();
      });
      running.add(work);
    }
  }

  async function carry(order: Order): Promise<void> {
    try {
      onEnded(await deliver(order));
    } catch (error) {
      onEnded("failed", error);
    }
  }

  async function deliver({ id, write, until }: Order): Promise<MailOutcome> {
    let mail: Mail | null | undefined;
    for (let attempt = 0; ; attempt++) {
      if (ending.signal.aborted) return "lost";
      if (performance.now() >= until) return "late";
      try {
        mail ??= await write();
        if (mail === null) return "nothing";
        await transport.send(mail, id);
        return "sent";
      } catch (error) {
        const pauseMs = pausesMs[attempt];
        if (pauseMs === undefined || isPermanent(error)) throw error;
        await pause(pauseMs, ending.signal);
      }
    }
  }

  const isFull = () => ending.signal.aborted || waiting.length >= most;

  return {
    get isFull() {
      return isFull();
    },
    get depth() {
      return waiting.length + running.size;
    },
    post(write) {
      if (isFull()) throw new OverloadedError("Try again later: too many mails wait");
      waiting.push({ id: newMailId(), write, until: performance.now() + deadlineMs });
      // Not in this turn: the answer to who asks goes first, whatever there is to do.
      setImmediate(next);
    },
    async [Symbol.asyncDispose]() {
      ending.abort();
      for (const _ of waiting.splice(0)) onEnded("lost");
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, LAST_MS);
      await Promise.race([Promise.all(running), late.promise]);
      clearTimeout(timer);
    },
  };
}

function isPermanent(error: unknown): boolean {
  return error instanceof Error && "permanent" in error && error.permanent === true;
}

/** Waits, unless the end comes first. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  const stop = () => {
    clearTimeout(timer);
    resolve();
  };
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return promise.finally(() => signal.removeEventListener("abort", stop));
}
