/**
 * The public channels that somebody reads at this node: their feeds and sockets.
 *
 * A feed is opened by the first reader and ended with the last; in between its channel is registered at the bus, under
 * the conversation's own id. Every two seconds one statement asks how far the logs of all feeds are: that makes them
 * certain whatever the bus loses, and ends those of a channel that is public no more.
 */
import {
  type ConversationsDeps,
  type PublicChannel,
  publicHeads,
  readChannel,
  requireChannel,
} from "../conversations/mod.ts";
import { Batcher } from "../platform/batcher.ts";
import { type CloseReason, type ConversationId, LIMITS } from "../protocol/mod.ts";
import type { Hint } from "./bus.ts";
import { PublicFeed } from "./public_feed.ts";
import { PublicSocket, type PublicSocketDeps } from "./public_socket.ts";
import type { SocketPort } from "./session_deps.ts";

/** What {@link PublicFeeds} are made of. */
export interface PublicFeedsOptions {
  readonly conversations: ConversationsDeps;
  readonly register: (channel: ConversationId) => Promise<void>;
  readonly unregister: (channel: ConversationId) => void;
  readonly heartbeatMs: number;
  readonly connectionTimeoutMs: number;
  /** Sockets of one address; standard {@link LIMITS.publicPerAddress}. */
  readonly perAddress?: number;
  readonly newRequestId: () => string;
  /** Milliseconds of a clock that nobody sets, and since the epoch. */
  readonly now: () => number;
  readonly date: () => number;
  readonly onOpened: () => void;
  readonly onClosed: (reason: CloseReason | "gone") => void;
  readonly onFailure: (requestId: string, error: unknown) => void;
  readonly onFault: (what: string, error: unknown) => void;
}

/** A channel as its feed has to know it. */
export type FoundChannel = Pick<PublicChannel, "id" | "channel" | "name">;

const LOOK_MS = 2_000;
/** How long what was said is kept for who comes back. */
const KEEP_MS = 60_000;
const READS_AT_ONCE = 4;
const MOST_READS = 10_000;
const DRAIN_SPREAD_MS = 2_000;

/** See the head of this file. */
export class PublicFeeds {
  readonly #options: PublicFeedsOptions;
  readonly #socketDeps: PublicSocketDeps;
  readonly #feeds = new Map<ConversationId, PublicFeed>();
  readonly #sockets = new Set<PublicSocket>();
  readonly #addresses = new Map<string, number>();
  readonly #reads: Batcher<() => Promise<unknown>, unknown>;
  #lookedAt = 0;
  #looking = false;

  constructor(options: PublicFeedsOptions) {
    this.#options = options;
    this.#socketDeps = {
      heartbeatMs: options.heartbeatMs,
      connectionTimeoutMs: options.connectionTimeoutMs,
      newRequestId: options.newRequestId,
      onFailure: options.onFailure,
      onClosed: options.onClosed,
      onGone: (socket) => this.#gone(socket),
      now: options.now,
    };
    this.#reads = new Batcher(async ([read]) => [await read?.()], {
      ...{ most: 1, inFlight: READS_AT_ONCE, waiting: MOST_READS },
    });
  }

  /** Sockets that are open. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** Whether an address has too many of them. */
  crowded(address: string): boolean {
    return (this.#addresses.get(address) ?? 0) >= (this.#options.perAddress ?? LIMITS.publicPerAddress);
  }

  /** The channel that somebody wants to read; throws `conversation_not_found` where there is no public one. */
  async find(channel: string): Promise<FoundChannel> {
    for (const feed of this.#feeds.values()) {
      // One that is read here was there two seconds ago: ten thousand readers who come back ask the database once.
      if (feed.channel === channel) return { id: feed.id, channel, name: feed.name };
    }
    return requireChannel(this.#options.conversations, channel);
  }

  /** Takes a new socket. */
  open(port: SocketPort, origin: { readonly address: string; readonly channel: FoundChannel }): PublicSocket {
    const { address, channel } = origin;
    this.#options.onOpened();
    this.#addresses.set(address, (this.#addresses.get(address) ?? 0) + 1);
    const feed = this.#feedOf(channel);
    const socket = new PublicSocket(port, { address, feed }, this.#socketDeps);
    this.#sockets.add(socket);
    feed.readers.add(socket);
    feed.opened.then(
      () => socket.begin(),
      () => socket.close("unavailable"),
    );
    return socket;
  }

  /** A hint for a channel. */
  tell(channel: ConversationId, hint: Hint): void {
    const feed = this.#feeds.get(channel);
    if (feed === undefined) return;
    if (hint.type === "event") feed.offer(hint.seq, hint.text);
    else if (hint.type === "doorbell") feed.doorbell(hint.seq);
  }

  /** Looks at every deadline; called about once a second. */
  check(): void {
    const now = this.#options.now();
    for (const socket of this.#sockets) socket.check(now);
    for (const feed of this.#feeds.values()) feed.forgetBefore(now - KEEP_MS);
    if (now - this.#lookedAt >= LOOK_MS) this.look();
  }

  /** Asks how far the logs are. */
  look(): void {
    if (this.#looking || this.#feeds.size === 0) return;
    this.#lookedAt = this.#options.now();
    this.#looking = true;
    this.#lookNow()
      .catch((error) => this.#options.onFault("public feeds", error))
      .finally(() => {
        this.#looking = false;
      });
  }

  /** Closes every socket, spread over time; gives how many. */
  drain(): number {
    const sockets = [...this.#sockets];
    const spread = Math.min(DRAIN_SPREAD_MS, sockets.length * 2);
    sockets.forEach((socket, i) => {
      setTimeout(() => socket.close("draining"), (spread * i) / sockets.length);
    });
    return sockets.length;
  }

  async #lookNow(): Promise<void> {
    const asked = [...this.#feeds.values()];
    const heads = await publicHeads(
      this.#options.conversations.db,
      asked.map(({ id }) => id),
    );
    for (const feed of asked) {
      const top = heads.get(feed.id);
      if (top !== undefined) feed.doorbell(top);
      else for (const socket of this.#sockets) if (socket.origin.feed === feed) socket.close("channel_gone");
    }
  }

  #feedOf({ id, channel, name }: FoundChannel): PublicFeed {
    const known = this.#feeds.get(id);
    if (known !== undefined) return known;
    const { conversations, register, onFault, now, date } = this.#options;
    const feed = new PublicFeed({
      ...{ id, channel, name, now, date },
      register: () => register(id),
      read: async (after) => {
        const page = await this.#reads.ask(() => readChannel(conversations, id, after));
        return page as Awaited<ReturnType<typeof readChannel>>;
      },
      onFault: (error) => onFault("public feed", error),
    });
    this.#feeds.set(id, feed);
    feed.opened.catch((error) => {
      onFault("public feed", error);
      if (this.#feeds.get(id) !== feed) return;
      this.#feeds.delete(id); // whoever comes next tries anew
      this.#options.unregister(id);
    });
    return feed;
  }

  #gone(socket: PublicSocket): void {
    if (!this.#sockets.delete(socket)) return;
    const { address, feed } = socket.origin;
    const left = (this.#addresses.get(address) ?? 1) - 1;
    if (left > 0) this.#addresses.set(address, left);
    else this.#addresses.delete(address);
    feed.readers.delete(socket);
    if (feed.readers.size > 0 || this.#feeds.get(feed.id) !== feed) return;
    this.#feeds.delete(feed.id);
    this.#options.unregister(feed.id);
  }
}
