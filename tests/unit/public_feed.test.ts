/** A feed and its sockets, where the other end and the log are in the test's hands. */
import { describe, expect, test } from "bun:test";
import type { ChannelPage } from "../../src/conversations/mod.ts";
import {
  type AccountId,
  type ConversationId,
  LIMITS,
  type LogEntry,
  newMessageId,
  toEventFrame,
  uuidv7,
} from "../../src/protocol/mod.ts";
import { PublicFeed } from "../../src/realtime/public_feed.ts";
import { PublicSocket } from "../../src/realtime/public_socket.ts";
import type { Frame } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";

/** A channel whose log holds what `say` puts there, and a feed of it. */
function channel() {
  const log: LogEntry[] = [];
  const id = uuidv7() as ConversationId;
  const state = { now: 0, reads: 0, gate: Promise.resolve() };
  const entry = (content: string, expiresAt: number | null): LogEntry => ({
    ...{ kind: "message", id: newMessageId(), conversationId: id, seq: log.length + 1, createdAt: 0, expiresAt },
    ...{ senderId: uuidv7() as AccountId, content: { message_type: "text", content } },
  });
  const read = async (after: number | null): Promise<ChannelPage> => {
    state.reads++;
    await state.gate;
    const from = after ?? Math.max(0, log.length - LIMITS.pageEvents);
    return { entries: log.slice(from, from + LIMITS.pageEvents), more: log.length > from + LIMITS.pageEvents };
  };
  const open = () =>
    new PublicFeed({
      ...{ id, channel: "news", name: "News", read, register: async () => {} },
      onFault: (error) => {
        throw error;
      },
      now: () => state.now,
      date: () => state.now,
    });
  /** Stores a message; `tell` hints at it, as the bus does. */
  const say = (content: string, expiresAt: number | null = null) => {
    const said = entry(content, expiresAt);
    log.push(said);
    return { tell: (feed: PublicFeed) => feed.offer(said.seq, JSON.stringify(toEventFrame(said))) };
  };
  return { log, state, open, say };
}

/** A socket whose outbound buffer is as full as the test says. */
function reader(feed: PublicFeed) {
  const frames: Frame[] = [];
  const state = { buffered: 0, code: null as number | null };
  const port = {
    send: (texts: readonly string[]) => {
      frames.push(...texts.map((text) => JSON.parse(text)));
      return true;
    },
    close: (code: number) => {
      state.code = code;
    },
    terminate: () => {},
    ping: () => {},
    buffered: () => state.buffered,
  };
  const deps = { heartbeatMs: 30_000, connectionTimeoutMs: 60_000, newRequestId: uuidv7, now: () => 0 };
  const told = { onFailure: () => {}, onClosed: () => {}, onGone: () => {} };
  const socket = new PublicSocket(port, { address: "", feed }, { ...deps, ...told });
  feed.readers.add(socket);
  const contents = () =>
    frames
      .flatMap((frame) => (frame.type === "page" ? frame.announcements : frame))
      .flatMap(({ content }) => content ?? []);
  return { socket, frames, state, contents };
}

describe("a feed", () => {
  test("sends the rest to a reader that was slow, once its buffer is empty", async () => {
    const { open, say } = channel();
    const feed = open();
    await feed.opened;
    const { socket, state, contents } = reader(feed);
    socket.begin();
    say("one").tell(feed);
    state.buffered = 1;
    say("two").tell(feed);
    for (let i = 0; i < 50; i++) say(`more ${i}`).tell(feed);
    expect(contents()).toEqual(["one", "two"]);
    state.buffered = 0;
    socket.drained();
    expect(contents()).toEqual(["one", "two", ...Array.from({ length: 50 }, (_, i) => `more ${i}`)]);
  });

  test("cuts a reader off that is further behind than what is kept", async () => {
    for (const [count, length] of [
      [LIMITS.publicRecent + 1, 1],
      [20, LIMITS.publicRecentChars / 15],
    ] as const) {
      const { open, say } = channel();
      const feed = open();
      await feed.opened;
      const { socket, state, contents } = reader(feed);
      socket.begin();
      state.buffered = 1;
      say("one").tell(feed);
      for (let i = 0; i < count; i++) say("x".repeat(length)).tell(feed);
      state.buffered = 0;
      socket.drained();
      expect(state.code).toBe(4508);
      expect(contents()).toEqual(["one"]);
    }
  });

  test("reads the log once for everybody who asks for the same page", async () => {
    const { open, say, state } = channel();
    for (let i = 0; i < 300; i++) say(String(i));
    const feed = open();
    await feed.opened;
    state.reads = 0;
    const readers = Array.from({ length: 1_000 }, () => reader(feed));
    for (const { socket } of readers) {
      socket.begin();
      socket.receive(JSON.stringify({ type: "subscribe", after_seq: 100 }));
    }
    await waitUntil("all have their page", () => readers.every(({ frames }) => frames.length === 2));
    expect(state.reads).toBe(1);
    for (const { contents } of readers.slice(0, 3)) expect(contents().slice(0, 2)).toEqual(["100", "101"]);
    // The latest are kept: nobody has to read for them.
    for (const { socket } of readers) socket.receive(JSON.stringify({ type: "subscribe", after_seq: 250 }));
    await waitUntil("all have that too", () => readers.every(({ frames }) => frames.length === 3));
    expect(state.reads).toBe(1);
  });

  test("loses and doubles nothing that is said while a page is read, or a hint is lost, late or double", async () => {
    const { open, say, state } = channel();
    for (let i = 0; i < 150; i++) say(String(i));
    const feed = open();
    await feed.opened;
    const { socket, frames, contents } = reader(feed);
    socket.begin();
    const gate = Promise.withResolvers<void>();
    state.gate = gate.promise;
    socket.receive(JSON.stringify({ type: "subscribe", after_seq: 40 }));
    const [first, second, third] = [say("150"), say("151"), say("152")];
    first.tell(feed);
    third.tell(feed); // before the one before it: the log is read
    gate.resolve();
    await waitUntil("the page came", () => frames.some(({ type }) => type === "page"));
    const page = frames.find(({ type }) => type === "page");
    expect(page.next).toBe(140);
    socket.receive(JSON.stringify({ type: "subscribe", after_seq: 140 }));
    await waitUntil("it goes on", () => contents().includes("152"));
    second.tell(feed);
    first.tell(feed);
    say("153").tell(feed);
    expect(contents()).toEqual(Array.from({ length: 114 }, (_, i) => String(40 + i)));
  });

  test("keeps nothing longer than it is told, and shows nothing that has expired", async () => {
    const { open, say, state, log } = channel();
    const feed = open();
    await feed.opened;
    say("old").tell(feed);
    state.now = 10;
    say("short", 20).tell(feed);
    say("new").tell(feed);
    const kept = () => feed.since(1)?.map(({ text }) => JSON.parse(text).content);
    expect(feed.since(0)).toHaveLength(3);
    feed.forgetBefore(10);
    expect(feed.since(0)).toBeNull();
    expect(kept()).toEqual(["short", "new"]);
    state.now = 20;
    expect(kept()).toEqual(["new"]);
    // What was removed in the log is not found in memory either.
    feed.forgetBefore(11);
    log.splice(0, 3);
    expect(await feed.load(0)).toMatchObject({ texts: [] });
  });

  test("goes on behind a hole that retention left", async () => {
    const { open, say, log } = channel();
    const feed = open();
    await feed.opened;
    const { socket, contents } = reader(feed);
    socket.begin();
    for (let i = 0; i < 5; i++) say(String(i));
    const read = log.splice(0, 5); // committed, and gone before this node looked
    feed.doorbell(5);
    await waitUntil("it is behind the hole", () => feed.top === 5);
    log.push(...read);
    say("after").tell(feed);
    expect(contents()).toEqual(["after"]);
  });
});
