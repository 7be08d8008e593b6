/**
 * One socket that sent `resume` with 1,000 cursors of no conversation of its own, again and again, held
 * up the whole node: each claim stayed for ever, and each `resume` began all earlier ones again. Others
 * waited more than ten seconds for a receipt.
 */
import { expect, test } from "bun:test";
import { type ConversationId, LIMITS, uuidv7 } from "../../src/protocol/mod.ts";
import { Feed } from "../../src/realtime/feed.ts";
import type { FeedHost, Generation } from "../../src/realtime/feed_host.ts";
import { KeptEvents } from "../../src/realtime/kept_events.ts";
import { startApp } from "../support/app.ts";

const foreign = (count: number) => Object.fromEntries(Array.from({ length: count }, () => [uuidv7(), 1]));

test("Session counts a resume by what it begins [LIM-3]", async () => {
  await using server = await startApp();
  const ada = await server.person();
  const peer = await ada.live();
  const cursors = foreign(LIMITS.resumeCursors);
  for (let i = 0; i < 20; i++) peer.send({ type: "resume", ref: i, cursors });
  const refusal = await peer.match((frame) => frame.type === "error");
  expect(refusal.code).toBe("rate_limited");
  expect(refusal.ref).toBeGreaterThan(4); // a device with thousands of conversations may say so at once
  expect(refusal.details.retry_after_ms).toBePositive();
  await peer.next("caught_up");
});

test("Feed forgets a claim of what is not the caller's [RES-3]", () => {
  const reads: { generation: Generation; id: ConversationId }[] = [];
  const frames: string[] = [];
  const host: FeedHost = {
    send: (text) => {
      frames.push(text);
      return true;
    },
    blocked: false,
    encode: (frame) => JSON.stringify(frame),
    encodeEvent: (entry) => JSON.stringify(entry),
    list: (generation) => feed.listed(generation, []),
    read: (generation, id) => void reads.push({ generation, id }),
    acknowledged: () => {},
    caughtUp: () => {},
    kept: new KeptEvents(() => 0),
    wait: () => {},
    now: () => 0,
  };
  const feed = new Feed(host);
  feed.start(new Map(Object.entries(foreign(50)) as [ConversationId, number][]));
  expect(feed.behindIn).toBe(50);
  for (let read = reads.shift(); read !== undefined; read = reads.shift())
    feed.pageRead(read.generation, read.id, null);
  expect(feed.behindIn).toBe(0);
  expect(feed.standing().size).toBe(0);
});
