/**
 * The feed as a pure state machine, against a model of the log, the database's cursors and a socket:
 * whatever hints are lost, doubled or late, whatever reads fail or come late, and however the socket
 * blocks, what is sent of a conversation rises by one, and in the end all of it was sent.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { BEHIND_LIMIT, type BehindRow, type Page } from "../../src/conversations/mod.ts";
import {
  type AccountId,
  type ConversationId,
  LIMITS,
  type LogEntry,
  newMessageId,
  type ServerFrame,
} from "../../src/protocol/mod.ts";
import { Feed } from "../../src/realtime/feed.ts";
import type { FeedHost, Generation } from "../../src/realtime/feed_host.ts";
import { KeptEvents } from "../../src/realtime/kept_events.ts";

/** A log as the database holds it, and the device's cursor in it. */
interface ModelLog {
  top: number;
  purged: number;
  acked: number;
}

type Answer = () => void;

/** What a feed is surrounded by; it checks what is sent as it is sent. */
class World {
  readonly logs = new Map<ConversationId, ModelLog>();
  /** Reads and lists that the feed waits for. */
  readonly pending: { answer: Answer; fail: Answer }[] = [];
  /** Hints on their way. */
  readonly hints: { id: ConversationId; seq: number; doorbell: boolean }[] = [];
  /** The seq that the socket was given last, since the last start; absent where nothing came yet. */
  readonly given = new Map<ConversationId, number>();
  /** Where nothing below will come, as `truncated` said. */
  readonly floors = new Map<ConversationId, number>();
  /** The same, and never forgotten. */
  readonly gone = new Map<ConversationId, number>();
  readonly frames: string[] = [];
  readonly pageSize: number;
  /** What the node keeps, for this feed. */
  readonly kept = new KeptEvents(() => 0);
  /** How often the feed asked to be told a moment later, and was not yet. */
  waits = 0;
  blocked = false;
  /** The next event fills the socket's buffer. */
  fills = false;
  /** Pages show the log as it was when they were asked for, else as it is when they arrive. */
  stale = false;
  feed: Feed;

  constructor(count: number, pageSize: number) {
    for (let i = 0; i < count; i++) this.logs.set(conversation(i), { top: 0, purged: 0, acked: 0 });
    this.pageSize = pageSize;
    this.feed = new Feed(this.#host());
  }

  log(id: ConversationId): ModelLog {
    const log = this.logs.get(id);
    if (log === undefined) throw new Error(`No such conversation: ${id}`);
    return log;
  }

  /** Begins anew, as after `resume`, or with a new feed as after a failure. */
  begin(claims: ReadonlyMap<ConversationId, number>, withNewFeed: boolean): void {
    if (withNewFeed) {
      this.feed = new Feed(this.#host(), this.feed.standing());
    }
    this.given.clear();
    this.floors.clear();
    this.feed.start(claims);
  }

  append(id: ConversationId): number {
    return ++this.log(id).top;
  }

  deliver(index: number): void {
    const [hint] = this.hints.splice(index % Math.max(1, this.hints.length), 1);
    if (hint === undefined) return;
    if (hint.doorbell) this.feed.doorbell(hint.id, hint.seq);
    else this.feed.offer({ conversationId: hint.id, seq: hint.seq, at: 0, text: event(hint.id, hint.seq) });
  }

  answer(index: number, fails: boolean): void {
    const [read] = this.pending.splice(index % Math.max(1, this.pending.length), 1);
    if (fails) read?.fail();
    else read?.answer();
  }

  /** The moment is over that the feed asked for. */
  wait(): void {
    if (this.waits === 0) return;
    this.waits = 0;
    this.feed.waited();
  }

  receipt(id: ConversationId): void {
    const seq = this.append(id);
    if (this.feed.receipt(id, seq, 0)) this.#give(id, seq);
    this.hints.push({ id, seq, doorbell: false }); // the sender is told like everybody else
  }

  acknowledge(id: ConversationId, back: number): void {
    const seq = this.given.get(id);
    if (seq === undefined) return;
    expect(this.feed.acknowledge(id, Math.max(0, seq - back))).toBe(true);
  }

  /** Nothing disturbs any more: hints arrive, reads succeed, the socket takes everything. */
  settle(): void {
    this.stale = false;
    while (this.hints.length > 0) this.deliver(0);
    for (let round = 0; round < 10_000; round++) {
      this.blocked = false;
      this.fills = false;
      this.feed.drained();
      for (const id of this.logs.keys()) this.acknowledge(id, 0);
      this.feed.retry();
      this.wait();
      if (this.pending.length === 0) return;
      this.answer(0, false);
    }
    throw new Error("The feed never comes to rest");
  }

  /** What of each log was acknowledged before the last start, or given since, or said to be gone. */
  reached(): Record<ConversationId, number> {
    const reached = [...this.logs].map(([id, { acked }]) => [
      id,
      Math.max(this.given.get(id) ?? 0, acked, this.gone.get(id) ?? 0),
    ]);
    return Object.fromEntries(reached);
  }

  tops(): Record<ConversationId, number> {
    return Object.fromEntries([...this.logs].map(([id, { top }]) => [id, top]));
  }

  #host(): FeedHost {
    const isBlocked = () => this.blocked;
    return {
      get blocked() {
        return isBlocked();
      },
      send: (text) => {
        const frame = JSON.parse(text);
        if (frame.type === "message") {
          expect(this.blocked).toBe(false);
          this.#give(frame.conversation_id, frame.seq);
        }
        if (frame.type === "truncated") {
          for (const floors of [this.floors, this.gone]) floors.set(frame.conversation_id, frame.truncated_before - 1);
        }
        this.frames.push(frame.type);
        this.blocked ||= this.fills;
        this.fills = false;
        return true;
      },
      encode: (frame: ServerFrame) => JSON.stringify(frame),
      encodeEvent: (entry: LogEntry) => event(entry.conversationId, entry.seq),
      list: (generation, beyond) => this.#list(generation, beyond),
      read: (generation, id, after) => this.#read(generation, id, after),
      caughtUp: () => {},
      kept: this.kept,
      wait: () => {
        this.waits++;
      },
      acknowledged: (id, seq) => {
        const log = this.log(id);
        log.acked = Math.max(log.acked, Math.min(seq, log.top));
      },
      now: () => 0,
    };
  }

  /** Notes what the socket was given, which is the next in every case but after `truncated`. */
  #give(id: ConversationId, seq: number): void {
    const before = this.given.get(id);
    const floor = this.floors.get(id) ?? 0;
    if (before !== undefined) expect({ id, seq }).toEqual({ id, seq: Math.max(before, floor) + 1 });
    expect(seq).toBeLessThanOrEqual(this.log(id).top);
    this.given.set(id, seq);
  }

  #list(generation: Generation, beyond: ConversationId | null): void {
    const look = (): BehindRow[] =>
      [...this.logs]
        .filter(([id, { top, acked }]) => top > acked && (beyond === null || id > beyond))
        .slice(0, BEHIND_LIMIT)
        .map(([conversationId, { top }]) => ({ conversationId, top }));
    const early = this.stale ? look() : null;
    this.pending.push({
      answer: () => this.feed.listed(generation, early ?? look()),
      fail: () => this.feed.readFailed(generation, null),
    });
  }

  #read(generation: Generation, id: ConversationId, after: number | null): void {
    const look = (): Page | null => {
      const log = this.logs.get(id);
      if (log === undefined) return null; // not the account's
      const { top, purged, acked } = log;
      const wanted = after ?? acked;
      const start = Math.min(Math.max(wanted, purged), top);
      const entries = Array.from({ length: Math.min(this.pageSize, top - start) }, (_, i) => entry(id, start + 1 + i));
      return { after: start, end: top, truncatedBefore: start > wanted ? start + 1 : null, leftSeq: null, entries };
    };
    const early = this.stale ? look() : null;
    this.pending.push({
      answer: () => this.feed.pageRead(generation, id, early ?? look()),
      fail: () => this.feed.readFailed(generation, id),
    });
  }
}

function conversation(i: number): ConversationId {
  return `00000000-0000-7000-8000-${i.toString(16).padStart(12, "0")}` as ConversationId;
}

const eventId = newMessageId();

function entry(conversationId: ConversationId, seq: number): LogEntry {
  const place = { id: eventId, conversationId, seq, senderId: conversationId as string as AccountId };
  return { ...place, kind: "message", createdAt: 0, expiresAt: null, content: { message_type: "text" } };
}

function event(conversationId: ConversationId, seq: number): string {
  return JSON.stringify({ type: "message", conversation_id: conversationId, seq });
}

const CONVERSATIONS = 3;
const which = fc.nat(CONVERSATIONS - 1).map(conversation);

/** One thing that happens; `fate` says what becomes of the hint. */
const step = fc.oneof(
  fc.record({
    do: fc.constant("append" as const),
    id: which,
    fate: fc.constantFrom("arrives", "lost", "doubled", "doorbell"),
  }),
  fc.record({ do: fc.constant("deliver" as const), index: fc.nat(20) }),
  fc.record({
    do: fc.constant("answer" as const),
    index: fc.nat(20),
    fails: fc.oneof({ weight: 5, arbitrary: fc.constant(false) }, fc.constant(true)),
  }),
  fc.record({ do: fc.constant("receipt" as const), id: which }),
  fc.record({ do: fc.constant("acknowledge" as const), id: which, back: fc.nat(3) }),
  fc.record({ do: fc.constantFrom("fill", "drain", "retry", "compare", "stale", "fresh", "wait", "forget") }),
  fc.record({ do: fc.constant("take_back" as const), id: which, below: fc.nat(3) }),
  fc.record({ do: fc.constant("purge" as const), id: which, below: fc.nat(3) }),
  fc.record({
    do: fc.constant("begin" as const),
    claims: fc.dictionary(which, fc.nat(12), { maxKeys: 2 }),
    anew: fc.boolean(),
  }),
);

/** Without a device that sets its own cursors. */
const unclaimed = step.filter((one) => one.do !== "begin" || Object.keys(one.claims).length === 0);
/** Long lists: what goes wrong takes several steps to go wrong. */
const manySteps = (one: typeof step) => fc.array(one, { minLength: 1, maxLength: 150, size: "max" });

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

function take(world: World, one: Step): void {
  switch (one.do) {
    case "append": {
      const seq = world.append(one.id);
      const hint = { id: one.id, seq, doorbell: one.fate === "doorbell" };
      if (one.fate !== "lost") world.hints.push(hint);
      if (one.fate === "doubled") world.hints.push(hint);
      return;
    }
    case "deliver":
      return world.deliver(one.index);
    case "answer":
      return world.answer(one.index, one.fails);
    case "receipt":
      return world.receipt(one.id);
    case "acknowledge":
      return world.acknowledge(one.id, one.back);
    case "purge": {
      const log = world.log(one.id);
      log.purged = Math.max(log.purged, log.top - one.below);
      return;
    }
    case "begin":
      return world.begin(new Map(Object.entries(one.claims) as [ConversationId, number][]), one.anew);
    case "fill":
      world.fills = !world.blocked;
      return;
    case "drain":
      world.blocked = false;
      return world.feed.drained();
    case "retry":
      return world.feed.retry();
    case "compare":
      return world.feed.compare();
    case "wait":
      return world.wait();
    case "forget":
      return world.kept.forgetAll();
    case "take_back":
      return world.kept.forget(one.id, Math.max(0, world.log(one.id).top - one.below));
    default:
      world.stale = one.do === "stale";
  }
}

describe("Feed", () => {
  test("sends every conversation rising by one, and everything in the end, whatever happens", () => {
    fc.assert(
      fc.property(manySteps(step), fc.integer({ min: 1, max: 4 }), (steps, pageSize) => {
        const world = new World(CONVERSATIONS, pageSize);
        world.feed.start();
        for (const one of steps) take(world, one);
        world.settle();
        expect(world.frames).toContain("caught_up");
        // Where a hint was lost, the comparison of heads is what finds it; else nothing else is needed.
        if (!steps.some((one) => one.do === "append" && one.fate === "lost"))
          expect(world.reached()).toEqual(world.tops());
        world.feed.compare();
        world.settle();
        expect(world.reached()).toEqual(world.tops());
      }),
      { numRuns: 600 },
    );
  });

  test("never gives what was acknowledged again, unless the device set its cursor lower", () => {
    fc.assert(
      fc.property(manySteps(unclaimed), (steps) => {
        const world = new World(CONVERSATIONS, 2);
        world.feed.start();
        for (const one of steps) {
          const acked = new Map([...world.logs].map(([id, log]) => [id, log.acked]));
          const given = new Map(world.given);
          take(world, one);
          for (const [id, seq] of world.given) {
            if (seq !== given.get(id)) expect(seq).toBeGreaterThan(acked.get(id) ?? 0);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  test("lists page by page, and says caught_up once, after the last", () => {
    const count = BEHIND_LIMIT * 2 + 50;
    const world = new World(count, 10);
    for (const id of world.logs.keys()) world.append(id);
    world.feed.start();
    for (let i = 0; world.pending.length > 0 && i < 10_000; i++) {
      expect(world.frames.includes("caught_up")).toBe(false);
      world.answer(0, false);
      for (const id of world.logs.keys()) world.acknowledge(id, 0);
    }
    expect(world.given.size).toBe(count);
    expect(world.frames.filter((type) => type === "caught_up")).toHaveLength(1);
    expect(world.frames.at(-1)).toBe("caught_up");
  });

  test("stops at the window's end, and goes on once half of it is acknowledged", () => {
    const world = new World(1, 100);
    const id = conversation(0);
    for (let i = 0; i < LIMITS.unacknowledgedEvents + 50; i++) world.append(id);
    world.feed.start();
    while (world.pending.length > 0) world.answer(0, false);
    expect(world.given.get(id)).toBe(LIMITS.unacknowledgedEvents);
    expect(world.feed.fullSince).toBe(0);
    expect(world.feed.acknowledge(id, LIMITS.unacknowledgedEvents / 2)).toBe(true);
    expect(world.feed.fullSince).toBeNull();
    while (world.pending.length > 0) world.answer(0, false);
    expect(world.given.get(id)).toBe(LIMITS.unacknowledgedEvents + 50);
  });

  test("reads at most a few pages at once, and drops what comes for an earlier start", () => {
    const world = new World(20, 10);
    for (const id of world.logs.keys()) world.append(id);
    world.feed.start();
    world.answer(0, false);
    expect(world.pending.length).toBe(4);
    const old = world.pending.splice(0);
    world.begin(new Map(), false);
    for (const read of old) read.answer();
    expect(world.given.size).toBe(0);
    world.settle();
    expect(world.given.size).toBe(20);
  });

  test("keeps a bounded number of claims, the newest, and none that is not the account's", () => {
    const world = new World(1, 10);
    const claims = (from: number, count: number) =>
      new Map(Array.from({ length: count }, (_, i) => [conversation(from + i), 1]));
    for (let from = 1; from < 20_000; from += 1_000) world.begin(claims(from, 1_000), false);
    expect(world.feed.standing().size).toBe(10_000);
    expect(world.feed.standing().has(conversation(20_000))).toBe(true);
    const strange = new World(1, 10);
    strange.begin(claims(1, 5), false);
    strange.settle();
    expect(strange.feed.standing().size).toBe(0);
  });

  /**
   * Found by devices that came and went while others spoke: what the socket before had acknowledged was written for
   * the list, and an event that came before it made a page be read from where the device had stood long ago.
   */
  test("reads no page before its first list has come, for acknowledgements are written for that", () => {
    const world = new World(1, 10);
    const id = conversation(0);
    for (let i = 0; i < 5; i++) world.append(id);
    world.feed.start();
    world.hints.push({ id, seq: world.append(id), doorbell: false });
    world.deliver(0);
    expect(world.pending).toHaveLength(1); // the list, and nothing else
    world.log(id).acked = 5;
    world.settle();
    expect(world.frames.filter((type) => type === "message")).toHaveLength(1);
    expect(world.given.get(id)).toBe(6);
  });

  test("asks again where a comparison of heads could not be read", () => {
    const world = new World(1, 10);
    world.feed.start();
    world.settle();
    world.append(conversation(0));
    world.feed.compare();
    world.answer(0, true);
    expect(world.feed.waitsForRetry).toBe(true);
    world.settle();
    expect(world.reached()).toEqual(world.tops());
  });

  test("compares once more where it is asked to while an older list is on its way", () => {
    const world = new World(1, 10);
    world.feed.start();
    world.settle();
    world.stale = true;
    world.feed.compare(); // sees the log as it is now
    world.append(conversation(0)); // its hint is lost, and the bus says so
    world.feed.compare();
    world.feed.compare();
    world.settle();
    expect(world.reached()).toEqual(world.tops());
    expect(world.frames.filter((type) => type === "caught_up")).toHaveLength(1);
  });

  test("sends nothing more to a socket that is closed, and keeps its cursors where they were", () => {
    const sent: string[] = [];
    let open = true;
    const pages: (() => void)[] = [];
    const id = conversation(0);
    const feed: Feed = new Feed({
      send: (text) => {
        if (open) sent.push(text);
        return open;
      },
      get blocked() {
        return !open;
      },
      encode: (frame) => JSON.stringify(frame),
      encodeEvent: (one) => event(one.conversationId, one.seq),
      list: (generation) => void pages.push(() => feed.listed(generation, [{ conversationId: id, top: 3 }])),
      read: (generation) =>
        void pages.push(() =>
          feed.pageRead(generation, id, {
            after: 0,
            end: 3,
            truncatedBefore: null,
            leftSeq: null,
            entries: [1, 2, 3].map((seq) => entry(id, seq)),
          }),
        ),
      acknowledged: () => {},
      caughtUp: () => {},
      kept: new KeptEvents(() => 0),
      wait: () => {},
      now: () => 0,
    });
    feed.start();
    pages.shift()?.();
    open = false;
    pages.shift()?.();
    expect(sent).toEqual([]);
    expect(feed.sentUpTo(id)).toBe(0);
    expect(feed.acknowledge(id, 1)).toBe(false);
    expect(pages).toEqual([]);
  });
});

/** A feed that has sent everything there is, of one conversation. */
function caughtUp(entries: number): { world: World; id: ConversationId } {
  const world = new World(1, 100);
  const id = conversation(0);
  for (let i = 0; i < entries; i++) world.append(id);
  world.feed.start();
  while (world.pending.length > 0) world.answer(0, false);
  return { world, id };
}

/** Says more, and offers it at once. */
function offer(world: World, id: ConversationId, count = 1): void {
  for (let i = 0; i < count; i++) {
    world.hints.push({ id, seq: world.append(id), doorbell: false });
    world.deliver(world.hints.length - 1);
  }
}

describe("Feed keeps what it was offered and could not send", () => {
  test("while the window is full: acknowledged, it goes on to the end and reads nothing", () => {
    const { world, id } = caughtUp(1);
    offer(world, id, LIMITS.unacknowledgedEvents + 700);
    expect(world.given.get(id)).toBe(LIMITS.unacknowledgedEvents);
    expect(world.frames.filter((type) => type === "message")).toHaveLength(LIMITS.unacknowledgedEvents);
    for (let i = 0; i < 3; i++) world.acknowledge(id, 0);
    expect(world.reached()).toEqual(world.tops());
    expect(world.pending).toEqual([]);
    expect(world.feed.behindIn).toBe(0);
    offer(world, id);
    expect(world.reached()).toEqual(world.tops());
  });

  test("while the socket is blocked, and stops again where it fills again", () => {
    const { world, id } = caughtUp(1);
    world.blocked = true;
    offer(world, id, 5);
    expect(world.given.get(id)).toBe(1);
    world.blocked = false;
    world.fills = true;
    world.feed.drained();
    expect(world.given.get(id)).toBe(2);
    offer(world, id);
    world.blocked = false;
    world.feed.drained();
    expect(world.reached()).toEqual(world.tops());
    expect(world.pending).toEqual([]);
  });

  test("or a receipt, which does not stand for its event then [MSG-3]", () => {
    const { world, id } = caughtUp(1);
    world.blocked = true;
    offer(world, id);
    world.receipt(id);
    world.deliver(0);
    world.blocked = false;
    world.feed.drained();
    expect(world.given.get(id)).toBe(3);
    expect(world.frames.filter((type) => type === "message")).toHaveLength(3);
    expect(world.pending).toEqual([]);
  });

  test("and reads from the log what is kept no more, also from the middle", () => {
    const { world, id } = caughtUp(1);
    world.blocked = true;
    offer(world, id, 5);
    world.kept.forgetAll();
    offer(world, id, 5);
    world.blocked = false;
    world.feed.drained();
    expect(world.pending).toHaveLength(1);
    world.answer(0, false);
    expect(world.reached()).toEqual(world.tops());
    expect(world.pending).toEqual([]);
    expect(world.feed.behindIn).toBe(0);
  });

  test("and reads from the log what something was taken back of", () => {
    const { world, id } = caughtUp(1);
    world.blocked = true;
    offer(world, id, 3);
    world.kept.forget(id, 4);
    world.blocked = false;
    world.feed.drained();
    expect(world.given.get(id)).toBe(1);
    world.answer(0, false);
    expect(world.reached()).toEqual(world.tops());
  });

  test("and reads from the log after a doorbell, for it may not be as it was offered", () => {
    const { world, id } = caughtUp(1);
    world.blocked = true;
    offer(world, id, 3);
    world.feed.doorbell(id, 3);
    world.blocked = false;
    world.feed.drained();
    expect(world.given.get(id)).toBe(1);
    expect(world.pending).toHaveLength(1);
    world.settle();
    expect(world.reached()).toEqual(world.tops());
  });

  for (const { title, isStale, lost, reads } of [
    { title: "exactly", isStale: true, lost: 0, reads: 0 },
    { title: "with duplicates", isStale: false, lost: 0, reads: 0 },
    { title: "with a gap, which is read", isStale: true, lost: 1, reads: 1 },
  ]) {
    test(`and a page meets it ${title}`, () => {
      const world = new World(1, 100);
      const id = conversation(0);
      for (let i = 0; i < 4; i++) world.append(id);
      world.stale = isStale; // the page shows the log as it is now, or as it is when it comes
      world.feed.start();
      world.answer(0, false);
      expect(world.pending).toHaveLength(1);
      for (let i = 0; i < lost; i++) world.append(id); // nobody is told
      offer(world, id, 2);
      world.answer(0, false);
      expect(world.pending).toHaveLength(reads);
      expect(world.given.get(id)).toBe(reads === 0 ? 6 : 4);
      while (world.pending.length > 0) world.answer(0, false);
      expect(world.reached()).toEqual(world.tops());
      expect(world.feed.behindIn).toBe(0);
    });
  }

  test("and reads once more where it came while a page was on its way that does not reach it", () => {
    const { world, id } = caughtUp(1);
    world.stale = true;
    world.append(id);
    world.feed.doorbell(id, 2);
    for (let i = 0; i < 2; i++) world.append(id); // their hints are lost
    offer(world, id, 2);
    world.answer(0, false); // the log as it was with 2
    expect(world.given.get(id)).toBe(2);
    expect(world.pending).toHaveLength(1);
    world.answer(0, false);
    expect(world.reached()).toEqual(world.tops());
    expect(world.pending).toEqual([]);
  });

  test("and says truncated where retention removed what was between", () => {
    const { world, id } = caughtUp(1);
    for (let i = 0; i < 3; i++) world.append(id); // their hints are lost
    offer(world, id, 2);
    world.log(id).purged = 4;
    world.wait();
    world.answer(0, false);
    expect(world.frames.slice(-3)).toEqual(["truncated", "message", "message"]);
    expect(world.given.get(id)).toBe(6);
    expect(world.feed.behindIn).toBe(0);
  });

  test("which came early, and the one below it follows: in order, and nothing is read", () => {
    const { world, id } = caughtUp(1);
    const seqs = [2, 3, 4, 5].map(() => world.append(id));
    for (const seq of [seqs[2], seqs[1], seqs[0], seqs[3]]) {
      world.hints.push({ id, seq: seq ?? 0, doorbell: false });
      world.deliver(0);
    }
    expect(world.reached()).toEqual(world.tops());
    world.wait();
    expect(world.pending).toEqual([]);
    expect(world.feed.behindIn).toBe(0);
  });

  test("which came early by more than 64: the log is read at once", () => {
    const { world, id } = caughtUp(1);
    world.append(id); // its hint is lost
    offer(world, id, 64);
    expect(world.pending).toHaveLength(1);
    world.answer(0, false);
    expect(world.reached()).toEqual(world.tops());
  });
});

describe("Feed and membership that ends and begins again", () => {
  /** What is read of a log whose account left at 4 and came back at 7. */
  function page(after: number): Page {
    const range = (from: number, to: number) =>
      Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => entry(conversation(0), from + i));
    if (after < 3) return { after, end: 3, truncatedBefore: null, leftSeq: 4, entries: range(after + 1, 3) };
    return { after: 6, end: 8, truncatedBefore: 7, leftSeq: null, entries: range(7, 8) };
  }

  test("gives what was offered of both, the end between, and nothing of what was said meanwhile [RES-7]", () => {
    const id = conversation(0);
    const sent: string[] = [];
    const reads: (() => void)[] = [];
    let blocked = false;
    const feed: Feed = new Feed({
      send: (text) => {
        const { type, seq, left_seq, truncated_before } = JSON.parse(text);
        sent.push(`${type} ${seq ?? left_seq ?? truncated_before ?? ""}`.trim());
        return true;
      },
      get blocked() {
        return blocked;
      },
      encode: (frame) => JSON.stringify(frame),
      encodeEvent: (one) => event(one.conversationId, one.seq),
      list: (generation) => void reads.push(() => feed.listed(generation, [{ conversationId: id, top: 1 }])),
      read: (generation, _, after) =>
        void reads.push(() => {
          const whole = page(after ?? 0);
          feed.pageRead(
            generation,
            id,
            sent.length > 0 ? whole : { ...whole, end: 1, leftSeq: null, entries: whole.entries.slice(0, 1) },
          );
        }),
      acknowledged: () => {},
      caughtUp: () => {},
      kept,
      wait: () => {},
      now: () => 0,
    });
    const offered = (seq: number) => feed.offer({ conversationId: id, seq, at: 0, text: event(id, seq) });
    feed.start();
    while (reads.length > 0) reads.shift()?.();
    expect(sent).toEqual(["message 1", "caught_up"]);
    // Others were offered all of it, and so it is kept.
    for (let seq = 1; seq <= 8; seq++) kept.keep({ conversationId: id, seq, at: 0, text: event(id, seq) });
    blocked = true;
    for (const seq of [2, 3]) offered(seq);
    feed.doorbell(id, 4); // the account is a member no more
    for (const seq of [7, 8]) offered(seq);
    blocked = false;
    feed.drained();
    while (reads.length > 0) reads.shift()?.();
    expect(sent.slice(2)).toEqual([
      ...["message 2", "message 3", "conversation_left 4"],
      ...["truncated 7", "message 7", "message 8"],
    ]);
    expect(feed.behindIn).toBe(0);
  });

  const kept = new KeptEvents(() => 0);
});
