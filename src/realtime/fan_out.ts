/**
 * Events for many local accounts at once. What is said in a large conversation in one step, and what comes while its
 * members are being told, is gathered; then each of them is told all of it in one message, so that what an event costs
 * beside writing it to a socket is paid once for several, and several leave in one write.
 *
 * - In order: of one conversation the events are told to everybody in the order in which they were added.
 * - In slices, with the sockets and timers between: an audience of 10,000 holds up nobody else.
 * - Bounded: what waits are references, and few enough events at a time for a mailbox.
 */
import type { Address } from "../conversations/mod.ts";
import type { AccountId, ConversationId } from "../protocol/mod.ts";
import type { Hint } from "./bus.ts";

/** An event as a hint. */
export type EventHint = Extract<Hint, { readonly type: "event" }>;

/** Events of one conversation for one actor, rising. */
export interface Events {
  readonly type: "events";
  readonly events: readonly EventHint[];
}

/** Tells an account, where it is here; `bytes` of all the events. */
export type TellEvents = (account: AccountId, events: Events, bytes: number) => void;

interface Job {
  readonly to: readonly Address[];
  readonly count: number;
  readonly events: EventHint[];
  bytes: number;
  /** How many have been told. */
  told: number;
}

/** Accounts from which it pays to gather. */
export const LARGE_AUDIENCE = 32;
/** Events in one message to an actor, and their characters. */
const MOST_EVENTS = 64;
const MOST_BYTES = 64 * 1024;
/** Events told to accounts before others have their turn. */
const SLICE = 2_048;

/** See the head of this file. */
export class FanOut {
  readonly #tell: TellEvents;
  #jobs: Job[] = [];
  /** Of each conversation the last job. */
  readonly #last = new Map<ConversationId, Job>();
  #running = false;

  constructor(tell: TellEvents) {
    this.#tell = tell;
  }

  /** Tells the first `count` of an event's recipients, soon. */
  add(event: EventHint, count: number): void {
    const { conversationId, to, text } = event;
    const last = this.#last.get(conversationId);
    if (last !== undefined && last.told === 0 && fits(last, count, event)) {
      last.events.push(event);
      last.bytes += text.length;
      return;
    }
    const job = { to, count, events: [event], bytes: text.length, told: 0 };
    this.#last.set(conversationId, job);
    this.#jobs.push(job);
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => this.#slice());
  }

  #slice(): void {
    let left = SLICE;
    let done = 0;
    for (const job of this.#jobs) {
      if (left <= 0) break;
      left -= this.#tellSome(job, left);
      if (job.told < job.count) break;
      done++;
      const { conversationId } = job.events[0] as EventHint;
      if (this.#last.get(conversationId) === job) this.#last.delete(conversationId);
    }
    this.#jobs = this.#jobs.slice(done);
    if (this.#jobs.length === 0) this.#running = false;
    else setImmediate(() => this.#slice());
  }

  /** Tells as many as `most` events make, and one at least; gives how many events that were. */
  #tellSome(job: Job, most: number): number {
    const { to, events, bytes, told } = job;
    const end = Math.min(job.count, told + Math.max(1, Math.floor(most / events.length)));
    const message = { type: "events", events } as const;
    for (let i = told; i < end; i++) this.#tell(to[i] as AccountId, message, bytes);
    job.told = end;
    return (end - told) * events.length;
  }
}

function fits(job: Job, count: number, { to, text }: EventHint): boolean {
  if (job.events.length >= MOST_EVENTS || job.bytes + text.length > MOST_BYTES) return false;
  return job.to === to || (job.count === count && isSame(job.to, to, count));
}

/** Lists of one conversation from another node are equal, and not the same. */
function isSame(some: readonly Address[], others: readonly Address[], count: number): boolean {
  for (let i = 0; i < count; i++) if (some[i] !== others[i]) return false;
  return true;
}
