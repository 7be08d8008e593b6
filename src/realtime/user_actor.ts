/**
 * One actor for each account that is connected to this node, with its sockets.
 *
 * It sees every frame of the account and every hint for it, one at a time. It never waits: what
 * takes time is started here and comes back as a message. When it throws, the message that made it
 * throw is dropped, a new actor takes over the sockets, and each is caught up from the log again,
 * because what the old one believed to have sent may be wrong. So others lose nothing.
 *
 *   attach ─▶ registered in the directory ─▶ feed started (reads the log) ─▶ live ─▶ detach
 *
 * The order matters: an actor registers before it reads, a sender commits before it looks up.
 */
import type { ActorRef, Behaviour, Failure } from "../actor/mod.ts";
import type { ReactResult, SendResult, SentMessage } from "../conversations/mod.ts";
import type { AccountId, ClientFrame, ConversationId, MessageId, ServerFrame } from "../protocol/mod.ts";
import { DomainError, LIMITS, timestampOf } from "../protocol/mod.ts";
import { ActorFeedHost } from "./actor_feed_host.ts";
import { Feed } from "./feed.ts";
import { acknowledgeInbox, Inbox, type InboxAck, lookIntoInbox } from "./inbox.ts";
import type { SendPlace } from "./send_order.ts";
import type { Session } from "./session.ts";
import { Signals } from "./signals.ts";
import type { Attachment, UserActorDeps } from "./user_actor_deps.ts";
import type { MessageFrame, ReactionFrame, UserMessage } from "./user_message.ts";

/**
 * Begins a send; `done` is called in the step in which its outcome is known, and `refusal` asked in the step in
 * which the log is given the message.
 */
type SendWork = (done: (result: SendResult) => void, refusal: () => DomainError | null) => void;

const MINUTE_MS = 60_000;
/** Shared, so that an idle socket holds no lists and maps of its own. */
const NOTHING: ReadonlyMap<ConversationId, never> = new Map<ConversationId, never>();
const NO_FAILURES: readonly number[] = [];
const NOBODY: readonly Attachment[] = [];
/** Conversations that a socket may be reading by its own claims. */
const MOST_CLAIMS = 10 * LIMITS.resumeCursors;

/** See the head of this file. */
export class UserActor implements Behaviour<UserMessage> {
  readonly account: AccountId;
  readonly self: ActorRef<UserMessage>;
  readonly #deps: UserActorDeps;
  #registered = false;
  /** As a rule one: a list is smaller than a map. */
  #attachments: readonly Attachment[] = NOBODY;
  /** What others may be told of this person, and were. */
  #signals: Signals;

  constructor(account: AccountId, self: ActorRef<UserMessage>, deps: UserActorDeps) {
    this.account = account;
    this.self = self;
    this.#deps = deps;
    this.#signals = new Signals(deps.now);
    self.pipe(
      deps.register(account),
      () => ({ type: "registered" }),
      (error) => {
        // Hints will be missing, and the comparison of heads finds what they would have told.
        deps.onFault("directory", error);
        return { type: "registered" };
      },
    );
  }

  /** Takes over the sockets of an actor that threw; see the head of this file. */
  takeOver(failed: UserActor, { message }: Failure<UserMessage>): void {
    const culprit = message !== undefined && message.type === "frame" ? message.session : undefined;
    this.#registered = failed.#registered;
    this.#signals = failed.#signals;
    for (const old of failed.#attachments) {
      const { session } = old;
      const attachment: Attachment = { ...old, feed: null, before: old.feed?.standing() ?? old.before };
      this.#attachments = [...this.#attachments, attachment];
      if (old.feed !== null) session.sendFrame({ type: "resync" });
      session.inbox?.restarted();
      if (session === culprit && message?.type === "frame") this.#blame(attachment, message.frame);
      if (this.#registered && session.authenticated) this.#startFeed(attachment);
    }
  }

  /** The frame of this socket made the actor fail [ERR-3]. */
  #blame(attachment: Attachment, frame: ClientFrame): void {
    const { session, failures } = attachment;
    session.refuse(frame, new DomainError("internal"));
    const now = this.#deps.now();
    attachment.failures = [...failures.filter((at) => now - at < MINUTE_MS), now];
    if (attachment.failures.length >= LIMITS.failuresPerMinute) session.close("failing");
  }

  /** Closes every socket; the clients come back and catch up. */
  giveUp(): void {
    for (const { session } of this.#attachments) session.close("failing");
    this.#deps.unregister(this.account);
  }

  /** What others may be told of this person, and were. */
  get signals(): Signals {
    return this.#signals;
  }

  get idle(): boolean {
    return this.#attachments.length === 0;
  }

  stopped(): void {
    for (const { session } of this.#attachments) session.close("draining");
    this.#deps.unregister(this.account);
  }

  /** Something was not told for lack of room, nobody knows what: every socket compares the heads. */
  overflowed(): void {
    for (const { feed } of this.#attachments) feed?.compare();
    this.#lookIntoInboxes();
  }

  receive(message: UserMessage): void {
    switch (message.type) {
      case "event":
        for (const { feed } of this.#attachments) feed?.offer(message);
        return;
      case "events":
        for (const { feed } of this.#attachments) {
          if (feed !== null) for (const event of message.events) feed.offer(event);
        }
        return;
      case "doorbell":
        for (const { feed } of this.#attachments) feed?.doorbell(message.conversationId, message.seq);
        return;
      case "signal":
        if (message.readBy !== undefined && !this.#getsMarksOf(message.readBy)) return;
        for (const { session, feed } of this.#attachments) {
          if (feed !== null && session.principal.sessionId !== message.except) session.send(message.text);
        }
        return;
      case "settings":
        return this.#deps.settingsChanged(this.account);
      case "inbox":
        return this.#lookIntoInboxes();
      case "end_sessions":
        for (const { session } of this.#attachments) {
          if (message.sessionIds.includes(session.principal.sessionId))
            session.close(message.reason ?? "session_ended");
        }
        return;
      case "registered":
        this.#registered = true;
        for (const attachment of this.#attachments) this.#startFeed(attachment);
        return;
      case "attach":
        return this.#attach(message.session);
      case "detach":
        return this.#detach(message.session);
      case "done":
        return;
      default:
        return this.#receiveOfSocket(message);
    }
  }

  #receiveOfSocket(message: Extract<UserMessage, { readonly session: Session }>): void {
    const attachment = this.#attachments.find(({ session }) => session === message.session);
    if (attachment === undefined) return this.#receiveOfGoneSocket(message);
    switch (message.type) {
      case "frame":
        return this.#deps.dispatch(this, attachment, message.frame, message.place);
      case "sent":
        if (message.storedAt !== null) this.#deps.stages.answered(message.storedAt);
        return this.#sent(attachment, message.frame, message.message);
      case "send_failed":
        attachment.inFlight--;
        attachment.session.refuseMessage(message.place, message.frame, message.error);
        return this.#closeIfDrained(attachment);
      case "reacted":
        return this.#reacted(attachment, message.frame, message.result);
      case "reaction_failed":
        attachment.inFlight--;
        attachment.session.refuse(message.frame, message.error);
        return this.#closeIfDrained(attachment);
      case "answered":
        attachment.inFlight--;
        attachment.session.sendFrame(message.answer);
        return this.#closeIfDrained(attachment);
      case "answer_failed":
        attachment.inFlight--;
        attachment.session.refuse(message.frame, message.error);
        return this.#closeIfDrained(attachment);
      case "refused":
        return attachment.session.refuse(message.frame, message.error);
      case "listed":
        return attachment.feed?.listed(message.generation, message.rows);
      case "page":
        return attachment.feed?.pageRead(message.generation, message.conversationId, message.page);
      case "read_failed":
        return attachment.feed?.readFailed(message.generation, message.conversationId);
      case "liveness":
        if (message.end !== null) attachment.session.close(message.end);
        return;
      case "inbox_read":
        if (message.session.inbox?.read(message.entries, message.session)) this.#lookInto(message.session);
        return;
      case "inbox_failed":
        return message.session.inbox?.failed();
      case "inbox_acknowledged":
        message.session.inbox?.acknowledge(message.seq);
        return this.#lookIntoInboxes(); // every socket of the device has room for more
      case "drained":
        attachment.feed?.drained();
        if (message.session.inbox?.stalled === true) this.#lookInto(message.session);
        return;
      case "waited":
        return attachment.feed?.waited();
      case "check":
        attachment.feed?.retry();
        if (message.compare || message.session.inbox?.waitsForRetry === true) this.#lookInto(message.session);
        if (message.compare) {
          attachment.feed?.compare();
          this.#checkLiveness(attachment);
        }
        return;
      case "drain":
        attachment.draining = true;
        return this.#closeIfDrained(attachment);
      case "attach":
      case "detach":
        return;
      default:
        message satisfies never;
    }
  }

  /** Its sender has gone, the reaction is stored: the others get it all the same. */
  #receiveOfGoneSocket(message: UserMessage): void {
    if (message.type === "reacted") this.#deliverReaction(message.result);
  }

  /** Starts a send that dispatch has begun; its outcome comes back as a message. */
  send(attachment: Attachment, frame: MessageFrame, place: SendPlace, work: SendWork): void {
    const { session } = attachment;
    const first = session.order.admit(place);
    if (first !== null) return session.refuseMessage(place, frame, outOfOrder(first));
    if (attachment.draining) return session.refuseMessage(place, frame, new DomainError("unavailable"));
    if (attachment.inFlight >= LIMITS.sendsInFlight) {
      return session.refuseMessage(place, frame, new DomainError("too_many_in_flight"));
    }
    const { stages } = this.#deps;
    const followed = stages.follow(session.heardAt);
    const done = (result: SendResult) => {
      if (!("error" in result)) {
        const storedAt = followed === null ? null : stages.stored(followed);
        this.self.settle({ type: "sent", session, frame, message: result, storedAt });
        // Here and not in this actor's turn: outcomes come in the order of the log, turns in any. The receipt goes
        // before the sender's own event all the same, because outcomes go before the mailbox.
        return this.#deps.deliver(result.delivery);
      }
      session.hold(place, result.error); // what this actor hands to the log next must know of it already
      this.self.settle({ type: "send_failed", session, frame, place, error: result.error });
    };
    work(done, () => {
      const ahead = session.order.ahead(place);
      return ahead === null ? null : outOfOrder(ahead);
    });
    attachment.inFlight++;
    if (followed !== null) stages.submitted(followed);
  }

  /** Starts a reaction; it counts among the sends that wait, and has no order among them. */
  react(attachment: Attachment, frame: ReactionFrame, work: () => Promise<ReactResult>): void {
    const { session } = attachment;
    if (!this.#begins(attachment, frame)) return;
    this.self.pipe(
      work(),
      (result) => ({ type: "reacted", session, frame, result }),
      (error) => ({ type: "reaction_failed", session, frame, error }),
    );
  }

  /** Starts work that ends with an answer and nothing else; it counts among the sends that wait. */
  answer(attachment: Attachment, frame: ClientFrame, work: () => Promise<ServerFrame>): void {
    const { session } = attachment;
    if (!this.#begins(attachment, frame)) return;
    this.self.pipe(
      work(),
      (answer) => ({ type: "answered", session, answer }),
      (error) => ({ type: "answer_failed", session, frame, error }),
    );
  }

  /** Counts work for a frame; false where it is refused. */
  #begins(attachment: Attachment, frame: ClientFrame): boolean {
    const isFull = attachment.inFlight >= LIMITS.sendsInFlight;
    if (!attachment.draining && !isFull) {
      attachment.inFlight++;
      return true;
    }
    attachment.session.refuse(frame, new DomainError(attachment.draining ? "unavailable" : "too_many_in_flight"));
    return false;
  }

  /** The device has everything that its inbox held up to a seq. */
  acknowledgeInbox({ session }: Attachment, frame: InboxAck): void {
    acknowledgeInbox(this.self, this.#deps, session, frame);
  }

  #lookIntoInboxes(): void {
    for (const { session } of this.#attachments) this.#lookInto(session);
  }

  #lookInto(session: Session): void {
    lookIntoInbox(this.self, this.#deps, session);
  }

  #reacted(attachment: Attachment, frame: ReactionFrame, result: ReactResult): void {
    attachment.inFlight--;
    attachment.session.sendFrame({
      type: "receipt",
      ref: frame.ref,
      conversation_id: result.conversationId,
      id: result.id,
      seq: result.seq,
      created_at: timestampOf(result.createdAt),
      expires_at: result.expiresAt === null ? undefined : timestampOf(result.expiresAt),
      in_order: false,
    });
    this.#deliverReaction(result);
    this.#closeIfDrained(attachment);
  }

  #deliverReaction({ delivery }: ReactResult): void {
    if (delivery !== null) this.#deps.deliver(delivery);
  }

  #sent(attachment: Attachment, frame: MessageFrame, sent: SentMessage): void {
    attachment.inFlight--;
    const { entry } = sent;
    attachment.session.order.settle(entry.conversationId, entry.id);
    const inOrder = attachment.feed?.receipt(entry.conversationId, entry.seq, entry.createdAt) ?? false;
    attachment.session.sendFrame({
      type: "receipt",
      ref: frame.ref,
      conversation_id: entry.conversationId,
      id: entry.id,
      seq: entry.seq,
      created_at: timestampOf(entry.createdAt),
      expires_at: entry.expiresAt === null ? undefined : timestampOf(entry.expiresAt),
      in_order: inOrder,
    });
    this.#closeIfDrained(attachment);
  }

  #attach(session: Session): void {
    // A socket that ended before its turn came: its `detach`, which goes before the mailbox, was here already.
    if (!session.authenticated) return;
    const { sessionId } = session.principal;
    const ofSession = this.#attachments.filter((other) => other.session.principal.sessionId === sessionId);
    if (ofSession.length >= LIMITS.socketsPerSession) return session.close("too_many_sockets");
    const attachment: Attachment = {
      session,
      feed: null,
      inFlight: 0,
      failures: NO_FAILURES,
      draining: false,
      before: NOTHING,
      claims: NOTHING,
    };
    this.#attachments = [...this.#attachments, attachment];
    session.welcome();
    if (this.#registered) this.#startFeed(attachment);
  }

  #detach(session: Session): void {
    const others = this.#attachments.filter((attachment) => attachment.session !== session);
    if (others.length === this.#attachments.length) return;
    this.#attachments = others;
    this.#deps.left(this.account);
  }

  /** The device says where it stands [RES-3]; before there is a feed, that waits for it. */
  resume(attachment: Attachment, frame: Extract<ClientFrame, { type: "resume" }>): void {
    const { session, feed } = attachment;
    const claims = new Map(Object.entries(frame.cursors) as [ConversationId, number][]);
    if ((feed?.behindIn ?? attachment.claims.size) + claims.size > MOST_CLAIMS) {
      return session.refuse(frame, new DomainError("overloaded"));
    }
    if (feed === null) attachment.claims = new Map([...attachment.claims, ...claims]);
    else feed.start(claims);
  }

  #getsMarksOf(reader: AccountId): boolean {
    return reader === this.account || this.#deps.readReceipts(this.account);
  }

  #startFeed(attachment: Attachment): void {
    if (attachment.feed !== null) return;
    const { session } = attachment;
    const host = new ActorFeedHost(this.#deps, this.self, session);
    attachment.feed = new Feed(host, attachment.before);
    session.feed = attachment.feed;
    this.#deps.fed(session);
    attachment.feed.start(attachment.claims);
    attachment.claims = NOTHING;
    session.inbox ??= new Inbox();
    this.#lookInto(session);
    this.#checkLiveness(attachment);
  }

  /**
   * A session that ended while its socket was being opened was told to nobody here: so the database is
   * asked once the account is registered, and again with every comparison, for a hint may be lost.
   */
  #checkLiveness({ session }: Attachment): void {
    this.self.pipe(
      this.#deps.ended(session),
      (end) => ({ type: "liveness", session, end }),
      (error) => {
        this.#deps.onFault("session check", error);
        return { type: "done" };
      },
    );
  }

  #closeIfDrained(attachment: Attachment): void {
    if (attachment.draining && attachment.inFlight === 0) attachment.session.close("draining");
  }
}

/** An earlier message has to come again first [MSG-5]. */
function outOfOrder(first: MessageId): DomainError {
  return new DomainError("out_of_order", { details: { first } });
}
