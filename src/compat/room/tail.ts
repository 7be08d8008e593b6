/**
 * What is said in the room, once for all sockets of the node: a feed of the room's log from the moment
 * the node begins to look, as sockets have one of theirs. So nothing is skipped or shown twice,
 * whatever hints are lost, doubled or late, and the log is read once and not for every socket.
 */
import { type BehindRow, type ConversationsDeps, findVisibleTop } from "../../conversations/mod.ts";
import type { AccountId, ConversationId, DeviceId, EventFrame, LogEntry, ServerFrame } from "../../protocol/mod.ts";
import { jsonCodec } from "../../protocol/mod.ts";
import { Feed, type FeedHost, type Generation, KeptEvents } from "../../realtime/mod.ts";
import { KEEPER, ROOM } from "./keeper.ts";

/** A message of the room's log. */
export type SaidFrame = Extract<EventFrame, { readonly type: "message" }>;

/** What a {@link Tail} is made of. */
export interface TailOptions {
  readonly conversations: ConversationsDeps;
  /** The name of an account, where it is at hand. */
  readonly nameOf: (id: AccountId) => string | undefined;
  /** Finds names out; those that are not found are of accounts that are gone. */
  readonly findNames: (ids: readonly AccountId[]) => Promise<void>;
  /** Shows a message to everybody here. */
  readonly show: (said: SaidFrame, username: string) => void;
  readonly onFault: (error: unknown) => void;
  readonly now: () => number;
}

/** See the head of this file. */
export class Tail {
  readonly #options: TailOptions;
  readonly #feed: Feed;
  readonly #kept: KeptEvents;
  readonly #live = Promise.withResolvers<void>();
  /** A message waits for its sender's name, and all others behind it. */
  #naming = false;

  constructor(options: TailOptions) {
    this.#options = options;
    this.#kept = new KeptEvents(options.now);
    this.#feed = new Feed(this.#host());
  }

  /** Begins after what there is; resolves once what comes from now on will be shown. The hints must be coming already. */
  async begin(): Promise<void> {
    const top = (await findVisibleTop(this.#options.conversations, KEEPER, ROOM)) ?? 0;
    this.#step(() => this.#feed.start(new Map([[ROOM, top]])));
    await this.#live.promise;
  }

  /** A committed entry, encoded; or that there may be something up to `seq`, where there is no text. */
  hint(conversationId: ConversationId, seq: number, event?: { readonly at: number; readonly text: string }): void {
    if (conversationId !== ROOM) return; // the keeper was written to elsewhere
    this.#step(() =>
      event === undefined ? this.#feed.doorbell(ROOM, seq) : this.#feed.offer({ conversationId, seq, ...event }),
    );
  }

  /** Compares with the log: what makes certain what hints make fast. */
  compare(): void {
    this.#step(() => this.#feed.compare());
  }

  /** Goes on after a failed read; called every second. */
  retry(): void {
    this.#kept.check();
    if (this.#feed.waitsForRetry) this.#step(() => this.#feed.retry());
  }

  #host(): FeedHost {
    const { conversations, now } = this.#options;
    const blocked = () => this.#naming;
    return {
      now,
      get blocked() {
        return blocked();
      },
      send: (text) => this.#send(text),
      encode: (frame) => this.#heard(frame),
      encodeEvent: (entry: LogEntry) => jsonCodec.encodeEvent(entry),
      list: (generation) => this.#read(this.#list(), (rows) => this.#feed.listed(generation, rows), generation, null),
      read: (generation, conversationId, after, afterAt) =>
        this.#read(
          conversations.pages.page({
            ...{ accountId: KEEPER, deviceId: NO_DEVICE, conversationId },
            ...{ after, afterAt },
          }),
          (page) => this.#feed.pageRead(generation, conversationId, page),
          generation,
          conversationId,
        ),
      acknowledged: () => {}, // nobody comes back to go on from here
      caughtUp: () => {},
      kept: this.#kept,
      wait: () => setImmediate(() => this.#step(() => this.#feed.waited())),
    };
  }

  async #list(): Promise<readonly BehindRow[]> {
    const top = await findVisibleTop(this.#options.conversations, KEEPER, ROOM);
    return top === null ? [] : [{ conversationId: ROOM, top }];
  }

  #read<Found>(
    reading: Promise<Found>,
    then: (found: Found) => void,
    generation: Generation,
    conversationId: ConversationId | null,
  ): void {
    reading.then(
      (found) => this.#step(() => then(found)),
      (error) => {
        this.#options.onFault(error);
        this.#step(() => this.#feed.readFailed(generation, conversationId));
      },
    );
  }

  /** Of the frames that are no entries only this one matters here. */
  #heard(frame: ServerFrame): string {
    if (frame.type === "caught_up") this.#live.resolve();
    return "";
  }

  #send(text: string): boolean {
    if (text === "") return true;
    const frame = JSON.parse(text) as EventFrame;
    if (frame.type !== "message") return true;
    const username = this.#options.nameOf(frame.sender_id);
    if (username !== undefined) this.#options.show(frame, username);
    else void this.#name(frame.sender_id, frame.seq);
    return username !== undefined;
  }

  /** What was not shown for want of a name is read again from the log once the name is there. */
  async #name(sender: AccountId, seq: number): Promise<void> {
    this.#naming = true;
    try {
      await this.#options.findNames([sender]);
    } catch (error) {
      this.#options.onFault(error); // the next comparison tries again
      return;
    } finally {
      this.#naming = false;
    }
    this.#step(() => {
      this.#feed.doorbell(ROOM, seq);
      this.#feed.drained();
    });
  }

  /** One step of the feed. What was shown needs no acknowledgement, so it is given here. */
  #step(work: () => void): void {
    try {
      work();
      const sent = this.#feed.sentUpTo(ROOM);
      if (sent !== undefined) this.#feed.acknowledge(ROOM, sent);
    } catch (error) {
      this.#options.onFault(error);
      this.#feed.start(); // from where it stood
    }
  }
}

/** Pages are asked for with a place of their own, so no device's cursor is looked at. */
const NO_DEVICE = KEEPER as string as DeviceId;
