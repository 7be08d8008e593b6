/** What a feed needs of its socket and of its actor; `actor_feed_host.ts` is that of user actors. */
import type { ConversationId, LogEntry, ServerFrame } from "../protocol/mod.ts";
import type { KeptEvents } from "./kept_events.ts";

/** Which start of a feed a read belongs to; unique in the process, so that a read of an earlier feed is known too. */
export type Generation = number;

/** See the head of this file. */
export interface FeedHost {
  /** Sends to the socket; false where it was not taken, because the socket has closed. */
  send(text: string): boolean;
  /** Whether no event should be sent until {@link Feed.drained}: the socket is full, or closed. */
  readonly blocked: boolean;
  encode(frame: ServerFrame): string;
  encodeEvent(entry: LogEntry): string;
  /** Starts to list what the device is behind in; the outcome comes by {@link Feed.listed}. */
  list(generation: Generation, beyond: ConversationId | null): void;
  /** Starts to read a page; the outcome comes by {@link Feed.pageRead}. */
  read(generation: Generation, conversationId: ConversationId, after: number | null, afterAt: number | null): void;
  /** The device has stored everything up to `seq`. `others`: also what it did not send itself on this socket. */
  acknowledged(conversationId: ConversationId, seq: number, at: number | null, others: boolean): void;
  /** The socket has been told that it is live. */
  caughtUp(): void;
  /** An event came early: asks for {@link Feed.waited} a moment later. */
  wait(): void;
  /** What was offered to sockets of this node lately. */
  readonly kept: KeptEvents;
  now(): number;
}
