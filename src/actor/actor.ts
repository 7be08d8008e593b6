/**
 * One actor: a mailbox, a behaviour, and a supervisor's rule for when it throws.
 *
 * - One message at a time: `receive` is synchronous and never entered twice. What takes time
 *   is started there and comes back as a message ({@link ActorRef.pipe}).
 * - A message that throws is dropped; the messages behind it are kept and handled by the
 *   restarted behaviour.
 * - After `restarts` failures within a minute the actor gives up: `gaveUp` is called and it stops.
 */
import { Mailbox, type MailboxLimits } from "./mailbox.ts";
import type { Runnable, Scheduler } from "./scheduler.ts";

/** What became of a message that was told. */
export type Told = "accepted" | "full" | "stopped";

/** What an actor does. */
export interface Behaviour<Message> {
  /** Handles one message. */
  receive(message: Message): void;
  /** Called before the next message after one was refused for lack of room. */
  overflowed(): void;
  /** Whether the actor may stop when nothing comes. */
  readonly idle: boolean;
  /** Called once, at the end. */
  stopped(): void;
}

/** How others reach an actor, and how it reaches itself. */
export interface ActorRef<Message> {
  /** Puts a message of about `bytes` into the mailbox; never waits. */
  tell(message: Message, bytes?: number): Told;
  /** Puts a message in even where the mailbox is full: for outcomes whose number the actor itself bounds. */
  settle(message: Message): void;
  /** Starts work whose outcome, good or bad, comes back as a message. */
  pipe<T>(work: Promise<T>, done: (value: T) => Message, failed: (error: unknown) => Message): void;
}

/** How actors of one sort are made, and made again. */
export interface ActorDefinition<Key, Message> {
  /** A new behaviour. */
  start(key: Key, self: ActorRef<Message>): Behaviour<Message>;
  /** A new behaviour in place of one that threw; takes over what of the old may be trusted. */
  restart(key: Key, self: ActorRef<Message>, failed: Behaviour<Message>, failure: Failure<Message>): Behaviour<Message>;
  /** The actor failed too often, or could not be restarted: let go what it held. */
  gaveUp(key: Key, failed: Behaviour<Message>): void;
}

/** What went wrong. */
export interface Failure<Message> {
  readonly message: Message | undefined;
  readonly error: unknown;
}

/** What an actor is given by its registry. */
export interface ActorHost<Key, Message> {
  readonly definition: ActorDefinition<Key, Message>;
  readonly scheduler: Scheduler;
  readonly mailbox: MailboxLimits;
  /** Failures within a minute before the actor gives up. */
  readonly restarts: number;
  readonly now: () => number;
  onFailure(key: Key, failure: Failure<Message>): void;
  onStopped(key: Key): void;
}

const MINUTE_MS = 60_000;
const NEVER: readonly number[] = [];

/** See the head of this file. */
export class Actor<Key, Message> implements ActorRef<Message>, Runnable {
  readonly #key: Key;
  readonly #host: ActorHost<Key, Message>;
  readonly #mailbox: Mailbox<Message>;
  /** Outcomes of work that this actor started; handled before the mailbox. */
  #settled: Message[] | null = null;
  #behaviour: Behaviour<Message>;
  #queued = false;
  #stopped = false;
  #overflowed = false;
  /** When it failed, within the last minute. */
  #failures: readonly number[] = NEVER;
  /** When it last handled a message, for the idle stop. */
  lastActive: number;

  constructor(key: Key, host: ActorHost<Key, Message>) {
    this.#key = key;
    this.#host = host;
    this.#mailbox = new Mailbox(host.mailbox);
    this.lastActive = host.now();
    this.#behaviour = host.definition.start(key, this);
  }

  /** Whether nothing waits and the behaviour may stop. */
  get idle(): boolean {
    return !this.#queued && this.#behaviour.idle;
  }

  tell(message: Message, bytes = 0): Told {
    if (this.#stopped) return "stopped";
    if (!this.#mailbox.offer(message, bytes)) {
      this.#overflowed = true;
      return "full";
    }
    this.#schedule();
    return "accepted";
  }

  settle(message: Message): void {
    if (this.#stopped) return;
    if (this.#settled === null) this.#settled = [message];
    else this.#settled.push(message);
    this.#schedule();
  }

  pipe<T>(work: Promise<T>, done: (value: T) => Message, failed: (error: unknown) => Message): void {
    work.then(
      (value) => this.settle(done(value)),
      (error) => this.settle(failed(error)),
    );
  }

  run(budget: number): { readonly handled: number; readonly more: boolean } {
    let handled = 0;
    while (handled < budget && !this.#stopped) {
      const settled = this.#settled;
      if (settled !== null) {
        this.#settled = null;
        // All of them: they are bounded by what the actor started, and later ones belong behind.
        for (const message of settled) this.#handle(message);
        handled += settled.length;
        continue;
      }
      const message = this.#mailbox.take();
      if (message === undefined) break;
      this.#handle(message);
      handled++;
    }
    const more = !this.#stopped && (this.#mailbox.length > 0 || this.#settled !== null);
    this.#queued = more;
    if (handled > 0) this.lastActive = this.#host.now();
    return { handled, more };
  }

  /** Ends the actor; what waits in its mailbox is let go. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#host.onStopped(this.#key);
    try {
      this.#behaviour.stopped();
    } catch (error) {
      this.#host.onFailure(this.#key, { message: undefined, error });
    }
  }

  #schedule(): void {
    if (this.#queued) return;
    this.#queued = true;
    this.#host.scheduler.schedule(this);
  }

  #handle(message: Message): void {
    if (this.#stopped) return;
    try {
      if (this.#overflowed) {
        this.#overflowed = false;
        this.#behaviour.overflowed();
      }
      this.#behaviour.receive(message);
    } catch (error) {
      this.#recover({ message, error });
    }
  }

  #recover(failure: Failure<Message>): void {
    const now = this.#host.now();
    this.#host.onFailure(this.#key, failure);
    this.#failures = [...this.#failures.filter((at) => now - at < MINUTE_MS), now];
    const failed = this.#behaviour;
    if (this.#failures.length > this.#host.restarts) {
      this.#giveUp(failed);
      return;
    }
    try {
      this.#behaviour = this.#host.definition.restart(this.#key, this, failed, failure);
    } catch (error) {
      this.#host.onFailure(this.#key, { message: failure.message, error });
      this.#giveUp(failed);
    }
  }

  #giveUp(failed: Behaviour<Message>): void {
    this.#stopped = true;
    this.#host.onStopped(this.#key);
    // A throw from here would end the round, and with it every actor's turns.
    try {
      this.#host.definition.gaveUp(this.#key, failed);
    } catch (error) {
      this.#host.onFailure(this.#key, { message: undefined, error });
    }
  }
}
