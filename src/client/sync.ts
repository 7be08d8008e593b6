/**
 * Which entries of the log are new, which are missing, and what may be acknowledged. A state
 * machine without time, network or store: the client asks it about every entry and tells it
 * what the store holds.
 *
 * - A conversation's cursor is the highest seq that this device took; only `cursor + 1` is next.
 * - A conversation without a cursor starts at the first entry that comes [RES-6].
 * - A gap is closed by `resume` from the own cursors [RES-3]; where that brought nothing, by pages
 *   over HTTP, whose first entry is then the next one by the server's own word.
 * - Acknowledged is only what is stored *and* was sent on this socket [ACK-1, ACK-2].
 */
import type { z } from "zod";
import { type AccountId, type ConversationId, type EventFrame, LIMITS, type ResumeFrame } from "../protocol/mod.ts";

/** What to do with an entry: store it, leave it out, or leave it out and repair. */
export type Judgement = "next" | "duplicate" | "gap";

/** A gap to close by pages: what is missing comes after the seq `after`. */
export interface PageRepair {
  readonly conversationId: ConversationId;
  readonly after: number;
}

/** How gaps are to be closed: by one `resume` for all, or by pages for each. */
export interface Repairs {
  readonly resume: boolean;
  readonly pages: readonly PageRepair[];
}

/** The cursors of one `resume` frame. */
export type ResumeCursors = z.infer<typeof ResumeFrame>["cursors"];

/** How a gap was tried to be closed, and where the cursor stood then. */
type Gap = { readonly tried: "nothing" } | { readonly tried: "resume" | "pages"; readonly at: number };

/** Keeps the cursors of one device. */
export class Sync {
  /** What was taken, by the last movement; the store may be a moment behind. */
  readonly #taken: Map<ConversationId, number>;
  readonly #stored: Map<ConversationId, number>;
  /** The seq sent last on this socket; it falls when the server begins again. */
  readonly #sent = new Map<ConversationId, number>();
  readonly #acknowledged = new Map<ConversationId, number>();
  readonly #toAcknowledge = new Set<ConversationId>();
  readonly #gaps = new Map<ConversationId, Gap>();

  /** Starts from what the store holds. */
  constructor(cursors: ReadonlyMap<ConversationId, number>) {
    this.#taken = new Map(cursors);
    this.#stored = new Map(cursors);
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

  /**
   * The cursors to resume from: those that moved last, as many as a frame holds. A second frame
   * would replace the first; for the rest the server's cursors stand, and a gap shows where it is ahead.
   */
  resumeCursors(): ResumeCursors {
    return Object.fromEntries([...this.#taken].slice(-LIMITS.resumeCursors));
  }

  /** Judges an entry that came over the socket, and takes it if it is the next. `self`: the own account. */
  take(event: EventFrame, self: AccountId): Judgement {
    const { conversation_id: conversationId, seq } = event;
    this.#sent.set(conversationId, seq);
    const cursor = this.#taken.get(conversationId);
    if (cursor === undefined || seq === cursor + 1 || (seq > cursor && entersAnew(event, self))) {
      this.#move(conversationId, seq);
      return "next";
    }
    if (seq > cursor) {
      this.#notice(conversationId);
      return "gap";
    }
    // The server sent it again because it does not know our acknowledgement: say it again.
    if (seq <= (this.#stored.get(conversationId) ?? 0)) {
      this.#acknowledged.delete(conversationId);
      this.#toAcknowledge.add(conversationId);
    }
    return "duplicate";
  }

  /** An entry was sent whose content is not known here: it has to come again. */
  miss(conversationId: ConversationId, seq: number): void {
    this.#sent.set(conversationId, seq);
    const cursor = this.#taken.get(conversationId);
    if (cursor === undefined) this.#taken.set(conversationId, seq - 1);
    if (cursor === undefined || seq > cursor) this.#notice(conversationId);
  }

  /** Takes the entries of a page that was read after the own cursor; gives those that are new. */
  takePage(page: readonly EventFrame[]): EventFrame[] {
    const fresh: EventFrame[] = [];
    for (const event of page) {
      if (event.seq <= (this.#taken.get(event.conversation_id) ?? 0)) continue;
      this.#move(event.conversation_id, event.seq);
      fresh.push(event);
    }
    return fresh;
  }

  /** The server's word that nothing up to `seq` will come [RES-4, RES-7]. False where it is known already. */
  skip(conversationId: ConversationId, seq: number): boolean {
    this.#sent.set(conversationId, seq);
    if (seq <= (this.#taken.get(conversationId) ?? 0)) return false;
    this.#move(conversationId, seq);
    return true;
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
   * What is to be done about gaps now; each try is given once. A new gap asks for `resume`; with
   * `caughtUp` a gap whose `resume` did not move the cursor asks for pages.
   */
  repairs(caughtUp: boolean): Repairs {
    let resume = false;
    const pages: PageRepair[] = [];
    for (const [conversationId, gap] of this.#gaps) {
      const after = this.#taken.get(conversationId) ?? 0;
      if (gap.tried === "nothing" || (caughtUp && gap.at !== after)) {
        resume = true;
        this.#gaps.set(conversationId, { tried: "resume", at: after });
      } else if (gap.tried === "resume" && caughtUp) {
        pages.push({ conversationId, after });
        this.#gaps.set(conversationId, { tried: "pages", at: after });
      }
    }
    return { resume, pages };
  }

  /**
   * A repair by pages has ended. False where an entry beyond them was seen meanwhile and left out:
   * then only a new socket helps.
   */
  repaired(conversationId: ConversationId): boolean {
    this.#gaps.delete(conversationId);
    return (this.#sent.get(conversationId) ?? 0) <= (this.#taken.get(conversationId) ?? 0);
  }

  #move(conversationId: ConversationId, seq: number): void {
    this.#taken.delete(conversationId); // set again it goes to the end: see resumeCursors
    this.#taken.set(conversationId, seq);
    this.#gaps.delete(conversationId);
  }

  #notice(conversationId: ConversationId): void {
    if (!this.#gaps.has(conversationId)) this.#gaps.set(conversationId, { tried: "nothing" });
  }
}

/** Who was away from a conversation comes back at a higher seq: their own entry is no gap [RES-7]. */
function entersAnew(event: EventFrame, self: AccountId): boolean {
  if (event.type !== "membership") return false;
  return event.change !== "left" && event.change !== "removed" && event.user_ids.includes(self);
}
