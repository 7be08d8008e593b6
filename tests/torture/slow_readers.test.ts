/**
 * A group in which everybody reads as slowly as people and networks do, while several speak at once: some devices
 * acknowledge nothing until they must, some stop reading and go on, some come and go. Whatever way an event takes,
 * from memory, from what was kept or from the log: every socket is given every seq once, rising by one [P2] [P4].
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type ConversationId, LIMITS } from "../../src/protocol/mod.ts";
import { placed, range, socketUrl } from "../spec/support.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";

const STARTING_MS = 60_000;
const LONGEST_MS = 240_000;
/** So many that their events are gathered; see `fan_out.ts`. */
const PEOPLE = 36;
const SPEAKERS = 4;
/** Each says so much: together more than two windows. */
const MESSAGES = 300;
const TEXT = "x".repeat(2_000);

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
}, STARTING_MS);
afterAll(() => server[Symbol.asyncDispose](), STARTING_MS);

test(
  "every socket of a busy group is given every seq once, however slowly it reads",
  async () => {
    const people: Person[] = [];
    while (people.length < PEOPLE) people.push(...(await Promise.all([1, 2, 3, 4].map(() => server.person()))));
    const [owner, ...others] = people;
    if (owner === undefined) throw new Error("Make people first");
    const id = await owner.group(others);
    const last = 1 + SPEAKERS * MESSAGES;
    using all = new DisposableStack();
    const speakers = await live(people.slice(0, SPEAKERS), all);
    const quick = await live(people.slice(SPEAKERS, 16), all);
    const lazy = await live(people.slice(16, 26), all);
    const comers = people.slice(26, 30);
    const stuck: RawSocket[] = [];
    for (const { token } of people.slice(30)) {
      const socket = all.use(await RawSocket.open(socketUrl(server), token));
      await socket.next((frame) => frame.type === "caught_up");
      socket.stopReading();
      stuck.push(socket);
    }

    const reading = [...speakers, ...quick].map((peer) => readOn(peer, id, last, 8));
    const speaking = speakers.map((peer, i) => speak(peer, id, `${i}`));
    const coming = comers.map((person) => comeAndGo(person, id, last));
    const waking = stuck.map((socket) => wake(socket, id, last));
    await Promise.all(speaking);
    // They were sent a window and no more; then they read on from where they stopped.
    for (const peer of lazy) {
      await peer.until((frames) => placed(frames, id).length >= LIMITS.unacknowledgedEvents - 1);
      expect(placed(peer.frames, id).length).toBeLessThanOrEqual(LIMITS.unacknowledgedEvents);
    }
    await Promise.all([...reading, ...lazy.map((peer) => readOn(peer, id, last, 100)), ...coming, ...waking]);
    for (const peer of [...speakers, ...quick, ...lazy]) expect(placed(peer.frames, id)).toEqual(range(1, last));
  },
  LONGEST_MS,
);

async function live(people: readonly Person[], all: DisposableStack): Promise<Peer[]> {
  return Promise.all(people.map(async (person) => all.use(await person.live())));
}

/** Says everything, a few messages at a time. */
async function speak(peer: Peer, id: ConversationId, name: string): Promise<void> {
  for (let i = 0; i < MESSAGES; i += 10) {
    const said = range(i, i + 9).map((n) => peer.post(id, `${name} ${n} ${TEXT}`));
    await peer.until((frames) => {
      const receipts = frames.slice(-2_000).filter((frame) => frame.type === "receipt");
      return receipts.some((frame) => frame.id === said.at(-1));
    });
  }
}

/** Acknowledges every few entries until all have come. */
async function readOn(peer: Peer, id: ConversationId, last: number, every: number): Promise<void> {
  for (let acked = 0; acked < last; ) {
    const next = Math.min(last, acked + every);
    await peer.until((frames) => upTo(frames, id) >= next);
    acked = upTo(peer.frames, id);
    peer.acknowledge(id, acked);
  }
}

/** Reads some, goes, and comes back as the same device until all has come. */
async function comeAndGo(person: Person, id: ConversationId, last: number): Promise<void> {
  const given: number[] = [];
  while (given.length < last) {
    using peer = await person.live();
    const before = given.length;
    await peer.until((frames) => upTo(frames, id) >= Math.min(last, before + 150));
    const seqs = placed(peer.frames, id);
    // What was not acknowledged would come again; all of it was, and reached the database when the socket closed.
    expect(seqs).toEqual(range(before + 1, before + seqs.length));
    given.push(...seqs);
    peer.acknowledge(id, given.length);
    await peer.settled();
    await peer.close();
  }
  expect(given).toEqual(range(1, last));
}

/** Reads on once much was said, a little at a time, and then all. */
async function wake(socket: RawSocket, id: ConversationId, last: number): Promise<void> {
  socket.readOn();
  let acked = 0;
  while (acked < last) {
    await socket.next((frame) => {
      const { conversation_id, seq } = frame as Frame;
      return conversation_id === id && seq >= Math.min(last, acked + 200);
    });
    socket.stopReading();
    const seqs = placed(
      socket.texts.map((text) => JSON.parse(text)),
      id,
    );
    expect(seqs).toEqual(range(1, seqs.length));
    acked = seqs.length;
    socket.send({ type: "message_ack", conversation_id: id, seq: acked });
    socket.readOn();
  }
}

/** The highest seq that came; they come in order. */
function upTo(frames: readonly Frame[], id: ConversationId): number {
  for (let i = frames.length - 1; i >= 0; i--) {
    const frame = frames[i];
    const isEntry = ["message", "membership"].includes(frame.type) || frame.in_order === true;
    if (isEntry && frame.conversation_id === id) return frame.seq;
  }
  return 0;
}
