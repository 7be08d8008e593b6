/**
 * What one socket is sent of the logs.
 *
 * For each conversation that was touched the feed knows the seq it sent last (`sent`) and the one
 * that was acknowledged (`acked`). An event goes out straight from memory only if it is the next
 * one; in every other case the conversation is marked behind and read from the log, a few pages
 * at a time. So nothing is skipped, whatever hints are lost, doubled or late:
 *
 *   unknown ──event──▶ behind ──page──▶ caught up ──next event──▶ caught up
 *                        ▲                  │
 *                        └── gap, full socket, full window, doorbell
 *
 * A hint that comes while a page is being read marks the conversation dirty, and it is read again.
 * A feed begins anew after `resume` and after a failure. What the socket was sent and what it
 * acknowledged outlives that as its standing: so only what was not acknowledged comes again, a
 * cursor that the device set lower stays lower, and acknowledgements under way are still good.
 *
 * The feed belongs to its user actor and is touched by nobody else; reads come back as messages of
 * that actor, with the generation they were started in, and those of an older one are dropped.
 */
import { BEHIND_LIMIT, type BehindRow, type Page } from "../conversations/mod.ts";
import { type ConversationId, LIMITS, type LogEntry, type ServerFrame } from "../protocol/mod.ts";

/** Which start of a feed a read belongs to; unique in the process, so that a read of an earlier feed is known too. */
export type Generation = number;

/** What a feed needs of its socket and of its actor. */
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
  now(): number;
}

/** Where a socket stands in one conversation: what outlives a start of its feed. */
export interface Standing {
  /** The highest seq that this socket was ever sent. */
  readonly sent: number;
  readonly acked: number;
  /** Whether entries after `acked` are due, whatever the server's own cursor says. */
  readonly due: boolean;
}

interface Cursor {
  sent: number;
  /** When the entry at `sent` was stored (ms), or `null`. */
  sentAt: number | null;
  acked: number;
  /** The highest seq that was given by its event, and not by a receipt. */
  pushed: number;
}

interface Behind {
  reading: boolean;
  dirty: boolean;
  /** Where the device itself said that it stands, by `resume` or by acknowledging. */
  readonly claimed: number | null;
}

const READS_AT_ONCE = 4;
/** Claims of a device that wait to be looked at; of more, the oldest are forgotten, and the server's cursors count. */
const MOST_CLAIMS = 10_000;

/** Starts of feeds so far. */
let generations = 0;

/** See the head of this file. */
export class Feed {
  readonly #host: FeedHost;
  /** Standings at the last start. */
  #before: Map<ConversationId, Standing>;
  #cursors = new Map<ConversationId, Cursor>();
  #behind = new Map<ConversationId, Behind>();
  #generation: Generation = 0;
  #live = false;
  #listing = false;
  /** Compare once more: what is being listed or read may be older than the reason for it. */
  #again = false;
  /** Where the next list goes on, once what the last one named is read. */
  #beyond: ConversationId | null = null;
  #reads = 0;
  #failed = false;
  #listFailed = false;
  #unacknowledged = 0;
  /** Since when the window of unacknowledged events is full (ms), or `null`. */
  fullSince: number | null = null;

  /** `before`: the standing that an earlier feed of the same socket left. */
  constructor(host: FeedHost, before: ReadonlyMap<ConversationId, Standing> = new Map()) {
    this.#host = host;
    this.#before = new Map(before);
  }

  /** Where the socket stands, for the feed that comes after this one. */
  standing(): Map<ConversationId, Standing> {
    const standing = new Map(this.#before);
    for (const [id, { claimed }] of this.#behind) {
      if (claimed !== null) standing.set(id, { sent: this.#before.get(id)?.sent ?? 0, acked: claimed, due: true });
    }
    for (const [id, { sent, acked }] of this.#cursors) {
      const due = acked < sent || this.#behind.has(id);
      standing.set(id, { sent: Math.max(sent, this.#before.get(id)?.sent ?? 0), acked, due });
    }
    return standing;
  }

  /** Whether a read failed and waits for {@link retry}. */
  get waitsForRetry(): boolean {
    return this.#failed;
  }

  /** In how many conversations something is still to be read. */
  get behindIn(): number {
    return this.#behind.size;
  }

  /** Begins, or begins again: from what the device claims, else acknowledged here, else from the server's cursors. */
  start(claims: ReadonlyMap<ConversationId, number> = new Map()): void {
    this.#before = this.standing();
    for (const [id, acked] of claims) this.#before.set(id, { sent: this.#before.get(id)?.sent ?? 0, acked, due: true });
    this.#forgetOldClaims();
    this.#generation = ++generations;
    this.#cursors = new Map();
    this.#behind = new Map();
    for (const [id, { due }] of this.#before) if (due) this.#mark(id);
    this.#live = false;
    this.#reads = 0;
    this.#failed = false;
    this.#listFailed = false;
    this.#unacknowledged = 0;
    this.fullSince = null;
    this.#list(null);
  }

  /** Compares the heads again: what makes delivery certain when every hint was lost. */
  compare(): void {
    if (this.#listing || this.#beyond !== null) this.#again = true;
    else this.#list(null);
  }

  /** A list came. */
  listed(generation: Generation, rows: readonly BehindRow[]): void {
    if (generation !== this.#generation) return;
    this.#listing = false;
    for (const { conversationId, top } of rows) {
      const cursor = this.#cursors.get(conversationId);
      if (cursor === undefined || top > cursor.sent) this.#mark(conversationId);
    }
    this.#beyond = rows.length < BEHIND_LIMIT ? null : (rows.at(-1)?.conversationId ?? null);
    this.#pump();
  }

  /** A page came; `null` where the account never was a member. */
  pageRead(generation: Generation, conversationId: ConversationId, page: Page | null): void {
    if (generation !== this.#generation) return;
    this.#reads--;
    const behind = this.#behind.get(conversationId);
    if (behind !== undefined) behind.reading = false;
    if (behind === undefined || page === null) {
      this.#notBehind(conversationId);
      this.#before.delete(conversationId); // a claim of what is not the caller's would stay for ever
    } else this.#sendPage(conversationId, behind, page);
    this.#pump();
  }

  /** A list (`null`) or a page could not be read; {@link retry} goes on. */
  readFailed(generation: Generation, conversationId: ConversationId | null): void {
    if (generation !== this.#generation) return;
    this.#failed = true;
    if (conversationId === null) {
      this.#listing = false;
      this.#listFailed = true;
      return;
    }
    this.#reads--;
    const behind = this.#behind.get(conversationId);
    if (behind !== undefined) behind.reading = false;
  }

  /** Goes on after a failed read. */
  retry(): void {
    if (!this.#failed) return;
    this.#failed = false;
    // Where the failed list began is not kept: the first one again names whatever is still behind.
    if (this.#listFailed && !this.#listing) this.#list(null);
    this.#pump();
  }

  /** A committed entry, encoded. */
  offer(conversationId: ConversationId, seq: number, at: number, text: string): void {
    const cursor = this.#cursors.get(conversationId);
    if (cursor !== undefined && seq <= cursor.sent) return;
    const behind = this.#behind.get(conversationId);
    if (behind !== undefined) behind.dirty = true;
    else if (cursor !== undefined && seq === cursor.sent + 1 && this.#open) this.#push(cursor, seq, at, text);
    else {
      this.#mark(conversationId);
      this.#pump();
    }
  }

  /** There may be something up to `seq`. */
  doorbell(conversationId: ConversationId, seq: number): void {
    const cursor = this.#cursors.get(conversationId);
    if (cursor !== undefined && seq <= cursor.sent) return;
    this.#mark(conversationId);
    this.#pump();
  }

  /** A receipt is about to be sent; true where it stands for the event [MSG-3]. */
  receipt(conversationId: ConversationId, seq: number, at: number): boolean {
    const cursor = this.#cursors.get(conversationId);
    if (cursor === undefined || this.#behind.has(conversationId) || seq !== cursor.sent + 1) return false;
    this.#sent(cursor, seq, at);
    return true;
  }

  /** The seq that this socket was sent last, or `undefined` for a conversation not touched yet. */
  sentUpTo(conversationId: ConversationId): number | undefined {
    return this.#cursors.get(conversationId)?.sent;
  }

  /** The device has stored everything up to `seq`; false where that was not sent on this socket [ACK-2]. */
  acknowledge(conversationId: ConversationId, seq: number): boolean {
    const cursor = this.#cursors.get(conversationId);
    if (cursor === undefined || seq > cursor.sent) return this.#acknowledgeBefore(conversationId, seq);
    if (seq < cursor.acked) return true;
    this.#unacknowledged -= seq - cursor.acked;
    const others = cursor.pushed > cursor.acked;
    cursor.acked = seq;
    this.#host.acknowledged(conversationId, seq, seq === cursor.sent ? cursor.sentAt : null, others);
    if (this.#unacknowledged <= LIMITS.unacknowledgedEvents / 2) {
      this.fullSince = null;
      this.#pump();
    }
    return true;
  }

  /** The socket's buffer is empty again. */
  drained(): void {
    this.#pump();
  }

  /** What was sent before the last start, and comes again, may be acknowledged meanwhile. */
  #acknowledgeBefore(conversationId: ConversationId, seq: number): boolean {
    const before = this.#before.get(conversationId);
    if (before === undefined || seq > before.sent) return false;
    this.#before.set(conversationId, { ...before, acked: Math.max(before.acked, seq) });
    this.#host.acknowledged(conversationId, seq, null, true);
    return true;
  }

  get #open(): boolean {
    return this.fullSince === null && !this.#host.blocked;
  }

  #forgetOldClaims(): void {
    let claims = 0;
    for (const { sent } of this.#before.values()) if (sent === 0) claims++;
    for (const [id, { sent }] of this.#before) {
      if (claims <= MOST_CLAIMS) return;
      if (sent > 0) continue;
      this.#before.delete(id);
      claims--;
    }
  }

  #list(beyond: ConversationId | null): void {
    this.#listing = true;
    this.#listFailed = false;
    if (beyond === null) this.#again = false;
    this.#beyond = null;
    this.#host.list(this.#generation, beyond);
  }

  #mark(conversationId: ConversationId): void {
    const behind = this.#behind.get(conversationId);
    if (behind !== undefined) behind.dirty = true;
    else {
      const claimed = this.#before.get(conversationId)?.acked ?? null;
      this.#behind.set(conversationId, { reading: false, dirty: false, claimed });
    }
  }

  #notBehind(conversationId: ConversationId): void {
    this.#behind.delete(conversationId);
    // A map keeps its room when it is empty; an idle socket need not.
    if (this.#behind.size === 0) this.#behind = new Map();
  }

  /** Starts what can be started, and says `caught_up` once nothing is left. */
  #pump(): void {
    if (this.#failed) return;
    if (this.#open) {
      for (const [id, behind] of this.#behind) {
        if (this.#reads >= READS_AT_ONCE) return;
        if (behind.reading) continue;
        behind.reading = true;
        behind.dirty = false;
        this.#reads++;
        const cursor = this.#cursors.get(id);
        this.#host.read(this.#generation, id, cursor?.sent ?? behind.claimed, cursor?.sentAt ?? null);
      }
    }
    if (this.#behind.size > 0 || this.#listing) return;
    if (this.#beyond !== null) return this.#list(this.#beyond);
    if (!this.#live) {
      this.#live = true;
      this.#send({ type: "caught_up" });
      this.#host.caughtUp();
    }
    if (this.#again) this.#list(null);
  }

  #sendPage(conversationId: ConversationId, behind: Behind, page: Page): void {
    const cursor = this.#cursorAt(conversationId, behind, page);
    for (const entry of page.entries) {
      if (entry.seq <= cursor.sent) continue; // a receipt stood for it meanwhile
      if (!this.#open) return; // full, or closed: stays behind; read again from `sent`
      if (entry.seq !== cursor.sent + 1) throw new Error(`Page has a gap: ${cursor.sent} then ${entry.seq}`);
      this.#push(cursor, entry.seq, entry.createdAt, this.#host.encodeEvent(entry));
    }
    if (cursor.sent < page.end || behind.dirty) return;
    this.#notBehind(conversationId);
    if (page.leftSeq === null || cursor.sent >= page.leftSeq) return;
    this.#send({ type: "conversation_left", conversation_id: conversationId, left_seq: page.leftSeq });
    this.#sent(cursor, page.leftSeq, null);
    this.#mark(conversationId); // the account may have come again later: that is another interval
  }

  /** The cursor that a page continues; says `truncated` where what lay between is gone [RES-4]. */
  #cursorAt(conversationId: ConversationId, behind: Behind, page: Page): Cursor {
    let cursor = this.#cursors.get(conversationId);
    if (cursor === undefined) {
      cursor = { sent: page.after, sentAt: null, acked: page.after, pushed: page.after };
      this.#cursors.set(conversationId, cursor);
      if (behind.claimed !== null) this.#host.acknowledged(conversationId, page.after, null, true);
    }
    if (page.truncatedBefore !== null && page.after >= cursor.sent) {
      this.#send({ type: "truncated", conversation_id: conversationId, truncated_before: page.truncatedBefore });
      // Nothing is missed below the mark, so nothing below it waits for an acknowledgement either.
      this.#unacknowledged -= cursor.sent - cursor.acked;
      cursor.sent = page.after;
      cursor.acked = page.after;
    }
    return cursor;
  }

  #push(cursor: Cursor, seq: number, at: number, text: string): void {
    // What was not taken leaves the cursor where it is, which recovers it on the next socket.
    if (!this.#host.send(text)) return;
    cursor.pushed = seq;
    this.#sent(cursor, seq, at);
  }

  #sent(cursor: Cursor, seq: number, at: number | null): void {
    this.#unacknowledged += seq - cursor.sent;
    cursor.sent = seq;
    cursor.sentAt = at;
    if (this.#unacknowledged >= LIMITS.unacknowledgedEvents && this.fullSince === null)
      this.fullSince = this.#host.now();
  }

  #send(frame: ServerFrame): void {
    this.#host.send(this.#host.encode(frame));
  }
}
