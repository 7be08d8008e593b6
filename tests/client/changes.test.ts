/** Editing, reacting and deleting by the SDK, against a real server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ClientEvent, type Fetch, MemoryStore, type Signal, SottoClient } from "../../src/client/mod.ts";
import type { MessageId } from "../../src/protocol/mod.ts";
import { startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";
import { arrive, keysFor, PASSWORD, readUntil, type TestPerson } from "./people.ts";

let app: TestApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app[Symbol.asyncDispose]());

/** Two people and their dm. */
async function pair(options: Parameters<typeof arrive>[1] = {}) {
  const [a, b] = await Promise.all([arrive(app.url, { index: 0, ...options }), arrive(app.url, { index: 1 })]);
  const { id: dm } = await a.client.api.createConversation({ conversation_type: "dm", participant_ids: [b.id] });
  const end = async () => {
    await Promise.all([a.client.close(), b.client.close()]);
  };
  return { a, b, dm, [Symbol.asyncDispose]: end };
}

/** What somebody reads up to an edit of this text, without ids. */
async function readTo(person: TestPerson, text: string | null): Promise<unknown[]> {
  const events = await readUntil(person.client, (event) => event.type === "edit" && event.text === text);
  return events.flatMap((event) => (event.type === "message" || event.type === "edit" ? [said(event)] : []));
}
const said = (event: Extract<ClientEvent, { type: "message" | "edit" }>) => [event.type, event.text, event.fault];

describe("SottoClient", () => {
  test("edits: the other reads the text, the server has ciphertext, and who was away gets the message as it is [CHG-1]", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const { id } = await a.client.send(dm, "Meet me at nine");
    await a.client.edit(dm, id, "Meet me at ten");
    const seen = [
      ["message", "Meet me at nine", null],
      ["edit", "Meet me at ten", null],
    ];
    expect(await readTo(a, "Meet me at ten")).toEqual(seen);
    expect(await readTo(b, "Meet me at ten")).toEqual(seen);
    b.wire.lets = (direction) => direction !== "came"; // away, without knowing it
    await a.client.send(dm, "And bring tea").then((receipt) => a.client.edit(dm, receipt.id, "And bring cake"));
    b.wire.lets = () => true;
    b.wire.cut();
    expect(await readTo(b, "And bring cake")).toEqual([
      ["message", "And bring cake", null],
      ["edit", "And bring cake", null],
    ]);
    const stored = await app.db.query("select encode(body, 'escape') as body from events where conversation = $1", [
      dm,
    ]);
    expect(JSON.stringify(stored)).not.toMatch(/Meet|cake/);
  });

  test("shows an edit that the server passes for one of another message, or for a message, as damaged", async () => {
    await using both = await pair();
    const { a, b, dm } = both;
    const one = await a.client.send(dm, "I agree");
    const other = await a.client.send(dm, "I refuse");
    b.wire.alters = (text) => (text.includes('"edit"') ? text.replaceAll(one.id, other.id) : text);
    await a.client.edit(dm, one.id, "I do agree");
    expect((await readTo(b, null)).at(-1)).toEqual(["edit", null, "wrong_message"]);
    b.wire.alters = (text) =>
      text.includes('"type":"edit"') ? text.replace('"type":"edit"', '"type":"message"') : text;
    await a.client.edit(dm, one.id, "I do");
    const events = await readUntil(b.client, (event) => event.type === "message");
    expect(events.at(-1)).toMatchObject({ type: "message", text: null, fault: "wrong_message" });
  });

  test("reacts, takes it back, and deletes, for all and for itself; both are told [CHG-2, CHG-3, CHG-5]", async () => {
    const signals: Signal[] = [];
    await using both = await pair({ onSignal: (signal) => signals.push(signal) });
    const { a, b, dm } = both;
    const { id } = await a.client.send(dm, "Meet me at nine");
    await b.client.react(dm, id, "👍");
    await b.client.unreact(dm, id, "👍");
    const { id: another } = await b.client.send(dm, "No");
    await a.client.deleteForMe(dm, another);
    await a.client.deleteForAll(dm, id);
    for (const { client } of [a, b]) {
      const events = await readUntil(client, (event) => event.type === "deletion");
      expect(events.map((event): string => ("change" in event ? event.change : event.type))).toEqual([
        ...["created", "message", "added", "removed", "message", "deletion"],
      ]);
    }
    await waitUntil("the device was told", () => signals.some(({ type }) => type === "message_hidden"));
    const hidden = { conversation_id: dm, message_id: another, message_seq: 5, number: 1 };
    expect(signals.find(({ type }) => type === "message_hidden")).toEqual({ type: "message_hidden", ...hidden });
    expect(await a.client.api.hiddenMessages()).toEqual({ messages: [hidden], more: false });
    expect(await a.client.api.hiddenMessages(1)).toEqual({ messages: [], more: false });
    await expect(a.client.edit(dm, id, "back")).rejects.toMatchObject({ code: "gone" });
    await expect(a.client.edit(dm, another as MessageId, "mine")).rejects.toMatchObject({ code: "forbidden" });
  });

  test("tells after an absence what was deleted for the account elsewhere, and after a restart nothing twice [CHG-5]", async () => {
    const signals: Signal[] = [];
    const onSignal = (signal: Signal) => void signals.push(signal);
    const store = new MemoryStore();
    await using both = await pair({ onSignal, store });
    const { a, b, dm } = both;
    const hidden = () => signals.flatMap((signal) => (signal.type === "message_hidden" ? [signal.number] : []));
    const ids: MessageId[] = [];
    for (const text of ["one", "two", "three", "four"]) ids.push((await b.client.send(dm, text)).id);
    await readUntil(a.client, (event) => event.type === "message" && event.text === "four");
    const other = await SottoClient.signIn(app.url, { username: a.name, password: PASSWORD, keys: await keysFor(0) });
    await a.client.deleteForMe(dm, ids[0] as MessageId);
    await waitUntil("the first was told", () => hidden().length === 1);
    a.wire.lets = (direction) => direction !== "came"; // away, without knowing it
    for (const id of ids.slice(1, 3)) await other.deleteForMe(dm, id);
    a.wire.lets = () => true;
    a.wire.cut();
    await waitUntil("what was missed was told", () => hidden().length === 3);
    await waitUntil("and kept", async () => (await store.load()).hidden === 3);
    await other.deleteForMe(dm, ids[3] as MessageId);
    await waitUntil("the last was told", () => hidden().length === 4);
    expect(hidden()).toEqual([1, 2, 3, 4]);
    await a.client.close();
    signals.length = 0;
    const { id: more } = await b.client.send(dm, "five");
    await other.deleteForMe(dm, more);
    const again = await SottoClient.resume(app.url, a.client.session, { store, onSignal, keys: await keysFor(0) });
    again.connect();
    await waitUntil("the next was told", () => hidden().length > 0);
    expect(hidden()).toEqual([5]);
    await Promise.all([again.close(), other.close()]);
  });

  test("repeats an edit whose answer was lost, and it is stored once", async () => {
    let lost = 0;
    const lossy: Fetch = async (address, init) => {
      const answer = await fetch(address, init);
      if (init.method === "PUT" && lost++ < 2) throw new TypeError("The connection was cut");
      return answer;
    };
    await using both = await pair({ fetch: lossy });
    const { a, dm } = both;
    const { id } = await a.client.send(dm, "one");
    await a.client.edit(dm, id, "two");
    expect(lost).toBe(3);
    expect(await app.db.query("select 1 from events where conversation = $1 and kind = 4", [dm])).toHaveLength(1);
  });
});
