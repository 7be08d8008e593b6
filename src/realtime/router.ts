/**
 * From a committed entry to the actors of those who may see it: local ones at once, others
 * by one message for each batch and node. The look-up comes after the commit and is never
 * from a cache, because an actor registers before it reads: so one of the two sees the other.
 */
import type { Address, Delivery, Doorbell } from "../conversations/mod.ts";
import type { AccountId, Codec, ConversationId, SessionId } from "../protocol/mod.ts";
import type { AccountHint, Bus, Hint, NodeId, SignalOptions } from "./bus.ts";
import type { PresenceHint } from "./watched.ts";

/** What a {@link Router} is made of. */
export interface RouterOptions {
  readonly node: NodeId;
  readonly bus: Bus;
  readonly codec: Codec;
  /** Tells the actor of a local account, if there is one. */
  readonly tellLocal: (account: AccountId, hint: AccountHint, bytes: number) => void;
  /** Tells the local feed of a public channel, if there is one. */
  readonly tellFeed: (channel: ConversationId, hint: Hint) => void;
  /** Something is told of a person to people who may be here. */
  readonly onPresence: (hint: PresenceHint) => void;
  /** Somebody changed who is in a conversation, or who is told what is said there. */
  readonly membersChanged: (conversationId: ConversationId) => void;
  /** An entry of this node says that somebody came or went. */
  readonly onMembership: (delivery: Delivery) => void;
  /** Hints to this node may have been lost. */
  readonly onDoubt: () => void;
  readonly onFault: (what: string, error: unknown) => void;
}

/** See the head of this file. */
export class Router {
  readonly #options: RouterOptions;
  #outgoing: Hint[] = [];

  constructor(options: RouterOptions) {
    this.#options = options;
  }

  /** Joins the bus; before it, nothing of other nodes arrives. */
  async join(): Promise<void> {
    await this.#options.bus.join(this.#options.node, {
      receive: (hints) => {
        for (const hint of hints) {
          if ("members" in hint) this.#options.membersChanged(hint.conversationId);
          this.#local(hint);
        }
      },
      doubt: this.#options.onDoubt,
    });
  }

  /** Delivers a committed entry. */
  deliver(delivery: Delivery): void {
    const { entry, recipients, stored } = delivery;
    if (entry.kind === "membership") this.#options.onMembership(delivery);
    const place = { conversationId: entry.conversationId, seq: entry.seq };
    if (stored) {
      const text = this.#options.codec.encodeEvent(entry);
      // Who is a member, and in which role, is kept by nodes.
      const outdates = entry.kind === "membership" || entry.kind === "change";
      const members = outdates ? ({ members: true } as const) : {};
      this.#send({ type: "event", to: recipients, ...place, at: entry.createdAt, text, ...members });
    } else this.#send({ type: "doorbell", to: recipients, ...place });
    // Who left does not see the entry, but reads what came before it and that it is over.
    if (delivery.left !== undefined) this.#send({ type: "doorbell", to: delivery.left, ...place, members: true });
  }

  /** Says that there may be something new for these accounts. */
  ring(to: readonly Address[], conversationId: ConversationId, seq: number): void {
    this.#send({ type: "doorbell", to, conversationId, seq });
  }

  /** Says to the nodes of these accounts, and to this one, that who is told what in a conversation has changed. */
  membersChanged(accounts: readonly AccountId[], conversationId: ConversationId, seq: number): void {
    this.#options.membersChanged(conversationId);
    this.knock({ to: accounts, conversationId, seq });
  }

  /** The same, where this node has taken the change over already; the nodes of `members` need to know it too. */
  knock({ to, conversationId, seq, members = [] }: Doorbell): void {
    this.#send({ type: "doorbell", to, conversationId, seq, members: true });
    this.#send({ type: "members", to: members, conversationId, members: true });
  }

  /** Sends a frame to whoever of these is connected; it is kept nowhere. */
  signal(to: readonly AccountId[], text: string, options: SignalOptions = {}): void {
    this.#send({ type: "signal", to, text, ...options });
  }

  /** Says how somebody is seen. */
  presence(hint: PresenceHint): void {
    this.#send(hint);
  }

  /** Says to the nodes of an account that it has set something about itself. */
  settingsChanged(account: AccountId): void {
    this.#send({ type: "settings", to: [account] });
  }

  /** Closes the sockets of ended sessions, on every node. */
  endSessions(account: AccountId, sessionIds: readonly SessionId[]): void {
    this.#send({ type: "end_sessions", to: [account], sessionIds });
  }

  #send(hint: Hint): void {
    if (hint.to.length === 0) return;
    this.#local(hint);
    if (this.#options.bus.alone) return;
    this.#outgoing.push(hint);
    if (this.#outgoing.length === 1) queueMicrotask(() => void this.#publish());
  }

  #local(hint: Hint): void {
    if (hint.type === "presence") return this.#options.onPresence(hint);
    if (hint.type === "members") return; // it is about what the node knows, and nobody need be told
    const bytes = "text" in hint ? hint.text.length : 0;
    const { tellLocal, tellFeed } = this.#options;
    let count = hint.to.length;
    // The address of a channel's feeds stands last.
    if ("conversationId" in hint && hint.to[count - 1] === hint.conversationId) {
      count--;
      tellFeed(hint.conversationId, hint);
    }
    for (let i = 0; i < count; i++) tellLocal(hint.to[i] as AccountId, hint, bytes);
  }

  /** One look-up and one message a node for all that was sent in this turn. */
  async #publish(): Promise<void> {
    const hints = this.#outgoing;
    this.#outgoing = [];
    const { bus, node, onFault } = this.#options;
    try {
      const accounts = new Set(hints.flatMap((hint) => hint.to));
      for (const [other, there] of await bus.locate(node, [...accounts])) {
        const connected = new Set(there);
        const theirs = hints
          .map((hint) => ({ ...hint, to: hint.to.filter((account) => connected.has(account)) }) as Hint)
          .filter((hint) => hint.to.length > 0);
        bus.publish(other, theirs);
      }
    } catch (error) {
      onFault("bus", error); // delivery becomes slower: the others compare heads
    }
  }
}
