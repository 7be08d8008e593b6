/** Handing keys to other devices by the SDK, over lines that break. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Exchanges } from "../../src/client/exchanges.ts";
import { type ClientEvent, MemoryStore, SottoClient, type StoreChange } from "../../src/client/mod.ts";
import { type AccountId, type ErrorCode, LIMITS, type MessageId } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";
import { ManualTiming } from "./manual_timing.ts";
import { arrive, PASSWORD, readUntil } from "./people.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app[Symbol.asyncDispose]());

const bytes = (text: string) => new TextEncoder().encode(text);
const textOf = (event: ClientEvent) => (event.type === "key_exchange" ? atob(event.payload) : "");
const isText = (text: string) => (event: ClientEvent) => textOf(event) === text;
const taken = (events: readonly ClientEvent[]) => events.map(textOf).filter((text) => text !== "");

describe("SottoClient.keyExchange()", () => {
  test("reaches a device that was away, and the answer the one session that asked [KEX-1, KEX-3]", async () => {
    const [ann, ben] = [await arrive(app.url), await arrive(app.url)];
    const { session } = ben.client;
    await ben.client.close();
    await ann.client.keyExchange({ to: ben.id, payload: bytes("hello") });
    await using back = await SottoClient.resume(app.url, session);
    back.connect();
    const event = (await readUntil(back, isText("hello"))).at(-1);
    if (event?.type !== "key_exchange") throw new Error("Something else came");
    expect(event).toMatchObject({ from_user_id: ann.id, from_session_id: ann.client.session.sessionId });
    await back.keyExchange({ to: ann.id, session: event.from_session_id, payload: bytes("answer") });
    await readUntil(ann.client, isText("answer"));
    await ann.client.close();
  });

  test("arrives once and is stored before it is acknowledged, though answers and acknowledgements are lost with the line", async () => {
    const changes: StoreChange[] = [];
    class Watched extends MemoryStore {
      override commit(change: StoreChange): Promise<void> {
        changes.push(change);
        return super.commit(change);
      }
    }
    const ann = await arrive(app.url);
    const ben = await arrive(app.url, { store: new Watched() });
    await Promise.all([ann.reaches("live"), ben.reaches("live")]);
    ann.wire.lets = (direction, text) => !(direction === "came" && text.includes("key_exchange_stored"));
    ben.wire.lets = (direction, text) => {
      const isAck = direction === "went" && text.includes("key_exchange_ack");
      if (isAck)
        expect(changes.some(({ entries = [] }) => entries.some(({ type }) => type === "key_exchange"))).toBe(true);
      return !isAck;
    };
    const handed = ann.client.keyExchange({ to: ben.id, payload: bytes("once") });
    await waitUntil("it was acknowledged", () => ben.wire.went.some((text) => text.includes("key_exchange_ack")));
    for (const person of [ann, ben]) {
      person.wire.lets = () => true;
      person.wire.cut();
    }
    await handed;
    await ann.client.keyExchange({ to: ben.id, payload: bytes("last") });
    expect(taken(await readUntil(ben.client, isText("last")))).toEqual(["once", "last"]);
    expect(ben.wire.came.filter((text) => text.includes(btoa("once"))).length).toBeGreaterThan(1);
    await waitUntil("nothing is held", async () => {
      const held = "select 1 from device_inbox where account = $1 and body is not null";
      return (await app.db.query(held, [ben.id])).length === 0;
    });
    await Promise.all([ann.client.close(), ben.client.close()]);
  });

  test("rejects what is refused for good, and what nobody will answer any more [KEX-5]", async () => {
    const ann = await arrive(app.url);
    const to = crypto.randomUUID() as AccountId;
    const codeOf = (work: Promise<unknown>) =>
      work.then(
        () => "done",
        ({ code }) => code,
      );
    expect(await codeOf(ann.client.keyExchange({ to, payload: bytes("x") }))).toBe("user_not_found");
    const large = new Uint8Array(LIMITS.keyExchangeChars);
    expect(await codeOf(ann.client.keyExchange({ to, payload: large }))).toBe("payload_too_large");
    const idle = await SottoClient.signIn(app.url, { username: ann.name, password: PASSWORD });
    const waiting = codeOf(idle.keyExchange({ to, payload: bytes("x") }));
    await idle.close();
    expect(await waiting).toBe("closed");
    expect(await codeOf(idle.keyExchange({ to, payload: bytes("x") }))).toBe("closed");
    await ann.client.close();
  });
});

describe("Exchanges", () => {
  const refusal = (id: MessageId, code: ErrorCode, details = {}) => ({
    ...({ type: "error", id, code, message: "", retryable: true, request_id: "r", details } as const),
  });

  test("sends at most four at once, again after a pause where it was refused for now, and again on a new socket", async () => {
    const timing = new ManualTiming();
    const sent: MessageId[] = [];
    const exchanges = new Exchanges(timing, (frame) => sent.push(JSON.parse(frame).id) > 0);
    const all = Array.from({ length: 6 }, () => exchanges.handOver({ to: "u" as AccountId, payload: bytes("x") }));
    expect(sent).toEqual([]);
    exchanges.connected();
    expect(sent).toHaveLength(4);
    const [first, second, third] = sent as [MessageId, MessageId, MessageId];
    exchanges.stored(first);
    expect(sent).toHaveLength(5);
    expect(exchanges.refused(refusal(second, "rate_limited", { retry_after_ms: 5_000 }))).toBe(true);
    expect(sent).toHaveLength(6);
    timing.advance(4_999);
    exchanges.stored(third);
    expect(sent).toHaveLength(6);
    timing.advance(10_000);
    expect(sent.at(-1)).toBe(second);
    exchanges.disconnected();
    exchanges.connected();
    expect(sent).toHaveLength(7 + 4);
    for (const id of new Set(sent)) exchanges.stored(id);
    await Promise.all(all);
    expect(new Set(sent).size).toBe(6);
    expect(exchanges.refused(refusal(first, "busy"))).toBe(false);
  });
});
