/** `/ws/public/{channel}`, at two nodes that share a bus, over real sockets. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, LIMITS } from "../../src/protocol/mod.ts";
import { type Bus, MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { type Frame, Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { range, STARTING_MS, socketUrl } from "./support.ts";

/** Whether hints between the nodes arrive. */
let lossy = false;
let first: TestApp;
let second: TestApp;
beforeAll(async () => {
  const bus = lossyBus(new MemoryBus());
  first = await startApp({ bus });
  second = await first.another({ bus });
}, STARTING_MS);
afterAll(async () => {
  await second[Symbol.asyncDispose]();
  await first[Symbol.asyncDispose]();
}, STARTING_MS);

function lossyBus(bus: Bus): Bus {
  return {
    status: bus.status,
    healthy: bus.healthy,
    join: (node, handlers) => bus.join(node, handlers),
    register: (node, address) => bus.register(node, address),
    unregister: (node, address) => bus.unregister(node, address),
    locate: (node, addresses) => bus.locate(node, addresses),
    setAway: (node, account, away) => bus.setAway(node, account, away),
    connected: (accounts) => bus.connected(accounts),
    publish: (to, hints) => {
      if (!lossy) bus.publish(to, hints);
    },
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
  };
}

interface Channel {
  readonly ann: Person;
  readonly id: ConversationId;
  readonly slug: string;
  say(text: string): Promise<number>;
}

async function channel(more: object = {}): Promise<Channel> {
  const ann = await first.person();
  const slug = `p-${crypto.randomUUID().slice(0, 18)}`;
  const body = { conversation_type: "channel", name: "News", channel: slug, public: true, ...more };
  const { json } = await ann.request("POST", "/api/conversations", body);
  const say = async (content: string) => {
    const answer = await ann.request("POST", `/api/conversations/${json.id}/messages`, { content });
    if (answer.status !== 201) throw new Error(`Post: ${answer.status} ${JSON.stringify(answer.json)}`);
    return answer.json.seq;
  };
  return { ann, id: json.id, slug, say };
}

/** Opens a reader, and waits until it is live. */
async function read(server: TestApp, slug: string): Promise<Peer> {
  const peer = await Peer.open(socketUrl(server, `/ws/public/${slug}`));
  await peer.next("subscribed");
  return peer;
}

/** Asks for everything after a seq, page after page. */
async function readFrom(peer: Peer, after: number): Promise<Frame[]> {
  const pages: Frame[] = [];
  for (let next: number | null = after; next !== null; ) {
    peer.send({ type: "subscribe", after_seq: next, ref: pages.length });
    const page = await peer.match((frame) => frame.type === "page" && frame.ref === pages.length);
    pages.push(page);
    next = page.next;
  }
  return pages;
}

/** What a reader was shown, in the order it came: live, and in pages. */
const shown = (frames: readonly Frame[]): Frame[] =>
  frames.flatMap((frame) =>
    frame.type === "page" ? frame.announcements : frame.type === "announcement" ? [frame] : [],
  );
const numbers = (peer: Peer): number[] => shown(peer.frames).map(({ content }) => Number(content));

/** What a request that would become a socket is answered. */
async function refusal(server: TestApp, slug: string): Promise<{ status: number; code: string }> {
  const headers = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": "13" };
  const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
  const answer = await fetch(`${server.url}/ws/public/${slug}`, { headers: { ...headers, ...key } });
  const { error } = (await answer.json()) as { error: { code: string } };
  return { status: answer.status, code: error.code };
}

describe("a public channel", () => {
  test("is read without an account, and a private one is like none [PUB-1]", async () => {
    const { slug } = await channel();
    const hidden = await channel({ public: false });
    using reader = await read(first, slug);
    expect(reader.frames[0]).toMatchObject({ type: "subscribed", channel: slug, name: "News", last_seq: 1 });
    const none = await refusal(first, "there-is-none");
    expect(none).toEqual({ status: 404, code: "conversation_not_found" });
    expect(await refusal(first, hidden.slug)).toEqual(none);
    expect(await refusal(first, "not_an_address")).toEqual(none);
    expect((await fetch(`${first.url}/ws/public/${slug}`)).status).toBe(426);
  });

  test("shows what is said to readers at every node, in order and once [PUB-2]", async () => {
    const { slug, say, ann, id } = await channel();
    using here = await read(first, slug);
    using there = await read(second, slug);
    for (let i = 0; i < 30; i++) await say(String(i));
    for (const peer of [here, there]) {
      await peer.until(() => numbers(peer).length >= 30);
      expect(numbers(peer)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    }
    const [announced] = shown(there.frames);
    const [stored] = (await ann.request("GET", `/api/conversations/${id}/messages?after_seq=1`)).json.messages;
    expect(announced).toEqual({
      ...{ type: "announcement", channel: slug, seq: 2, id: stored.id, content: "0", created_at: stored.created_at },
    });
  });

  test("is read from a seq on and then live, without a gap, while others write [PUB-3]", async () => {
    const { slug, say } = await channel();
    for (let i = 0; i < 250; i++) await say(String(i));
    let said = 250;
    let done = false;
    const writing = (async () => {
      while (!done) await say(String(said++));
    })();
    const readers = await Promise.all([first, second, first, second].map((server) => read(server, slug)));
    const counts = await Promise.all(
      readers.map(async (peer, i) => {
        const pages = await readFrom(peer, i < 2 ? 0 : 240);
        return pages.map(({ announcements }) => announcements.length);
      }),
    );
    done = true;
    await writing;
    for (const [i, peer] of readers.entries()) {
      await peer.until(() => numbers(peer).at(-1) === said - 1);
      // What came live before the first page was asked for comes again with it, and is left out here.
      const asked = peer.frames.findIndex(({ type }) => type === "page");
      const given = shown(peer.frames.slice(asked)).map(({ content }) => Number(content));
      // After seq 0 comes the first message, of seq 2; after 240 that of 241.
      const from = i < 2 ? 0 : 239;
      expect(given).toEqual(Array.from({ length: said - from }, (_, n) => from + n));
      for (const count of counts[i] ?? []) expect(count).toBeLessThanOrEqual(LIMITS.pageEvents);
      peer.socket.close();
    }
  }, 60_000);

  test("nothing comes between two pages, and a seq beyond the end counts as the end [PUB-3]", async () => {
    const { slug, say } = await channel();
    for (let i = 0; i < 220; i++) await say(String(i));
    using reader = await read(second, slug);
    reader.send({ type: "subscribe", after_seq: 0 });
    const page = await reader.next("page");
    expect(page.next).not.toBeNull();
    await say("220");
    reader.send({ type: "ping", ref: "between" });
    await reader.next("pong");
    expect(reader.frames.filter(({ type }) => type === "announcement")).toEqual([]);
    await readFrom(reader, page.next);
    expect(numbers(reader)).toEqual(Array.from({ length: 221 }, (_, i) => i));
    reader.send({ type: "subscribe", after_seq: 1_000_000 });
    expect(await reader.next("page")).toMatchObject({ announcements: [], next: null });
    await say("221");
    expect((await reader.next("announcement")).content).toBe("221");
  }, 60_000);

  test("answers a ping, and refuses what it does not know [PUB-4]", async () => {
    const { slug } = await channel();
    using reader = await read(first, slug);
    reader.send({ type: "ping", ref: 7 });
    expect(await reader.next("pong")).toEqual({ type: "pong", ref: 7 });
    for (const [frame, code] of [
      [{ type: "message", content: "me too" }, "unknown_frame"],
      [{ type: "subscribe", after_seq: -1 }, "bad_frame"],
      ["{", "bad_json"],
    ] as const) {
      reader.send(frame);
      expect((await reader.next("error")).code).toBe(code);
    }
    for (let i = 0; i < 40; i++) reader.send({ type: "subscribe", after_seq: 0, ref: i });
    await reader.match((frame) => frame.code === "rate_limited");
    reader.socket.send(new Uint8Array([1]));
    expect(await reader.ended()).toEqual({ code: 4400, reason: "bad_protocol" });
  });

  test("cuts a slow reader off, who goes on from what it has [PUB-5]", async () => {
    const { slug, say } = await channel();
    const long = "x".repeat(80_000);
    const sayMany = async (from: number, to: number) => {
      for (let i = from; i < to; i++) await say(`${i} ${long}`);
    };
    const indexes = (frames: readonly Frame[]) => shown(frames).map(({ content }) => Number.parseInt(content, 10));
    const { socket: slow } = await RawSocket.upgrade(socketUrl(first, `/ws/public/${slug}`));
    const frames = (): Frame[] => slow.texts.map((text) => JSON.parse(text));
    await slow.next(({ type }) => type === "subscribed");
    slow.stopReading();
    // More than the buffers of the two systems take.
    await sayMany(0, 250);
    slow.readOn();
    await slow.ended();
    expect(slow.closeCode).toBe(4508);
    // What it has is without a gap, so what it has is where it goes on.
    const got = indexes(frames());
    expect(got).toEqual(range(0, got.length - 1));
    expect(got.length).toBeLessThan(250);
    using back = await read(second, slug);
    back.send({ type: "subscribe", after_seq: shown(frames()).at(-1)?.seq });
    expect(indexes([await back.next("page")])[0]).toBe(got.length);
  }, 120_000);

  test(
    "is open to so many sockets of one address [PUB-6]",
    async () => {
      await using alone = await startApp({ hub: { publicPerAddress: 3 } });
      const ann = await alone.person();
      const body = { conversation_type: "channel", name: "News", channel: "crowded", public: true };
      await ann.request("POST", "/api/conversations", body);
      const readers = await Promise.all([1, 2, 3].map(() => read(alone, "crowded")));
      expect(await refusal(alone, "crowded")).toEqual({ status: 429, code: "rate_limited" });
      await readers[0]?.close();
      using fourth = await read(alone, "crowded");
      expect(fourth.closed).toBeNull();
      for (const reader of readers) reader.socket.close();
    },
    STARTING_MS,
  );

  test("ends for its readers when it is public no more [PUB-7]", async () => {
    const { slug, ann, id } = await channel();
    using here = await read(first, slug);
    using there = await read(second, slug);
    await ann.request("DELETE", `/api/conversations/${id}/participants/${ann.id}`);
    for (const peer of [here, there]) expect(await peer.ended()).toEqual({ code: 4404, reason: "channel_gone" });
  });

  test("is told within seconds although the bus loses everything [PUB-2]", async () => {
    const { slug, say } = await channel();
    using there = await read(second, slug);
    lossy = true;
    try {
      for (let i = 0; i < 150; i++) await say(String(i));
      await there.until(() => numbers(there).length >= 150);
      expect(numbers(there)).toEqual(Array.from({ length: 150 }, (_, i) => i));
    } finally {
      lossy = false;
    }
  }, 60_000);

  test("a reader of a node that goes comes back to another and misses nothing [PUB-3, CLS-2]", async () => {
    const { slug, say } = await channel();
    const third = await first.another();
    const leaving = await read(third, slug);
    for (let i = 0; i < 5; i++) await say(String(i));
    await leaving.until(() => numbers(leaving).length === 5);
    const stopping = third[Symbol.asyncDispose]();
    expect(await leaving.ended()).toEqual({ code: 1012, reason: "draining" });
    await say("5");
    await stopping;
    await using again = await first.another();
    using back = await read(again, slug);
    await readFrom(back, shown(leaving.frames).at(-1)?.seq);
    await say("6");
    await back.until(() => numbers(back).length >= 2);
    expect(numbers(back)).toEqual([5, 6]);
  }, 60_000);

  test("shows edits and deletions live and in pages, and a message as it is now [PUB-8]", async () => {
    const { slug, say, ann, id } = await channel();
    await say("one");
    await say("two");
    const [one, two] = (await ann.request("GET", `/api/conversations/${id}/messages?after_seq=1`)).json.messages;
    using here = await read(first, slug);
    using there = await read(second, slug);
    expect((await ann.request("PUT", `/api/messages/${one.id}`, { content: "one, mended" })).status).toBe(200);
    expect((await ann.request("DELETE", `/api/messages/${two.id}`)).status).toBe(204);
    for (const peer of [here, there]) {
      const edit = await peer.next("edit");
      expect(edit).toMatchObject({ channel: slug, seq: 4, message_id: one.id, message_seq: 2, content: "one, mended" });
      expect(await peer.next("deletion")).toMatchObject({ seq: 5, message_id: two.id, message_seq: 3 });
    }
    // From memory at these nodes, and from the log at one that has not seen it.
    await using third = await first.another();
    using anew = await read(third, slug);
    for (const peer of [here, there, anew]) {
      const [page] = await readFrom(peer, 0);
      expect(page.announcements.map((entry: Frame) => [entry.type, entry.seq, entry.content])).toEqual([
        ["announcement", 2, "one, mended"],
        ["edit", 4, "one, mended"],
        ["deletion", 5, undefined],
      ]);
      expect(page.announcements[0].edited_at).toBe(page.announcements[1].created_at);
      expect(JSON.stringify(page)).not.toContain("two");
    }
  }, 60_000);

  test("shows nothing of what has expired", async () => {
    const { slug, ann, id, say } = await channel();
    using reader = await read(first, slug);
    await ann.request("POST", `/api/conversations/${id}/messages`, { content: "soon gone", expires_in: 1 });
    await say("stays");
    await reader.until(() => shown(reader.frames).length === 2);
    const [gone] = shown(reader.frames);
    expect(Date.parse(gone.expires_at)).toBeGreaterThan(Date.parse(gone.created_at));
    for (let texts: string[] = []; !(texts.length === 1 && texts[0] === "stays"); ) {
      using late = await read(second, slug);
      const pages = await readFrom(late, 0);
      texts = shown(pages).map(({ content }) => content);
      expect(texts).toContain("stays");
    }
  }, 30_000);
});
