/** Messages that go on while something breaks, and what every reader was given of them. */
import { expect } from "bun:test";
import type { ConversationId } from "../../src/protocol/mod.ts";
import { range } from "../spec/support.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

/** How late an entry may come while something is broken (ms): two seconds by the rule, and what a busy machine adds. */
export const MOST_LATE_MS = 2_000 + BUSY_MS;
const PACE_MS = 12;
const ACKNOWLEDGE_EVERY = 40;

/** Watches what a socket is given of one conversation: in order, without a gap, when. */
export class Reader {
  readonly peer: Peer;
  readonly #id: ConversationId;
  /** When each seq came (ms). */
  readonly at = new Map<number, number>();
  /** What should not have happened, in words. */
  readonly faults: string[] = [];
  #last: number | null = null;

  constructor(peer: Peer, id: ConversationId) {
    this.peer = peer;
    this.#id = id;
    for (const frame of peer.frames) this.#take(frame);
    peer.socket.addEventListener("message", (event) => this.#take(JSON.parse(String(event.data))));
  }

  /** The highest seq so far. */
  get last(): number {
    return this.#last ?? 0;
  }

  #take(frame: Frame): void {
    if (frame.conversation_id !== this.#id) return;
    const stands = ["message", "membership"].includes(frame.type) || frame.in_order === true;
    if (!stands) return;
    if (this.#last !== null && frame.seq !== this.#last + 1) this.faults.push(`${frame.seq} after ${this.#last}`);
    this.#last = frame.seq;
    this.at.set(frame.seq, performance.now());
    if (frame.seq % ACKNOWLEDGE_EVERY === 0) this.peer.acknowledge(this.#id, frame.seq);
  }
}

/** What was sent and acknowledged. */
export interface Sent {
  /** When each seq was acknowledged to its sender (ms). */
  readonly at: ReadonlyMap<number, number>;
  readonly top: number;
}

/** Everybody sends, one message after the other, until `work` is over; then waits for the last receipts. */
export async function sendDuring(
  senders: readonly Peer[],
  id: ConversationId,
  work: () => Promise<unknown>,
): Promise<Sent> {
  let over = false;
  const at = new Map<number, number>();
  const send = async (peer: Peer, name: number): Promise<void> => {
    for (let i = 0; !over; i++) {
      const receipt = await peer.say(id, `${name}/${i}`);
      if (receipt.type !== "receipt") throw new Error(`Refused: ${JSON.stringify(receipt)}`);
      at.set(receipt.seq, performance.now());
      await new Promise((resolve) => setTimeout(resolve, PACE_MS)); // a pace, and no wait for anything
    }
  };
  const sending = senders.map(send);
  try {
    await work();
  } finally {
    over = true;
    await Promise.all(sending);
  }
  return { at, top: Math.max(...at.keys()) };
}

/** Waits until `count` more messages were stored while traffic goes on. */
export async function whileSending(reader: Reader, count: number): Promise<void> {
  const goal = reader.last + count;
  await waitUntil(`${count} more messages came`, () => reader.last >= goal);
}

/** Every reader was given every entry up to the top, in order, once, and none too late. */
export async function expectAllDelivered(readers: readonly Reader[], sent: Sent): Promise<void> {
  for (const reader of readers) {
    await waitUntil("everything came", () => reader.last >= sent.top, MOST_LATE_MS);
    expect(reader.faults).toEqual([]);
    const first = Math.min(...reader.at.keys());
    expect([...reader.at.keys()]).toEqual(range(first, reader.last));
    const late = Math.max(...[...sent.at].map(([seq, at]) => (reader.at.get(seq) ?? Number.POSITIVE_INFINITY) - at));
    expect(late).toBeLessThan(MOST_LATE_MS);
  }
}
