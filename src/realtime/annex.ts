/**
 * A place for sockets that speak another protocol than SPEC.md, beside the user actors. It shares with
 * them what a socket needs whatever is said on it: authentication, heartbeat, limits and the end
 * (`session.ts`), and the way to other nodes. What an annex shows its sockets it reads from the log of
 * one account of the server's own, whose hints it is told.
 */
import type { AccountId, ClientFrame, Codec, SessionEnd, SessionId } from "../protocol/mod.ts";
import type { Hint, NodeId } from "./bus.ts";
import type { Session } from "./session.ts";

/** See the head of this file. Nothing here may throw. */
export interface Annex {
  /** Whose hints it is told. */
  readonly account: AccountId;
  readonly codec: Codec;
  /** A socket has shown who it belongs to; false where no more are taken. */
  attach(session: Session): boolean;
  detach(session: Session): void;
  frame(session: Session, frame: ClientFrame): void;
  /** A hint for {@link Annex.account}. */
  told(hint: Hint): void;
  /** Sessions are over: their sockets close. */
  ended(account: AccountId, sessionIds: readonly SessionId[], reason: SessionEnd | undefined): void;
  /** The node ends: the socket closes once what it sent is answered. */
  drain(session: Session): void;
  /** Hints may have been lost: read the log. */
  doubt(): void;
  /** Called every second. */
  check(): void;
}

/** What the hub gives an annex. */
export interface AnnexPorts {
  readonly node: NodeId;
  /** False while hints may be getting lost; see `Bus.healthy`. */
  readonly healthy: boolean;
  /** Says that hints for the annex's account should come to this node; resolves once others can see it. */
  register(): Promise<void>;
  /** Takes that back. */
  unregister(): Promise<void>;
  /** The other nodes where the account is registered. */
  others(): Promise<readonly NodeId[]>;
  /** Tells the annexes of the same account on every node, this one too, by a signal that is kept nowhere. */
  signal(text: string): void;
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
}
