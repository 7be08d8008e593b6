/** SPEC.md, "Limits". */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LIMITS, newMessageId } from "../../src/protocol/mod.ts";
import { type Bus, dispatch, type Hint, MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { movableClock } from "../support/clock.ts";
import { Peer } from "../support/peer.ts";
import { RawSocket } from "../support/raw_socket.ts";
import { waitUntil } from "../support/wait.ts";
import { countEvents, pair, range, STARTING_MS, sayMany, seqs, socketUrl } from "./support.ts";

const clock = movableClock();
let server: TestApp;
let other: TestApp;
/** What a frame `typing_stop` with this ref makes its actor do, in the middle of its turn. */
const tricks = new Map<unknown, (...args: Parameters<typeof dispatch>) => void>();
/** Hints on their way to the node, while they are held back. */
let held: Hint[][] | null = null;
let receive: (hints: readonly Hint[]) => void;

beforeAll(async () => {
  const bus = new MemoryBus();
  server = await startApp({
    clock,
    bus: {
      status: bus.status,
      healthy: bus.healthy,
      join: (node, { receive: take, doubt }) => {
        receive = take;
        return bus.join(node, {
          receive: (hints) => (held === null ? take(hints) : void held.push([...hints])),
          doubt,
        });
      },
      register: (node, account) => bus.register(node, account),
      unregister: (node, account) => bus.unregister(node, account),
      locate: (node, accounts) => bus.locate(node, accounts),
      setAway: (node, account, away) => bus.setAway(node, account, away),
      connected: (accounts) => bus.connected(accounts),
      publish: (to, hints) => bus.publish(to, hints),
      [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
    } satisfies Bus,
    hub: {
      dispatch: (...args) => {
        const trick = args[3].type === "typing_stop" ? tricks.get(args[3].ref) : undefined;
        if (trick === undefined) dispatch(...args);
        else trick(...args);
      },
    },
  });
  other = await server.another({ clock, bus });
}, STARTING_MS);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
}, STARTING_MS);

/** A server whose clock stands still between moves, so that rates are exact. */
async function frozen(): Promise<{ node: TestApp; advance: (ms: number) => void }> {
  let now = Date.now();
  const node = await server.another({ clock: { now: () => now } });
  const advance = (ms: number) => {
    now += ms;
  };
  return { node, advance };
}

describe("limits", () => {
  test("a frame above 128 KiB closes with 1009, one of 128 KiB does not [LIM-1]", async () => {
    const ann = await server.person();
    using peer = await ann.live();
    const frame = (bytes: number) => JSON.stringify({ type: "ping", ref: 1 }).padEnd(bytes, " ");
    peer.send(frame(LIMITS.frameBytes));
    await peer.next("pong");
    const before = await countEvents(server.db);
    peer.send(frame(LIMITS.frameBytes + 1));
    expect((await peer.ended()).code).toBe(1009);
    expect(await countEvents(server.db)).toBe(before);
  });

  test("deep JSON is bad_json, and the socket lives [LIM-2]", async () => {
    using peer = await (await server.person()).live();
    const nested = (depth: number) => `{"type":"ping","x":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;
    peer.send(nested(LIMITS.jsonDepth));
    await peer.next("pong");
    for (const text of [
      nested(LIMITS.jsonDepth + 1),
      nested(50_000),
      `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`,
      "[".repeat(100_000),
    ]) {
      peer.send(text);
      expect((await peer.next("error")).code).toBe("bad_json");
    }
    await peer.settled();
  });

  test("a key __proto__ is bad_json however it is written, and pollutes nothing; as a text it passes [LIM-2]", async () => {
    const { ann, ben, id: opaque } = await pair(server);
    const id = await ann.group([ben], { encryption: "server" });
    using peer = await ann.live();
    const before = await countEvents(server.db);
    const message = { type: "message", id: newMessageId(), conversation_id: opaque, encrypted_content: "text" };
    for (const key of ["__proto__", "\\u005f_proto__", "__pr\\u006Fto__", "\\u005F\\u005F\\u0070roto\\u005f_"]) {
      for (const text of [
        `{"${key}":{"polluted":1},${JSON.stringify(message).slice(1)}`,
        `{"type":"ping","deep":[{"${key}" : {"polluted":1}}]}`,
        `{"type":"resume","cursors":{"${key}":0}}`,
      ]) {
        peer.send(text);
        expect({ text, code: (await peer.next("error")).code }).toEqual({ text, code: "bad_json" });
      }
    }
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(await countEvents(server.db)).toBe(before);
    for (const content of ["__proto__", '{"__proto__":1}', "\\u005f_proto__"]) {
      expect((await peer.say(id, "", { encrypted_content: undefined, content })).type).toBe("receipt");
    }
  });

  test("400 frames pass at once, further ones are rate_limited, and time makes room again [LIM-3]", async () => {
    const { node, advance } = await frozen();
    await using _ = node;
    const { ann, id } = await pair(node);
    using peer = await ann.live();
    for (let ref = 0; ref < LIMITS.frameBurst; ref++) peer.send({ type: "ping", ref });
    await peer.until((frames) => frames.filter((frame) => frame.type === "pong").length === LIMITS.frameBurst);
    const before = await countEvents(node.db);
    const refused = peer.post(id, "too fast", { ref: "fast" });
    expect(await peer.next("error")).toMatchObject({
      ref: "fast",
      id: refused,
      code: "rate_limited",
      retryable: true,
      details: { retry_after_ms: 10 },
    });
    expect(await countEvents(node.db)).toBe(before);
    advance(10);
    expect((await peer.say(id, "too fast", { id: refused })).type).toBe("receipt");
    advance(1_000);
    for (let ref = 0; ref < LIMITS.framesPerSecond + 1; ref++) peer.send({ type: "ping", ref });
    expect((await peer.next("error")).ref).toBe(LIMITS.framesPerSecond);
  });

  test("400 refusals by rate in a row are answered, the next closes with 4529 [LIM-3]", async () => {
    const { node } = await frozen();
    await using _ = node;
    using peer = await (await node.person()).live();
    const all = LIMITS.frameBurst + LIMITS.floodRefusals;
    for (let ref = 0; ref < all; ref++) peer.send({ type: "ping", ref });
    await peer.until(
      (frames) => frames.filter((frame) => frame.code === "rate_limited").length === LIMITS.floodRefusals,
    );
    expect(peer.closed).toBeNull();
    peer.send({ type: "ping" });
    expect(await peer.ended()).toEqual({ code: 4529, reason: "flooding" });
  });

  test("a sixth socket of a session closes with 4409, the five live, and an end makes room [LIM-4]", async () => {
    const ann = await server.person();
    const five: Peer[] = [];
    for (let i = 0; i < LIMITS.socketsPerSession; i++) five.push(await ann.live());
    using sixth = await ann.connect();
    expect(await sixth.ended()).toEqual({ code: 4409, reason: "too_many_sockets" });
    expect(sixth.frames).toEqual([]);
    using elsewhere = await (await ann.signIn()).live();
    await elsewhere.settled();
    for (const peer of five) await peer.settled();
    await five[0]?.close();
    using again = await ann.live();
    await again.settled();
    for (const peer of five) peer[Symbol.dispose]();
  });

  test("a 101st socket that has not authenticated gets 429, one that has is welcome [LIM-5]", async () => {
    const { node } = await frozen(); // nobody's five seconds to authenticate pass
    await using _node = node;
    const ann = await node.person();
    const waiting = await Promise.all(
      Array.from({ length: LIMITS.unauthenticatedPerAddress }, () => Peer.open(socketUrl(node))),
    );
    try {
      const answer = await RawSocket.upgrade(socketUrl(node));
      using _ = answer.socket;
      expect(answer.status).toBe(429);
      expect(JSON.parse(answer.body).error.code).toBe("rate_limited");
      await (await ann.live()).close();
      // One that authenticates makes room, and so does one that goes.
      waiting[0]?.send({ type: "authenticate", token: ann.token });
      await waiting[0]?.next("welcome");
      waiting.push(await Peer.open(socketUrl(node)));
      await waiting[1]?.close();
      waiting.push(await Peer.open(socketUrl(node)));
    } finally {
      for (const peer of waiting) peer[Symbol.dispose]();
    }
  });

  test("a socket that does not read is closed with 4508 after 30 s; its device misses nothing and nobody else waits [LIM-6]", async () => {
    const { ann, ben, id } = await pair(server);
    const quick = await ben.signIn();
    using a = await ann.live();
    using reads = await quick.live();
    using stuck = await RawSocket.open(socketUrl(server), ben.token);
    await stuck.next((frame) => frame.type === "caught_up");
    stuck.stopReading();
    const text = "x".repeat(80_000);
    const count = 150;
    for (let done = 0; done < count; done += 25) {
      clock.advance(1_000);
      await sayMany(a, id, 25, text);
      await reads.until(() => seqs(reads, id).length >= done + 26);
      reads.acknowledge(id, done + 26);
      a.acknowledge(id, done + 26);
    }
    clock.advance(31_000);
    for (const peer of [a, reads]) await peer.settled(); // so that they have been heard
    await waitUntil("the socket is closed for not reading", async () => (await closedFor(server, "slow_reader")) >= 1);
    await a.settled();
    await reads.settled();
    stuck[Symbol.dispose]();
    using again = await ben.live();
    expect(seqs(again, id)).toEqual(range(1, count + 1));
  }, 120_000);

  test("a socket whose buffer grows beyond 1 MiB is closed with 4508 [LIM-6]", async () => {
    const { ann, ben, id } = await pair(server);
    using a = await ann.live();
    await a.settled();
    using stuck = await RawSocket.open(socketUrl(server), ben.token);
    await stuck.next((frame) => frame.type === "caught_up");
    stuck.stopReading();
    const before = await closedFor(server, "slow_reader");
    // Answers to its own frames are what a socket that never reads can still cause; these are long.
    const keys = Array.from({ length: 10 }, (_, i) => `${i}`.repeat(90));
    const wrong = { type: "resume", cursors: Object.fromEntries(keys.map((key) => [key, 0])) };
    const closed = async () => (await closedFor(server, "slow_reader")) > before;
    for (let sent = 0; sent < 60_000 && !(await closed()); sent += 300) {
      for (let i = 0; i < 300; i++) stuck.send(wrong);
      clock.advance(3_000);
      // The flow goes on only as fast as the server takes it.
      await a.settled();
    }
    expect(await closed()).toBe(true);
    await a.say(id, "others go on");
  }, 120_000);

  test("a full mailbox refuses a frame as overloaded, and the refused message keeps its place [LIM-7]", async () => {
    const { ann, id } = await pair(server);
    using peer = await ann.live();
    const [first, second] = [newMessageId(), newMessageId()];
    const frame = (message: string, text: string) => ({
      type: "message",
      id: message,
      conversation_id: id,
      encrypted_content: text,
    });
    tricks.set("fill", (_, actor, { session }) => {
      while (actor.self.tell({ type: "done" }) === "accepted");
      for (const [message, text] of [
        [first, "one"],
        [second, "two"],
      ] as const)
        session.receive(JSON.stringify(frame(message, text)));
      session.receive(JSON.stringify({ type: "ping", ref: "full" }));
    });
    peer.send({ type: "typing_stop", ref: "fill", conversation_id: id });
    for (const ref of [first, second, "full"]) {
      expect(await peer.match((error) => error.id === ref || error.ref === ref)).toMatchObject({
        code: "overloaded",
        retryable: true,
      });
    }
    expect(await peer.say(id, "two", { id: second })).toMatchObject({ code: "out_of_order", details: { first } });
    expect(await peer.say(id, "one", { id: first })).toMatchObject({ type: "receipt", seq: 2 });
    expect(await peer.say(id, "two", { id: second })).toMatchObject({ type: "receipt", seq: 3 });
  });

  test("a delivery that finds the mailbox full is read from the log [LIM-7]", async () => {
    const [ann, ben] = (await Promise.all([server.person(), server.person()])) as [Person, Person];
    const id = await ann.group([ben]);
    using far = await ann.at(other.url).live();
    using b = await ben.live();
    held = [];
    const receipt = await far.say(id, "held back");
    await waitUntil("the hint is on its way", () => (held?.length ?? 0) > 0);
    const hints = held.flat();
    held = null;
    tricks.set("fill and deliver", (_, actor) => {
      while (actor.self.tell({ type: "done" }) === "accepted");
      receive(hints);
    });
    b.send({ type: "typing_stop", ref: "fill and deliver", conversation_id: id });
    expect((await b.next("message")).id).toBe(receipt.id);
    expect(seqs(b, id)).toEqual([1, 2]);
  });
});

/** How many sockets were closed for a reason, by the server's own count. */
async function closedFor(node: TestApp, reason: string): Promise<number> {
  const text = await (await fetch(`${node.url}/metrics`)).text();
  return Number(new RegExp(`^sotto_sockets_closed_total\\{reason="${reason}"\\} (\\d+)`, "m").exec(text)?.[1] ?? 0);
}
