/**
 * One public channel as its readers at this node are sent it: all of them together have one place in the log, one
 * copy of what was said last, and one read where that is not enough.
 *
 *   opening ──registered at the bus, newest page read──▶ live ──last reader gone──▶ ended
 *
 * - An entry is taken only if it is the next one; otherwise the log is read from `top`. So a lost, doubled or late hint
 *   costs a read and never an announcement; and the node asks every two seconds how far the log is.
 * - Registered before it is read, committed before it is looked up: see router.ts.
 * - What is kept is bounded, and forgotten after a minute: what was deleted or has expired does not live on in memory.
 */
import type { ChannelPage } from "../conversations/mod.ts";
import {
  type ConversationId,
  type EventFrame,
  LIMITS,
  type PublicEntry,
  toEventFrame,
  toPublicEntry,
} from "../protocol/mod.ts";

/** A frame for every reader, encoded once. */
export interface PublicEvent {
  readonly seq: number;
  readonly text: string;
}

/** What a feed tells each of its readers. */
export interface PublicReader {
  /** The next event; a reader that cannot take it finds it again by {@link PublicFeed.since}. */
  live(event: PublicEvent): void;
}

/** What a feed is made of. */
export interface PublicFeedOptions {
  readonly id: ConversationId;
  readonly channel: string;
  readonly name: string | null;
  readonly register: () => Promise<void>;
  /** Reads the entries after a seq, or the newest. */
  readonly read: (after: number | null) => Promise<ChannelPage>;
  readonly onFault: (error: unknown) => void;
  /** Milliseconds of a clock that nobody sets, and since the epoch. */
  readonly now: () => number;
  readonly date: () => number;
}

/** What the log had after a seq. */
export interface PublicPage {
  readonly texts: readonly string[];
  /** The last seq that it covers. */
  readonly end: number;
  /** Whether the log had more behind it. */
  readonly more: boolean;
}

interface Kept extends PublicEvent {
  readonly entry: PublicEntry;
  /** By {@link PublicFeedOptions.now}. */
  readonly keptAt: number;
  readonly expiresAt: number | null;
}

/** See the head of this file. */
export class PublicFeed {
  readonly readers = new Set<PublicReader>();
  /** Settles once the feed is live; rejects where the log could not be read. */
  readonly opened: Promise<void>;
  readonly #options: PublicFeedOptions;
  /** Everything up to here was told. */
  #top = 0;
  /** Everything after this seq is in `#kept`. */
  #from = 0;
  readonly #kept: Kept[] = [];
  #chars = 0;
  /** The read of the log that is under way; it ends with everything that was known of when it began. */
  #reading: Promise<void> | undefined;
  /** The highest seq that anybody spoke of: it is committed. */
  #heard = 0;
  /** Pages that are being read, so that readers who come together cost one read. */
  readonly #pages = new Map<number, Promise<ChannelPage>>();

  constructor(options: PublicFeedOptions) {
    this.#options = options;
    this.opened = this.#open();
    // What comes meanwhile waits for it.
    this.#reading = this.opened.then(
      () => this.#begin(),
      () => {},
    );
  }

  get id(): ConversationId {
    return this.#options.id;
  }

  get channel(): string {
    return this.#options.channel;
  }

  get name(): string | null {
    return this.#options.name;
  }

  /** The last seq that was told. */
  get top(): number {
    return this.#top;
  }

  /** A committed entry as its event frame. */
  offer(seq: number, text: string): void {
    if (seq === this.#top + 1 && this.#reading === undefined) this.#take(JSON.parse(text) as EventFrame);
    else this.doorbell(seq);
  }

  /** There may be something up to `seq`. */
  doorbell(seq: number): void {
    this.#heard = Math.max(this.#heard, seq);
    if (seq > this.#top) void this.#catchUp();
  }

  /** What was said after a seq, of what is kept; `null` where that is not all. */
  since(seq: number): readonly PublicEvent[] | null {
    if (seq < this.#from) return null;
    const now = this.#options.date();
    return this.#kept.filter((event) => event.seq > seq && (event.expiresAt === null || event.expiresAt > now));
  }

  /** What is after a seq and not kept any more; {@link since} its end goes on where there is no more. */
  async load(after: number): Promise<PublicPage> {
    // It may be ahead of this node; what is beyond the log's end counts as the end.
    if (after > this.#top) await this.#catchUp();
    const from = this.#from;
    if (after >= from) return { texts: [], end: Math.min(after, this.#top), more: false };
    let reading = this.#pages.get(after);
    if (reading === undefined) {
      reading = this.#options.read(after).finally(() => this.#pages.delete(after));
      this.#pages.set(after, reading);
    }
    const { entries, more } = await reading;
    const texts = entries.flatMap((entry) => this.#show(toEventFrame(entry))?.text ?? []);
    // Where retention removed the rest there is no entry to say how far this goes.
    return { texts, end: entries.at(-1)?.seq ?? from, more };
  }

  /** Forgets what was read or told before a moment: whoever asks for it reads the log. */
  forgetBefore(moment: number): void {
    let old = 0;
    while ((this.#kept[old]?.keptAt ?? Number.POSITIVE_INFINITY) < moment) old++;
    this.#drop(old);
  }

  async #open(): Promise<void> {
    await this.#options.register().catch(this.#options.onFault); // slower then, but not wrong
    const { entries } = await this.#options.read(null);
    this.#from = (entries[0]?.seq ?? 1) - 1;
    this.#top = this.#from;
    for (const entry of entries) this.#take(toEventFrame(entry));
  }

  #begin(): void {
    this.#reading = undefined;
    if (this.#heard > this.#top) void this.#catchUp();
  }

  /** Reads on from `top`; one read at a time. */
  #catchUp(): Promise<void> {
    this.#reading ??= this.#readOn();
    return this.#reading;
  }

  async #readOn(): Promise<void> {
    try {
      for (;;) {
        const heard = this.#heard;
        const { entries, more } = await this.#options.read(this.#top);
        for (const entry of entries) if (entry.seq > this.#top) this.#take(toEventFrame(entry));
        if (more) continue;
        // What is not there although it was committed is gone: retention removed it.
        this.#top = Math.max(this.#top, heard);
        if (this.#heard <= this.#top) return;
      }
    } catch (error) {
      this.#options.onFault(error); // the next look goes on
    } finally {
      this.#reading = undefined;
    }
  }

  #take(event: EventFrame): void {
    this.#top = event.seq;
    const shown = this.#show(event);
    if (shown === null) return;
    this.#change(shown.entry);
    this.#kept.push(shown);
    this.#chars += shown.text.length;
    let old = Math.max(0, this.#kept.length - LIMITS.publicRecent);
    for (let chars = this.#chars; chars > LIMITS.publicRecentChars; old++)
      chars -= this.#kept[old]?.text.length ?? chars;
    this.#drop(old);
    for (const reader of this.readers) reader.live(shown);
  }

  /** Keeps so many of the oldest no more. */
  #drop(count: number): void {
    if (count === 0) return;
    for (const { seq, text } of this.#kept.splice(0, count)) {
      this.#from = seq;
      this.#chars -= text.length;
    }
  }

  /** What is kept of a message that is edited or deleted is so too: a page from memory says what one from the log would. */
  #change(change: PublicEntry): void {
    if (change.type === "announcement") return;
    const { message_seq: target } = change;
    const kept = this.#kept.flatMap((event): Kept[] => {
      const { entry } = event;
      const concerned = entry.type === "announcement" ? entry.seq === target : entry.message_seq === target;
      if (!concerned) return [event];
      if (change.type === "deletion" || entry.type !== "announcement") return [];
      const edited = { ...entry, content: change.content, edited_at: change.created_at };
      return [{ ...event, entry: edited, text: JSON.stringify(edited) }];
    });
    this.#kept.splice(0, this.#kept.length, ...kept);
    this.#chars = kept.reduce((sum, { text }) => sum + text.length, 0);
  }

  #show(event: EventFrame): Kept | null {
    const entry = toPublicEntry(this.#options.channel, event);
    if (entry === null) return null;
    const expiresAt = event.expires_at === undefined ? null : Date.parse(event.expires_at);
    return { seq: event.seq, entry, text: JSON.stringify(entry), keptAt: this.#options.now(), expiresAt };
  }
}
