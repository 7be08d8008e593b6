/** What the SDK tells of the messages it sent, of who types and of who is there. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Signal, SottoClient, type StatusUpdate } from "../../src/client/mod.ts";
import { Typing } from "../../src/client/typing.ts";
import type { AccountId, ConversationId, MessageId } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";
import { ManualTiming } from "./manual_timing.ts";
import { arrive, keysFor, PASSWORD, read, type TestPerson } from "./people.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startApp({ cursorFlushMs: 100, hub: { presence: { lookMs: 50 } } });
});
afterAll(() => app[Symbol.asyncDispose]());

const of = (updates: readonly StatusUpdate[], id: MessageId) =>
  updates.filter((update) => update.id === id).map(({ status }) => status);

/** Somebody who notes what they are told. */
async function observer(index: number): Promise<TestPerson & { updates: StatusUpdate[]; signals: Signal[] }> {
  const [updates, signals]: [StatusUpdate[], Signal[]] = [[], []];
  const person = await arrive(app.url, {
    index,
    onMessageStatus: (update) => void updates.push(update),
    onSignal: (signal) => void signals.push(signal),
  });
  return { ...person, updates, signals };
}

describe("the statuses of sent messages", () => {
  test("go from sending to read in a dm, each once", async () => {
    const [a, b] = await Promise.all([observer(0), observer(1)]);
    const { id: dm } = await a.client.api.createConversation({ conversation_type: "dm", participant_ids: [b.id] });
    await a.reaches("live");
    const receipt = await a.client.send(dm, "hello");
    await read(b.client, 1);
    await waitUntil("it is delivered", () => of(a.updates, receipt.id).includes("delivered"));
    b.client.markRead(dm, receipt.seq);
    await waitUntil("it is read", () => of(a.updates, receipt.id).includes("read"));
    expect(of(a.updates, receipt.id)).toEqual(["sending", "sent", "delivered", "read"]);
    expect(b.updates).toEqual([]);
    await Promise.all([a.client.close(), b.client.close()]);
  });

  test("count everybody in a group", async () => {
    const [a, b, c] = await Promise.all([observer(0), observer(1), observer(0)]);
    const { id } = await a.client.api.createConversation({
      ...{ conversation_type: "group", encryption: "server", participant_ids: [b.id, c.id] },
    });
    await Promise.all([a, b, c].map((one) => one.reaches("live")));
    const receipt = await a.client.send(id, "hello");
    await Promise.all([read(b.client, 1), read(c.client, 1)]);
    b.client.markRead(id, receipt.seq);
    await waitUntil("it is delivered", () => of(a.updates, receipt.id).includes("delivered"));
    await waitUntil("she knows that one has read", () => a.signals.some(({ type }) => type === "message_read"));
    expect(of(a.updates, receipt.id)).toEqual(["sending", "sent", "delivered"]);
    c.client.markRead(id, receipt.seq);
    await waitUntil("all have read it", () => of(a.updates, receipt.id).includes("read"));
    await Promise.all([a, b, c].map(({ client }) => client.close()));
  });

  test("are asked for after a time without a connection, and a refusal is told", async () => {
    const [a, b] = await Promise.all([observer(0), observer(1)]);
    const { id: dm } = await a.client.api.createConversation({ conversation_type: "dm", participant_ids: [b.id] });
    await a.reaches("live");
    const receipt = await a.client.send(dm, "hello");
    a.wire.lets = (_, text) => !/message_(read|delivered)/.test(text);
    await read(b.client, 1);
    b.client.markRead(dm, receipt.seq);
    await waitUntil("the mark was lost", () => a.wire.came.some((text) => text.includes("message_read")));
    await waitUntil("it is stored", async () => {
      const { messages } = await a.client.api.history(dm);
      return messages.some((entry) => "status" in entry && entry.status === "read");
    });
    expect(of(a.updates, receipt.id)).toEqual(["sending", "sent"]);
    a.wire.cut();
    await waitUntil("it is read", () => of(a.updates, receipt.id).includes("read"));
    const refused = await a.client.send(dm, { content: "this is no ciphertext" }).catch((error) => error);
    expect(refused.code).toBe("encryption_mismatch");
    await waitUntil("the refusal is told", () => a.updates.at(-1)?.status === "failed");
    await Promise.all([a.client.close(), b.client.close()]);
  });
});

describe("who is there", () => {
  test("is told as a signal, with what a device says", async () => {
    const [a, b] = await Promise.all([observer(0), observer(1)]);
    await a.client.api.createConversation({ conversation_type: "dm", participant_ids: [b.id] });
    await Promise.all([a.reaches("live"), b.reaches("live")]);
    const again: Signal[] = [];
    const other = await SottoClient.signIn(app.url, {
      ...{ username: a.name, password: PASSWORD, keys: await keysFor(0) },
      onSignal: (signal) => void again.push(signal),
    });
    other.connect();
    await waitUntil("the new device knows that Ben is there", () =>
      again.some(
        (signal) => signal.type === "presence_update" && signal.user_id === b.id && signal.status === "online",
      ),
    );
    expect(b.client.setDeviceStatus("away")).toBe(true);
    await waitUntil("Ben is away", async () => {
      const { accessToken } = a.client.session;
      const answer = await fetch(`${app.url}/api/users/${b.id}`, {
        headers: { authorization: `Bearer ${accessToken}` },
      });
      return ((await answer.json()) as { status: string }).status === "away";
    });
    await Promise.all([a.client.close(), b.client.close(), other.close()]);
  });
});

describe("Typing", () => {
  const place = { conversation_id: "c" as ConversationId, user_id: "u" as AccountId };
  const world = () => {
    const timing = new ManualTiming();
    const told: string[] = [];
    return { timing, told, typing: new Typing(timing, ({ type }) => void told.push(type)) };
  };

  test("ends six seconds after it was heard last, and is told once meanwhile [TYP-1]", () => {
    const { timing, told, typing } = world();
    for (let i = 0; i < 5; i++) {
      typing.heard({ type: "typing_start", ...place });
      timing.advance(5_999);
    }
    expect(told).toEqual(["typing_start"]);
    timing.advance(1);
    expect(told).toEqual(["typing_start", "typing_stop"]);
    expect(timing.waiting).toBe(0);
  });

  test("ends with what was said, and at once when it is told", () => {
    const { timing, told, typing } = world();
    typing.heard({ type: "typing_start", ...place });
    typing.said(place.conversation_id, place.user_id);
    typing.said(place.conversation_id, place.user_id);
    typing.heard({ type: "typing_start", ...place });
    typing.heard({ type: "typing_stop", ...place });
    timing.advance(10_000);
    expect(told).toEqual(["typing_start", "typing_stop", "typing_start", "typing_stop"]);
  });

  test("goes out once in three seconds, and again after it was ended", () => {
    const { timing, typing } = world();
    const says = () => typing.shouldSay(place.conversation_id, true);
    expect([says(), says()]).toEqual([true, false]);
    timing.advance(3_000);
    expect([says(), says()]).toEqual([true, false]);
    expect(typing.shouldSay(place.conversation_id, false)).toBe(true);
    expect(says()).toBe(true);
  });
});
