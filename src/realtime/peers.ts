/**
 * What a node knows of the others from their messages and beats: whether something of theirs was
 * lost on its way here, and whether they can still be heard. Time is an argument.
 *
 * - Messages from one node to another are numbered. A number that does not follow, or a beat that
 *   speaks of more messages than came, means that hints were lost.
 * - A node that falls silent may have committed what it could not tell any more: that is a doubt,
 *   and as long as it might still be at work behind a broken network every moment is one. After
 *   five minutes it is forgotten, and only the slow comparison of heads remains.
 * - A node that says goodbye has told everything, but what it said last may have been lost with
 *   the connection: so its end is a doubt too, once.
 */
import type { NodeId } from "./bus.ts";

/** Milliseconds without a beat after which a node counts as silent; it beats every second. */
export const SILENT_MS = 2_200;
const FORGET_MS = 5 * 60_000;

interface Peer {
  /** When it was heard last (ms). */
  heardAt: number;
  /** The number of its last message to us. */
  received: number;
  silent: boolean;
}

/** See the head of this file. */
export class Peers {
  readonly #peers = new Map<NodeId, Peer>();
  /** Messages sent to each node, and hints that could not be sent: the receiver misses them the same way. */
  readonly #sent = new Map<NodeId, number>();

  /** Whether some node that may be at work is not heard. */
  get silent(): boolean {
    for (const peer of this.#peers.values()) if (peer.silent) return true;
    return false;
  }

  /** How many nodes are known beside this one. */
  get size(): number {
    return this.#peers.size;
  }

  /** Whether a node was ever heard. */
  knows(node: NodeId): boolean {
    return this.#peers.has(node);
  }

  /** The number of the next message to a node. */
  next(to: NodeId): number {
    const number = (this.#sent.get(to) ?? 0) + 1;
    this.#sent.set(to, number);
    return number;
  }

  /** Nobody knows whom hints were for: every node misses a message. */
  missed(): void {
    for (const node of this.#peers.keys()) this.next(node);
  }

  /** What a beat tells: how many messages each node was sent. */
  sent(): Record<NodeId, number> {
    return Object.fromEntries(this.#sent);
  }

  /** A message came; true where others before it were lost. */
  message(from: NodeId, number: number, now: number): boolean {
    const peer = this.#heard(from, now);
    const lost = number !== peer.received + 1;
    peer.received = number;
    return lost;
  }

  /** A beat came, which says how many messages were sent here; true where some were lost. */
  beat(from: NodeId, sent: number, now: number): boolean {
    const peer = this.#heard(from, now);
    const lost = sent !== peer.received;
    peer.received = sent;
    return lost;
  }

  /** A node said goodbye. */
  ended(node: NodeId): void {
    this.#forget(node);
  }

  /** Looks at the time; true where a node has fallen silent since the last look. */
  check(now: number): boolean {
    let fell = false;
    for (const [node, peer] of this.#peers) {
      const silentFor = now - peer.heardAt;
      if (silentFor >= FORGET_MS) this.#forget(node);
      else if (silentFor >= SILENT_MS && !peer.silent) {
        peer.silent = true;
        fell = true;
      }
    }
    return fell;
  }

  #heard(from: NodeId, now: number): Peer {
    let peer = this.#peers.get(from);
    if (peer === undefined) {
      peer = { heardAt: now, received: 0, silent: false };
      this.#peers.set(from, peer);
    }
    peer.heardAt = now;
    peer.silent = false;
    return peer;
  }

  #forget(node: NodeId): void {
    this.#peers.delete(node);
    this.#sent.delete(node);
  }
}
