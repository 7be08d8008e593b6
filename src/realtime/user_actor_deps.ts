/** What a user actor keeps of each of its sockets, and what it needs of the rest of the spine. */
import type { BehindRow, Delivery, Page } from "../conversations/mod.ts";
import type { AccountId, ClientFrame, ConversationId, SessionEnd } from "../protocol/mod.ts";
import type { Feed } from "./feed.ts";
import type { InboxDeps } from "./inbox.ts";
import type { KeptEvents } from "./kept_events.ts";
import type { SendPlace } from "./send_order.ts";
import type { Session } from "./session.ts";
import type { StageTimes } from "./stage_times.ts";
import type { Standing } from "./standings.ts";
import type { UserActor } from "./user_actor.ts";

/** What the actor keeps of one socket. */
export interface Attachment {
  readonly session: Session;
  /** `null` until the account is registered in the directory. */
  feed: Feed | null;
  /** Sends that wait for their outcome. */
  inFlight: number;
  /** When this socket made the actor fail (ms). */
  failures: readonly number[];
  draining: boolean;
  /** Where the socket stood when an earlier feed ended. */
  readonly before: ReadonlyMap<ConversationId, Standing>;
  /** What the device claimed by `resume` before there was a feed. */
  claims: ReadonlyMap<ConversationId, number>;
}

/** What user actors need of the rest of the spine. */
export interface UserActorDeps extends InboxDeps {
  /** Joins the directory; resolves once senders can see it. */
  register(account: AccountId): Promise<void>;
  unregister(account: AccountId): void;
  /** Handles a frame of a client; see `dispatch.ts`. */
  dispatch(actor: UserActor, attachment: Attachment, frame: ClientFrame, place: SendPlace | null): void;
  /** Why the session of a socket is over, by the database; `null` while it lives. */
  ended(session: Session): Promise<SessionEnd | null>;
  list(session: Session, beyond: ConversationId | null): Promise<readonly BehindRow[]>;
  read(session: Session, id: ConversationId, after: number | null, afterAt: number | null): Promise<Page | null>;
  acknowledged(session: Session, id: ConversationId, seq: number, at: number | null, others: boolean): void;
  readonly stages: StageTimes;
  /** Delivers what was stored; never throws. */
  deliver(delivery: Delivery): void;
  /** What was offered to sockets of this node lately. */
  readonly kept: KeptEvents;
  /** Something came early for a socket: it is told `waited` a moment later. */
  wait(session: Session): void;
  /** A socket is fed from now on. */
  fed(session: Session): void;
  /** A socket has all that it missed. */
  caughtUp(session: Session): void;
  /** Whether an account that is connected here gives and gets read marks; false where that is not known. */
  readReceipts(account: AccountId): boolean;
  /** An account that is connected here may have set something about itself. */
  settingsChanged(account: AccountId): void;
  /** A socket has gone: its cursors should reach the database soon. */
  left(account: AccountId): void;
  now(): number;
}
