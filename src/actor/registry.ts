/**
 * The actors of one sort on this node: at most one a key, started by the first message
 * for it and stopped when it has been idle for a while.
 */
import { Actor, type ActorDefinition, type ActorHost, type ActorRef, type Failure, type Told } from "./actor.ts";
import type { MailboxLimits } from "./mailbox.ts";
import { Scheduler } from "./scheduler.ts";

/** What a registry may be told. */
export interface RegistryOptions<Key, Message> {
  readonly mailbox: MailboxLimits;
  /** Milliseconds an idle actor stays. */
  readonly idleMs: number;
  /** Failures of one actor within a minute before it is given up. */
  readonly restarts: number;
  readonly now: () => number;
  readonly onFailure: (key: Key, failure: Failure<Message>) => void;
  /** Called whenever an actor's turn is over. */
  readonly afterTurn?: () => void;
}

/** See the head of this file. */
export class Registry<Key, Message> implements Disposable {
  readonly #actors = new Map<Key, Actor<Key, Message>>();
  readonly #host: ActorHost<Key, Message>;
  readonly #idleMs: number;
  readonly #sweep: ReturnType<typeof setInterval>;
  #draining = false;

  constructor(definition: ActorDefinition<Key, Message>, options: RegistryOptions<Key, Message>) {
    this.#host = {
      definition,
      scheduler: new Scheduler(options.afterTurn),
      mailbox: options.mailbox,
      restarts: options.restarts,
      now: options.now,
      onFailure: options.onFailure,
      onStopped: (key) => this.#actors.delete(key),
    };
    this.#idleMs = options.idleMs;
    this.#sweep = setInterval(() => this.#stopIdle(), Math.max(10, options.idleMs / 2));
  }

  /** How many actors there are. */
  get size(): number {
    return this.#actors.size;
  }

  /** Tells the actor of `key`, starting it where there is none; `stopped` once the registry drains. */
  tell(key: Key, message: Message, bytes = 0): Told {
    const actor = this.#actors.get(key) ?? this.#start(key);
    return actor === undefined ? "stopped" : actor.tell(message, bytes);
  }

  /** Tells the actor of `key` only if there is one. */
  tellIfStarted(key: Key, message: Message, bytes = 0): Told | "absent" {
    return this.#actors.get(key)?.tell(message, bytes) ?? "absent";
  }

  /** The actor of `key`, if there is one. */
  find(key: Key): ActorRef<Message> | undefined {
    return this.#actors.get(key);
  }

  /** Starts no more actors; those that run go on until they are idle. */
  drain(): void {
    this.#draining = true;
  }

  /** Stops every actor now. */
  [Symbol.dispose](): void {
    this.#draining = true;
    clearInterval(this.#sweep);
    for (const actor of [...this.#actors.values()]) actor.stop();
  }

  #start(key: Key): Actor<Key, Message> | undefined {
    if (this.#draining) return undefined;
    const actor = new Actor(key, this.#host);
    this.#actors.set(key, actor);
    return actor;
  }

  #stopIdle(): void {
    const before = this.#host.now() - this.#idleMs;
    for (const actor of [...this.#actors.values()]) {
      if (actor.idle && actor.lastActive <= before) actor.stop();
    }
  }
}
