/**
 * What one socket is given of its device's inbox, in rising seq: a read begins where the last one ended, whenever there
 * may be something new. How much may be unacknowledged the database knows, because every socket of a device has
 * the same inbox.
 *
 *   idle ──look──▶ reading ──read──▶ idle, or reading again where somebody looked meanwhile
 *   reading ──failed──▶ failed     reading ──the socket is full──▶ stalled     both end with a look
 *
 * - Nothing is lost: an entry is committed before its device is told, and a device reads after it is registered.
 * - What is sent twice, as after a read that was thought lost, is left out: a seq is sent once on a socket.
 */
import type { ActorRef } from "../actor/mod.ts";
import type { InboxEntry } from "../devices/mod.ts";
import { type ClientFrame, DomainError, type InboxFrame, timestampOf } from "../protocol/mod.ts";
import type { Session } from "./session.ts";
import type { UserMessage } from "./user_message.ts";

/** See the head of this file. */
export class Inbox {
  #sent = 0;
  #acknowledged = 0;
  #state: "idle" | "reading" | "again" | "failed" | "stalled" = "idle";

  /** The seq of the last entry that was sent. */
  get sent(): number {
    return this.#sent;
  }

  /** Up to where the database knows that the device has all that was sent here. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Whether a read failed, and the next one is due. */
  get waitsForRetry(): boolean {
    return this.#state === "failed";
  }

  /** Whether entries wait until the socket is empty. */
  get stalled(): boolean {
    return this.#state === "stalled";
  }

  /** There may be something new: true where a read is to begin now, and false where one is under way. */
  look(): boolean {
    const isReading = this.#state === "reading" || this.#state === "again";
    this.#state = isReading ? "again" : "reading";
    return !isReading;
  }

  /** A read is over: sends what is new of it. True where there may be more by now. */
  read(entries: readonly InboxEntry[], session: Pick<Session, "blocked" | "sendFrame">): boolean {
    const again = this.#state === "again";
    this.#state = "idle";
    for (const entry of entries) {
      if (entry.seq <= this.#sent) continue;
      if (session.blocked) {
        this.#state = "stalled";
        return false;
      }
      session.sendFrame(frameOf(entry));
      this.#sent = entry.seq;
    }
    return again;
  }

  /** A read failed. */
  failed(): void {
    this.#state = "failed";
  }

  /** The read under way, if any, may never end: its actor failed. */
  restarted(): void {
    this.#state = "idle";
  }

  /** The device has everything up to a seq, and the database knows. */
  acknowledge(seq: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, seq);
  }
}

/** The frame that acknowledges. */
export type InboxAck = Extract<ClientFrame, { readonly type: "key_exchange_ack" }>;

/** What an inbox needs of the rest of the spine. */
export interface InboxDeps {
  /** What the inbox of a socket's device holds beyond a seq, as far as its window goes. */
  readInbox(session: Session, after: number): Promise<readonly InboxEntry[]>;
  /** The device of a socket has everything up to `seq` of its inbox; resolves once that is stored. */
  acknowledgeInbox(session: Session, seq: number): Promise<void>;
  onFault(what: string, error: unknown): void;
}

/** Begins to read a socket's inbox, unless a read is under way or the socket is not fed yet. */
export function lookIntoInbox(actor: ActorRef<UserMessage>, deps: InboxDeps, session: Session): void {
  const { inbox } = session;
  if (inbox === null || !inbox.look()) return;
  actor.pipe(
    deps.readInbox(session, inbox.sent),
    (entries) => ({ type: "inbox_read", session, entries }),
    (error) => {
      deps.onFault("inbox", error);
      return { type: "inbox_failed", session };
    },
  );
}

/** The device has everything that its inbox held up to a seq; what was not sent on this socket it cannot have [KEX-4]. */
export function acknowledgeInbox(
  actor: ActorRef<UserMessage>,
  deps: InboxDeps,
  session: Session,
  frame: InboxAck,
): void {
  const { seq } = frame;
  if (seq > (session.inbox?.sent ?? 0)) return session.refuse(frame, new DomainError("ack_ahead"));
  if (seq <= (session.inbox?.acknowledged ?? 0)) return;
  actor.pipe(
    deps.acknowledgeInbox(session, seq),
    () => ({ type: "inbox_acknowledged", session, seq }),
    (error) => ({ type: "refused", session, frame, error }),
  );
}

function frameOf(entry: InboxEntry): InboxFrame {
  const { kind, seq, id, senderId, senderSessionId, body, createdAt } = entry;
  return {
    type: kind,
    ...{ seq, id, from_user_id: senderId, from_session_id: senderSessionId },
    payload: Buffer.from(body).toString("base64"),
    created_at: timestampOf(createdAt),
  };
}
