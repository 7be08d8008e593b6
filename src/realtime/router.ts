/**
 * From a committed entry to the actors of those who may see it: local ones at once, others
 * by one message for each batch and node. The look-up comes after the commit and is never
 * from a cache, because an actor registers before it reads: so one of the two sees the other.
 */
import type { Address, Delivery, Doorbell } from "../conversations/mod.ts";
import type { AccountId, Codec, ConversationId, SessionId } from "../protocol/mod.ts";
import type { AccountHint, Bus, Hint, NodeId, SignalOptions } from "./bus.ts";
import { FanOut, LARGE_AUDIENCE, type TellEvents } from "./fan_out.ts";
import { KeptEvents } from "./kept_events.ts";
import type { PresenceHint } from "./watched.ts";

/** What a {@link Router} is made of. */
export interface RouterOptions {
  readonly node: NodeId;
  readonly bus: Bus;
  readonly codec: Codec;
  /** Tells the actor of a local account, if there is one. */
  readonly tellLocal: (account: AccountId, hint: AccountHint, bytes: number) => void;
  /** Tells the actor of a local account of events. */
  readonly tellEvents: TellEvents;
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
  /** Milliseconds of a clock that nobody sets. */
  readonly now: () => number;
}

/** What ends this soon (ms) is not kept for sockets that cannot take it now. */
const BRIEF_MS = 60_000;

/** See the head of this file. */
export class Router {
  readonly #options: RouterOptions;
  /** What was offered lately to sockets of this node. */
  readonly kept: KeptEvents;
  readonly #fanOut: FanOut;
  #outgoing: Hint[] = [];

  constructor(options: RouterOptions) {
    this.#options = options;
    this.kept = new KeptEvents(options.now);
    this.#fanOut = new FanOut(options.tellEvents);
  }

  /** Joins the bus; before it, nothing of other nodes arrives. */
  async join(): Promise<void> {
    await this.#options.bus.join(this.#options.node, {
      receive: (hints) => {
        for (const hint of hints) {
          if ("members" in hint) this.#options.membersChanged(hint.conversationId);
          if (hint.type === "event" && (hint.members ?? hint.takesBack) === true) {
            this.kept.forget(hint.conversationId, hint.seq);
          }
          this.#local(hint);
        }
      },
      doubt: () => {
        this.kept.forgetAll(); // what was taken back may not have been told
        this.#options.onDoubt();
      },
    });
  }

  /** Delivers a committed entry. Never throws: whom it does not reach finds the entry by comparing heads. */
  deliver(delivery: Delivery): void {
    try {
      if (delivery.entry.kind === "membership") this.#options.onMembership(delivery);
      this.#deliver(delivery);
    } catch (error) {
      this.#options.onFault("deliver", error);
    }
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

  /** Says to the devices of an account that there may be something in their inboxes. */
  inboxFilled(account: AccountId): void {
    this.#send({ type: "inbox", to: [account] });
  }

  /** Closes the sockets of ended sessions, on every node. */
  endSessions(account: AccountId, sessionIds: readonly SessionId[]): void {
    this.#send({ type: "end_sessions", to: [account], sessionIds });
  }

  #deliver({ entry, recipients, stored, left }: Delivery): void {
    const place = { conversationId: entry.conversationId, seq: entry.seq };
    // Who is a member, and in which role, is kept by nodes.
    const outdates = entry.kind === "membership" || entry.kind === "change";
    const takesBack = entry.kind === "deletion";
    if (outdates || takesBack) this.kept.forget(entry.conversationId, entry.seq);
    if (stored) {
      const isBrief = entry.expiresAt !== null && entry.expiresAt - entry.createdAt < BRIEF_MS;
      this.#send({
        ...{ type: "event", to: recipients, ...place, at: entry.createdAt },
        text: this.#options.codec.encodeEvent(entry),
        ...(outdates ? { members: true } : {}),
        ...(takesBack ? { takesBack } : {}),
        ...(isBrief ? { brief: true } : {}),
      });
    } else this.#send({ type: "doorbell", to: recipients, ...place });
    // Who left does not see the entry, but reads what came before it and that it is over.
    if (left !== undefined) this.#send({ type: "doorbell", to: left, ...place, members: true });
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
    if (hint.type === "event" && count >= LARGE_AUDIENCE) return this.#fanOut.add(hint, count);
    for (let i = 0; i < count; i++) tellLocal(hint.to[i] as AccountId, hint, bytes);
  }

  /** One look-up and one message a node for all that was sent in this turn. */
  async #publish(): Promise<void> {
    const hints = this.#outgoing;
    this.#outgoing = [];
    const { bus, node, onFault } = this.#options;
    try {
      // What is said in one conversation goes to one list of people, as a rule, and each is looked at once.
      const lists = new Set(hints.map((hint) => hint.to));
      const accounts = new Set([...lists].flat());
      for (const [other, there] of await bus.locate(node, [...accounts])) {
        const connected = new Set(there);
        const here = new Map([...lists].map((to) => [to, to.filter((account) => connected.has(account))]));
        const theirs = hints
          .map((hint) => ({ ...hint, to: here.get(hint.to) ?? [] }) as Hint)
          .filter((hint) => hint.to.length > 0);
        bus.publish(other, theirs);
      }
    } catch (error) {
      onFault("bus", error); // delivery becomes slower: the others compare heads
    }
  }
}
