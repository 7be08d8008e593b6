/**
 * Where a socket stands, in what outlives a start of its feed: what it was sent of each conversation, what it
 * acknowledged, and what its device claimed.
 */
import type { ConversationId } from "../protocol/mod.ts";

/** Where a socket stands in one conversation: what outlives a start of its feed. */
export interface Standing {
  /** The highest seq that this socket was ever sent. */
  readonly sent: number;
  readonly acked: number;
  /** Whether entries after `acked` are due, whatever the server's own cursor says. */
  readonly due: boolean;
}

/** Claims of a device that wait to be looked at; of more, the oldest are forgotten, and the server's cursors count. */
const MOST_CLAIMS = 10_000;

/** See the head of this file. */
export class Standings implements Iterable<[ConversationId, Standing]> {
  readonly #standings: Map<ConversationId, Standing>;

  constructor(standings: Iterable<readonly [ConversationId, Standing]>) {
    this.#standings = new Map(standings);
  }

  /** Where the socket stood in a conversation. */
  get(id: ConversationId): Standing | undefined {
    return this.#standings.get(id);
  }

  /** The device says where it stands; `null` says nothing. */
  claim(id: ConversationId, acked: number | null): void {
    if (acked !== null) this.#standings.set(id, { sent: this.get(id)?.sent ?? 0, acked, due: true });
  }

  /** Notes where the socket stands now; what it was ever sent is never less. */
  note(id: ConversationId, { sent, acked, due }: Standing): void {
    this.#standings.set(id, { sent: Math.max(sent, this.get(id)?.sent ?? 0), acked, due });
  }

  /** What was sent before the last start, and comes again, may be acknowledged meanwhile; false where it was not. */
  acknowledge(id: ConversationId, seq: number): boolean {
    const before = this.get(id);
    if (before === undefined || seq > before.sent) return false;
    this.#standings.set(id, { ...before, acked: Math.max(before.acked, seq) });
    return true;
  }

  /** Forgets a conversation. */
  forget(id: ConversationId): void {
    this.#standings.delete(id);
  }

  /** Forgets the oldest claims of too many. */
  trim(): void {
    let claims = 0;
    for (const { sent } of this.#standings.values()) if (sent === 0) claims++;
    for (const [id, { sent }] of this.#standings) {
      if (claims <= MOST_CLAIMS) return;
      if (sent > 0) continue;
      this.#standings.delete(id);
      claims--;
    }
  }

  [Symbol.iterator](): MapIterator<[ConversationId, Standing]> {
    return this.#standings.entries();
  }

  /** What there is, for the feed that comes after. */
  get all(): Map<ConversationId, Standing> {
    return this.#standings;
  }
}
