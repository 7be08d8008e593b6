/** What a feed is given by its user actor: the way to its socket, and reads whose outcome comes back to the actor. */
import type { ActorRef } from "../actor/mod.ts";
import type { ConversationId, LogEntry, ServerFrame } from "../protocol/mod.ts";
import type { FeedHost, Generation } from "./feed_host.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { Session } from "./session.ts";
import type { UserActorDeps } from "./user_actor_deps.ts";
import type { UserMessage } from "./user_message.ts";

/** A class, because a bundle of functions would be made anew for every idle socket. */
export class ActorFeedHost implements FeedHost {
  readonly #deps: UserActorDeps;
  readonly #actor: ActorRef<UserMessage>;
  readonly #session: Session;

  constructor(deps: UserActorDeps, actor: ActorRef<UserMessage>, session: Session) {
    this.#deps = deps;
    this.#actor = actor;
    this.#session = session;
  }

  get blocked(): boolean {
    return this.#session.blocked;
  }

  send(text: string): boolean {
    return this.#session.send(text);
  }

  encode(frame: ServerFrame): string {
    return this.#session.encode(frame);
  }

  encodeEvent(entry: LogEntry): string {
    return this.#session.encodeEvent(entry);
  }

  list(generation: Generation, beyond: ConversationId | null): void {
    const session = this.#session;
    this.#actor.pipe(
      this.#deps.list(session, beyond),
      (rows) => ({ type: "listed", session, generation, rows }),
      (error) => this.#failed(generation, null, error),
    );
  }

  read(generation: Generation, conversationId: ConversationId, after: number | null, afterAt: number | null): void {
    const session = this.#session;
    this.#actor.pipe(
      this.#deps.read(session, conversationId, after, afterAt),
      (page) => ({ type: "page", session, generation, conversationId, page }),
      (error) => this.#failed(generation, conversationId, error),
    );
  }

  acknowledged(conversationId: ConversationId, seq: number, at: number | null, others: boolean): void {
    this.#deps.acknowledged(this.#session, conversationId, seq, at, others);
  }

  caughtUp(): void {
    this.#deps.caughtUp(this.#session);
  }

  wait(): void {
    this.#deps.wait(this.#session);
  }

  get kept(): KeptEvents {
    return this.#deps.kept;
  }

  now(): number {
    return this.#deps.now();
  }

  #failed(generation: Generation, conversationId: ConversationId | null, error: unknown): UserMessage {
    this.#deps.onFault("catch up", error);
    return { type: "read_failed", session: this.#session, generation, conversationId };
  }
}
