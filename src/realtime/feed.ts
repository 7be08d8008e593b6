/**
 * What one socket is sent of the logs.
 *
 * For each conversation that was touched the feed knows the seq it sent last (`sent`) and the one
 * that was acknowledged (`acked`). An event goes out only if it is the next one; in every other case
 * the conversation is behind. So nothing is skipped, whatever hints are lost, doubled or late:
 *
 *   unknown ──event──▶ behind ──page, or what was kept──▶ caught up ──next event──▶ caught up
 *                        ▲                                    │
 *                        └────── gap, full socket, full window, doorbell
 *
 * - What is offered meanwhile is kept (`offered.ts`). When the socket goes on, and what was kept begins
 *   with the next seq, it is sent from there and no page is read; a page is read until it meets it.
 * - An event that comes before the one below it, as from two senders at once, waits a moment for that.
 * - A doorbell says that the log knows more than what was offered, or other: then pages are read.
 *
 * A feed begins anew after `resume` and after a failure. What the socket was sent and what it
 * acknowledged outlives that as its standing: so only what was not acknowledged comes again, a
 * cursor that the device set lower stays lower, and acknowledgements under way are still good.
 *
 * The feed belongs to its user actor and is touched by nobody else; reads come back as messages of
 * that actor, with the generation they were started in, and those of an older one are dropped.
 */
import { BEHIND_LIMIT, type BehindRow, type Page } from "../conversations/mod.ts";
import { type ConversationId, LIMITS, type ServerFrame } from "../protocol/mod.ts";
import { type Behind, BehindIn } from "./behind.ts";
import type { FeedHost, Generation } from "./feed_host.ts";
import type { OfferedEvent } from "./kept_events.ts";
import { Offered } from "./offered.ts";
import { type Standing, Standings } from "./standings.ts";

interface Cursor {
  sent: number;
  /** When the entry at `sent` was stored (ms), or `null`. */
  sentAt: number | null;
  acked: number;
  /** The highest seq that was given by its event, and not by a receipt. */
  pushed: number;
}

const READS_AT_ONCE = 4;
/** Events that wait for one below them; more are a sign that it will not come. */
const MOST_EARLY = 64;

/** Starts of feeds so far. */
let generations = 0;

/** See the head of this file. */
export class Feed {
  readonly #host: FeedHost;
  /** Standings at the last start. */
  #before: Standings;
  #cursors = new Map<ConversationId, Cursor>();
  readonly #behind = new BehindIn();
  readonly #offered: Offered;
  /** An event waits for one below it, and {@link waited} will come. */
  #waits = false;
  #generation: Generation = 0;
  #live = false;
  #listing = false;
  /** The first list has come: before it, acknowledgements of the socket before this one may not have been written. */
  #begun = false;
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
    this.#offered = new Offered(host.kept);
    this.#before = new Standings(before);
  }

  /** Where the socket stands, for the feed that comes after this one. */
  standing(): Map<ConversationId, Standing> {
    return this.#standings().all;
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
    this.#before = this.#standings();
    for (const [id, acked] of claims) this.#before.claim(id, acked);
    this.#before.trim();
    this.#generation = ++generations;
    this.#cursors = new Map();
    this.#behind.clear();
    this.#offered.clear();
    for (const [id, { due }] of this.#before) if (due) this.#mark(id);
    [this.#live, this.#begun, this.#failed, this.#listFailed] = [false, false, false, false];
    [this.#reads, this.#unacknowledged] = [0, 0];
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
    [this.#listing, this.#begun] = [false, true];
    for (const { conversationId, top } of rows) {
      if (top > this.#known(conversationId)) this.#mark(conversationId);
    }
    this.#beyond = rows.length < BEHIND_LIMIT ? null : (rows.at(-1)?.conversationId ?? null);
    this.#pump();
  }

  /** A page came; `null` where the account never was a member. */
  pageRead(generation: Generation, conversationId: ConversationId, page: Page | null): void {
    if (generation !== this.#generation) return;
    this.#reads--;
    const behind = this.#behind.get(conversationId);
    if (behind === undefined || page === null) {
      this.#notBehind(conversationId);
      this.#before.forget(conversationId); // a claim of what is not the caller's would stay for ever
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
    if (behind !== undefined) [behind.reading, behind.dirty] = [false, true];
  }

  /** Goes on after a failed read. */
  retry(): void {
    if (!this.#failed) return;
    this.#failed = false;
    // Where the failed list began is not kept: the first one again names whatever is still behind.
    if (this.#listFailed && !this.#listing) this.#list(null);
    this.#pump();
  }

  /** A committed entry. */
  offer(event: OfferedEvent): void {
    const { conversationId, seq } = event;
    const cursor = this.#cursors.get(conversationId);
    if (cursor !== undefined && seq <= cursor.sent) return;
    if (cursor === undefined || seq !== cursor.sent + 1 || !this.#open) return this.#later(event, cursor);
    this.#push(cursor, seq, event.at, event.text);
    if (this.#behind.get(conversationId) === undefined) return;
    this.#goOn(conversationId); // it may be what others waited for
    this.#pump();
  }

  /** There may be something up to `seq`, or it may not be as it was offered. */
  doorbell(conversationId: ConversationId, seq: number): void {
    const cursor = this.#cursors.get(conversationId);
    if (cursor !== undefined && seq <= cursor.sent) return;
    this.#offered.drop(conversationId);
    this.#mark(conversationId);
    this.#pump();
  }

  /** What came early has waited long enough for what is below it. */
  waited(): void {
    this.#waits = false;
    for (const [id, { from }] of this.#offered.runs) {
      const behind = this.#behind.get(id);
      if (behind !== undefined && !behind.reading && from > (this.#cursors.get(id)?.sent ?? 0) + 1) behind.dirty = true;
    }
    this.#pump();
  }

  /** A receipt is about to be sent; true where it stands for the event [MSG-3]. */
  receipt(conversationId: ConversationId, seq: number, at: number): boolean {
    const cursor = this.#cursors.get(conversationId);
    if (cursor === undefined || this.#behind.get(conversationId) !== undefined || seq !== cursor.sent + 1) return false;
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
    if (cursor === undefined || seq > cursor.sent) {
      if (!this.#before.acknowledge(conversationId, seq)) return false;
      this.#host.acknowledged(conversationId, seq, null, true);
      return true;
    }
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

  #standings(): Standings {
    const standings = new Standings(this.#before);
    for (const [id, { claimed }] of this.#behind) standings.claim(id, claimed);
    for (const [id, { sent, acked }] of this.#cursors) {
      standings.note(id, { sent, acked, due: acked < sent || this.#behind.get(id) !== undefined });
    }
    return standings;
  }

  get #open(): boolean {
    return this.fullSince === null && !this.#host.blocked;
  }

  #list(beyond: ConversationId | null): void {
    this.#listing = true;
    this.#listFailed = false;
    if (beyond === null) this.#again = false;
    this.#beyond = null;
    this.#host.list(this.#generation, beyond);
  }

  /** The log is to be read. */
  #mark(conversationId: ConversationId): void {
    this.#toBehind(conversationId).dirty = true;
  }

  #toBehind(id: ConversationId): Behind {
    return this.#behind.get(id) ?? this.#behind.add(id, this.#before.get(id)?.acked ?? null);
  }

  #notBehind(conversationId: ConversationId): void {
    this.#behind.delete(conversationId);
    this.#offered.drop(conversationId);
  }

  /** An event that cannot go now: it is not the next one, or the socket takes none. */
  #later(event: OfferedEvent, cursor: Cursor | undefined): void {
    const { conversationId, seq } = event;
    const behind = this.#toBehind(conversationId);
    behind.late = true;
    // While a page is being read nothing is asked for: it may show what is missing.
    if (!this.#offered.add(event) || (cursor === undefined && !behind.reading)) behind.dirty = true;
    else if (cursor !== undefined && !behind.reading && this.#isEarly(conversationId, cursor)) {
      if (seq - cursor.sent > MOST_EARLY) behind.dirty = true;
      else if (!this.#waits) {
        this.#waits = true;
        this.#host.wait();
      }
    }
    if (behind.dirty) this.#pump();
  }

  /** Whether what was offered does not begin with the next seq. */
  #isEarly(conversationId: ConversationId, cursor: Cursor): boolean {
    const run = this.#offered.run(conversationId);
    return run !== undefined && run.from > cursor.sent + 1;
  }

  /** The seq up to which nothing need be read: it was sent, or is kept and comes next. */
  #known(conversationId: ConversationId): number {
    const cursor = this.#cursors.get(conversationId);
    if (cursor === undefined) return -1;
    const run = this.#offered.run(conversationId);
    return run === undefined || this.#isEarly(conversationId, cursor) ? cursor.sent : Math.max(cursor.sent, run.to);
  }

  /** Sends what was kept, as far as the socket takes it; and ends being behind where nothing is left. */
  #goOn(conversationId: ConversationId): void {
    const cursor = this.#cursors.get(conversationId);
    const behind = this.#behind.get(conversationId);
    if (cursor === undefined || behind === undefined) return;
    while (this.#open) {
      const next = this.#offered.next(conversationId, cursor.sent + 1);
      if (next === undefined) break;
      this.#push(cursor, next.seq, next.at, next.text);
    }
    const run = this.#offered.run(conversationId);
    if (run !== undefined && cursor.sent >= run.to) this.#offered.drop(conversationId);
    else if (run !== undefined && run.from <= cursor.sent + 1 && this.#open) behind.dirty = true; // kept no more
    if (behind.reading || behind.dirty || this.#offered.run(conversationId) !== undefined) return;
    this.#notBehind(conversationId);
  }

  /** Starts what can be started, and says `caught_up` once nothing is left. */
  #pump(): void {
    if (this.#open) for (const id of this.#offered.runs.keys()) this.#goOn(id);
    if (this.#failed || !this.#begun) return;
    if (this.#open) {
      for (const [id, behind] of this.#behind) {
        if (this.#reads >= READS_AT_ONCE) return;
        if (behind.reading || !behind.dirty) continue;
        [behind.reading, behind.dirty, behind.late] = [true, false, false];
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
    behind.reading = false;
    const cursor = this.#cursorAt(conversationId, behind, page);
    for (const entry of page.entries) {
      if (entry.seq <= cursor.sent) continue; // a receipt stood for it meanwhile, or it was offered
      if (!this.#open) break; // full, or closed: read again from `sent`
      if (entry.seq !== cursor.sent + 1) throw new Error(`Page has a gap: ${cursor.sent} then ${entry.seq}`);
      this.#push(cursor, entry.seq, entry.createdAt, this.#host.encodeEvent(entry));
    }
    const isOver = cursor.sent >= page.end;
    const wasDirty = behind.dirty;
    // Where the log is not over it is read on, unless what is missing was kept.
    if (!isOver && this.#known(conversationId) < page.end) behind.dirty = true;
    if (isOver && this.#isEarly(conversationId, cursor)) {
      if (behind.late) behind.dirty = true;
      else this.#offered.drop(conversationId); // the log, read after it was offered, does not show it
    }
    if (isOver && !wasDirty && page.leftSeq !== null && cursor.sent < page.leftSeq) {
      this.#send({ type: "conversation_left", conversation_id: conversationId, left_seq: page.leftSeq });
      this.#sent(cursor, page.leftSeq, null);
      behind.dirty = true; // the account may have come again later: that is another interval
    }
    this.#goOn(conversationId);
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
