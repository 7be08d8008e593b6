/**
 * Which entries of the log are new, which are missing, and what may be acknowledged. A state
 * machine without time, network or store: the client asks it about every entry and tells it
 * what the store holds.
 *
 * - A conversation's cursor is the highest seq that this device took; only `cursor + 1` is next.
 * - A conversation without a cursor starts at the first entry that comes [RES-6].
 * - A gap is closed by `resume` from the own cursor [RES-3]; where that brought nothing, by pages
 *   over HTTP, whose first entry is then the next one by the server's own word.
 * - Acknowledged is only what is stored *and* was sent on this socket [ACK-1, ACK-2].
 */
import type { z } from "zod";
import { type AccountId, type ConversationId, type EventFrame, LIMITS, type ResumeFrame } from "../protocol/mod.ts";

/** What to do with an entry: store it, leave it out, or leave it out and repair. */
export type Judgement = "next" | "duplicate" | "gap";

/** How a gap is to be closed: see {@link Sync}. */
export interface Repair {
  readonly conversationId: ConversationId;
  /** The own cursor: what is missing comes after it. */
  readonly after: number;
  readonly how: "resume" | "page";
}

/** What an own receipt that stands for its event tells of the log [MSG-3]. */
export type LogPlace = Pick<EventFrame, "conversation_id" | "seq">;

/** Keeps the cursors of one device. */
export class Sync {
  /** What was taken, in the order of the log; the store may be a moment behind. */
  readonly #taken: Map<ConversationId, number>;
  /** What the store holds of entries that came since the client started. */
  readonly #stored = new Map<ConversationId, number>();
  /** The highest seq sent on this socket. */
  readonly #sent = new Map<ConversationId, number>();
  readonly #acknowledged = new Map<ConversationId, number>();
  readonly #toAcknowledge = new Set<ConversationId>();
  /** Conversations with a gap, and the cursor at which each repair was tried last. */
  readonly #gaps = new Map<ConversationId, { triedAt: number; how: Repair["how"] } | null>();

  /** Starts from what the store holds. */
  constructor(cursors: ReadonlyMap<ConversationId, number>) {
    this.#taken = new Map(cursors);
    for (const [conversationId, seq] of cursors) this.#stored.set(conversationId, seq);
  }

  /** The highest seq taken of a conversation. */
  cursor(conversationId: ConversationId): number | undefined {
    return this.#taken.get(conversationId);
  }

  /** A new socket, or a server that starts again on this one [RES-5]: nothing counts as sent. */
  restart(): void {
    this.#sent.clear();
    this.#acknowledged.clear();
    this.#toAcknowledge.clear();
    this.#gaps.clear();
  }

  /** The cursors to resume from, in as many frames as the limit asks for. */
  resumeFrames(): ResumeCursors[] {
    const all = [...this.#taken];
    const frames: ResumeCursors[] = [];
    for (let i = 0; i < all.length; i += LIMITS.resumeCursors) {
      frames.push(Object.fromEntries(all.slice(i, i + LIMITS.resumeCursors)));
    }
    return frames;
  }

  /** Judges an entry that came over the socket, and takes it if it is the next. `self`: the own account. */
  take(event: LogPlace | EventFrame, self: AccountId): Judgement {
    const { conversation_id: conversationId, seq } = event;
    this.#sent.set(conversationId, Math.max(seq, this.#sent.get(conversationId) ?? 0));
    const cursor = this.#taken.get(conversationId);
    if (cursor === undefined || seq === cursor + 1 || (seq > cursor && entersAnew(event, self))) {
      this.#taken.set(conversationId, seq);
      this.#gaps.delete(conversationId);
      return "next";
    }
    if (seq <= cursor) {
      // The server sent it again because it does not know our acknowledgement: say it again.
      if (seq <= (this.#stored.get(conversationId) ?? 0)) this.#toAcknowledge.add(conversationId);
      return "duplicate";
    }
    if (!this.#gaps.has(conversationId)) this.#gaps.set(conversationId, null);
    return "gap";
  }

  /** An entry was sent whose content is not known here: it has to come again. */
  miss(conversationId: ConversationId, seq: number): void {
    this.#sent.set(conversationId, Math.max(seq, this.#sent.get(conversationId) ?? 0));
    if (!this.#taken.has(conversationId)) this.#taken.set(conversationId, seq - 1);
    if (seq > (this.#taken.get(conversationId) ?? 0) && !this.#gaps.has(conversationId)) this.#gaps.set(conversationId, null);
  }

  /** Takes the entries of a page that was read after the own cursor; gives those that are new. */
  takePage(page: readonly EventFrame[]): EventFrame[] {
    const fresh: EventFrame[] = [];
    for (const event of page) {
      if (event.seq <= (this.#taken.get(event.conversation_id) ?? 0)) continue;
      this.#taken.set(event.conversation_id, event.seq);
      fresh.push(event);
    }
    return fresh;
  }

  /** Takes the server's word that nothing below `seq` will come [RES-4]; gives the cursor if it moved. */
  truncate(conversationId: ConversationId, seq: number): number | undefined {
    const cursor = seq - 1;
    if (cursor <= (this.#taken.get(conversationId) ?? 0)) return undefined;
    this.#taken.set(conversationId, cursor);
    return cursor;
  }

  /** The store holds everything up to `seq`. */
  stored(conversationId: ConversationId, seq: number): void {
    this.#stored.set(conversationId, seq);
    this.#toAcknowledge.add(conversationId);
  }

  /** How many conversations have something to acknowledge. */
  get acknowledgeable(): number {
    return this.#toAcknowledge.size;
  }

  /** What to acknowledge now; each is given once. */
  acknowledge(): { readonly conversationId: ConversationId; readonly seq: number }[] {
    const due: { conversationId: ConversationId; seq: number }[] = [];
    for (const conversationId of this.#toAcknowledge) {
      const seq = Math.min(this.#stored.get(conversationId) ?? 0, this.#sent.get(conversationId) ?? 0);
      if (seq <= (this.#acknowledged.get(conversationId) ?? 0)) continue;
      this.#acknowledged.set(conversationId, seq);
      due.push({ conversationId, seq });
    }
    this.#toAcknowledge.clear();
    return due;
  }

  /**
   * Gaps to close now; each try is given once. A new gap is closed by `resume`; with `caughtUp` also
   * those are looked at that a `resume` was sent for: where it brought nothing, by `page`.
   */
  repairs(caughtUp: boolean): Repair[] {
    const due: Repair[] = [];
    for (const [conversationId, tried] of this.#gaps) {
      if (tried !== null && (!caughtUp || tried.how === "page")) continue;
      const after = this.#taken.get(conversationId) ?? 0;
      const how = tried?.triedAt === after ? "page" : "resume";
      this.#gaps.set(conversationId, { triedAt: after, how });
      due.push({ conversationId, after, how });
    }
    return due;
  }

  /** A repair by pages has ended, well or not: the next gap starts with `resume` again. */
  repaired(conversationId: ConversationId): void {
    this.#gaps.delete(conversationId);
  }
}

/** The cursors of one `resume` frame. */
export type ResumeCursors = z.infer<typeof ResumeFrame>["cursors"];

/** Who was away from a conversation comes back at a higher seq: their own entry is no gap [RES-7]. */
function entersAnew(event: LogPlace | EventFrame, self: AccountId): boolean {
  if (!("type" in event) || event.type !== "membership") return false;
  return event.change !== "left" && event.change !== "removed" && event.user_ids.includes(self);
}
