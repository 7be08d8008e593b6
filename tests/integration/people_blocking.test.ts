/**
 * What a block does, at two nodes: the blocker is never given what the blocked says in a dm, and nothing
 * that the blocked can ask or see tells them so.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus });
  nodes = [one, await one.another({ bus })];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
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

  test("the blocker is never given what is said, by socket, after reconnecting, by page, and after the end of the block [BLK-1]", async () => {
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
    expect(live.entries(id).map((entry: Frame) => [entry.seq, entry.type])).toEqual(
      kinds.map((kind, i) => [i + 1, kind]),
    );
    using again = await (await ben.signIn()).live();
    expect(again.entries(id).map((entry: Frame) => entry.type)).toEqual(kinds.slice(again.entries(id)[0]?.seq - 1));
    expect((await history(ben, id)).map((entry: Frame) => entry.type)).toEqual(kinds);
    const all = [
      live.frames,
      again.frames,
      await history(ben, id),
      (await ben.request("GET", "/api/conversations")).json,
    ];
    expect(JSON.stringify(all)).not.toContain(canary);
  });

  test("the blocked sees of a dm exactly what they would see if the other were away [BLK-2]", async () => {
    const [blocked, away] = [await pair(), await pair()];
    await block(blocked.ben, blocked.ann);
    expect(await sawOf(blocked)).toEqual(await sawOf(away));
  });

  test("what node believes what about a block decides nothing: hundreds of sends race with six of them [BLK-1]", async () => {
    const { ann, ben, id } = await pair();
    using reader = await ben.live();
    using writer = await ann.live();
    const sent: string[] = [];
    /** Texts that were begun and answered while the block held all the time. */
    const mustBeWithheld: string[] = [];
    const mustCome: string[] = [];
    const say = async (into: string[]) => {
      for (let i = 0; i < 10; i++) {
        const text = `text_${sent.push("") - 1}_`;
        expect((await writer.say(id, text)).type).toBe("receipt");
        into.push(text);
      }
    };
    for (let round = 0; round < 6; round++) {
      const during = say([]);
      expect((await block(ben, ann)).status).toBe(204);
      await during;
      await say(mustBeWithheld);
      const ending = say([]);
      expect((await unblock(ben, ann)).status).toBe(204);
      await ending;
      await say(mustCome);
    }
    const top = 1 + sent.length;
    await post(ann, id, "the end");
    await reader.until(() => reader.entries(id).some((entry) => entry.encrypted_content === "the end"));
    reader.acknowledge(id, top);
    const came = reader.entries(id);
    expect(came.map((entry: Frame) => entry.seq)).toEqual(Array.from({ length: top + 1 }, (_, i) => i + 1));
    const read: Frame[] = [];
    const wrote: Frame[] = [];
    for (let after = 0; after <= top; after += 100) {
      const path = `/api/conversations/${id}/messages?limit=100&after_seq=${after}`;
      read.push(...(await ben.request("GET", path)).json.messages);
      wrote.push(...(await ann.request("GET", path)).json.messages);
    }
    // What came by socket is what the log says, entry by entry.
    expect(came.map((entry: Frame) => [entry.seq, entry.type])).toEqual(read.map((entry) => [entry.seq, entry.type]));
    const texts = new Set(read.map((entry) => entry.encrypted_content));
    expect(mustBeWithheld.filter((text) => texts.has(text))).toEqual([]);
    expect(mustCome.filter((text) => !texts.has(text))).toEqual([]);
    expect(wrote.map((entry) => entry.type)).toEqual(["membership", ...Array.from({ length: top }, () => "message")]);
  }, 60_000);

  test("a dm that the blocked begin is not listed or pushed to the blocker until the block ends [BLK-3]", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    await block(ben, ann);
    using live = await ben.live();
    const dms = await Promise.all([60, 61, 62].map((retention_seconds) => ann.dm(ben, { retention_seconds })));
    expect(new Set(dms).size).toBe(3);
    for (const id of dms) expect((await post(ann, id, "hello")).status).toBe(201);
    expect((await ann.request("GET", "/api/conversations")).json.conversations).toHaveLength(3);
    using again = await (await ben.signIn()).live();
    await Promise.all([live.settled(), again.settled()]);
    for (const id of dms) expect([...live.entries(id), ...again.entries(id)]).toEqual([]);
    expect((await ben.request("GET", "/api/conversations")).json.conversations).toEqual([]);
    const refused = await ben.request("POST", "/api/conversations", {
      conversation_type: "dm",
      participant_ids: [ann.id],
    });
    expect([refused.status, refused.json.error.code]).toEqual([409, "user_blocked"]);
    await unblock(ben, ann);
    expect((await ben.request("GET", "/api/conversations")).json.conversations).toHaveLength(3);
    expect(JSON.stringify(await history(ben, dms[0] as ConversationId))).not.toContain("hello");
  });

  test("neither is told that the other types or has read, and both are once it ends [BLK-3]", async () => {
    const { ann, ben, id } = await pair();
    await post(ann, id, "before");
    using a = await ann.live();
    using b = await ben.live();
    const typing = { type: "typing_start", conversation_id: id };
    // Known to both nodes before, so that an outdated belief would show.
    a.send(typing);
    b.send(typing);
    await Promise.all([a.next("typing_start"), b.next("typing_start")]);
    const [seenByAnn, seenByBen] = [a.frames.length, b.frames.length];
    await block(ben, ann);
    // Both nodes have looked at it since, and both sockets know how far the log goes: a round trip tells when
    // what follows was handled, for nothing of it waits for the database.
    for (const peer of [a, b]) {
      const { id: said, in_order } = await peer.say(id, "meanwhile");
      await peer.until(() => in_order || peer.entries(id).some((entry) => entry.id === said));
    }
    a.send(typing);
    b.send(typing);
    b.send({ type: "message_read", conversation_id: id, seq: 2 });
    a.send({ type: "message_read", conversation_id: id, seq: 2 });
    await Promise.all([a.settled(), b.settled()]);
    await unblock(ben, ann);
    const stop = { type: "typing_stop", conversation_id: id };
    a.send(stop);
    b.send(stop);
    await Promise.all([a.next("typing_stop"), b.next("typing_stop")]);
    // Their own devices are told of their own marks, as ever.
    const toldOf = (other: Person, frames: readonly Frame[]) =>
      frames.filter(
        ({ type, user_id }) => (type === "typing_start" || type === "message_read") && user_id === other.id,
      );
    expect([toldOf(ben, a.frames.slice(seenByAnn)), toldOf(ann, b.frames.slice(seenByBen))]).toEqual([[], []]);
  });

  test("groups go on as before, and relayed messages are withheld like others", async () => {
    const { ann, ben } = await pair();
    const group = await ann.group([ben]);
    await block(ben, ann);
    await post(ann, group, "to all");
    expect((await history(ben, group)).at(-1).encrypted_content).toBe("to all");
    const relayed = await ann.request("POST", "/messages", { recipient_id: ben.id, encrypted_data: "QUJD" });
    expect(relayed.status).toBe(201);
    expect((await ben.request("GET", "/messages")).json.messages).toEqual([]);
    expect((await ben.request("PUT", `/messages/${relayed.json.id}/delivered`, {})).status).toBe(404);
    await unblock(ben, ann);
    expect((await ben.request("GET", "/messages")).json.messages).toEqual([]);
    const later = await ann.request("POST", "/messages", { recipient_id: ben.id, encrypted_data: "REVG" });
    expect((await ben.request("GET", "/messages")).json.messages.map(({ id }: { id: string }) => id)).toEqual([
      later.json.id,
    ]);
    expect((await ben.request("PUT", `/messages/${later.json.id}/delivered`, {})).status).toBe(200);
  });
});

/** All that somebody can see of a dm with somebody who is away, on two devices at two nodes, without ids and times. */
async function sawOf({ ann, ben, id }: { readonly ann: Person; readonly ben: Person; readonly id: ConversationId }) {
  const saw: unknown[] = [];
  const second = await ann.signIn({ url: nodes[1].url });
  {
    using device = await ann.live();
    using twin = await second.live();
    const mine = newMessageId();
    saw.push(answerShape(await post(ann, id, "one", mine)), answerShape(await post(second, id, "one", mine)));
    saw.push(answerShape(await post(ann, id, "another", mine)));
    await device.until(() => device.entries(id).length > 0); // its own place, so that what follows is in order
    const twice = newMessageId();
    const receipt = await device.say(id, "two", { id: twice });
    const repeated = await device.say(id, "two", { id: twice });
    expect(repeated.seq).toBe(receipt.seq);
    saw.push(receipt.seq, receipt.in_order, shapeOf(receipt), shapeOf(await device.say(id, "three", { id: twice })));
    await twin.until(() => twin.entries(id).some(({ seq }) => seq === receipt.seq));
    saw.push(answerShape(await ann.request("PUT", `/api/messages/${mine}`, { encrypted_content: "edited" })));
    for (let i = 0; i < 2; i++) {
      saw.push(answerShape(await second.request("POST", `/api/messages/${mine}/reactions`, { emoji: "👍" })));
    }
    saw.push(answerShape(await ann.request("DELETE", `/api/messages/${twice}`)));
    await twin.until(() => twin.entries(id).some(({ type }) => type === "deletion"));
    device.send({ type: "typing_start", conversation_id: id });
    device.send({ type: "message_read", conversation_id: id, seq: receipt.seq });
    await Promise.all([device.settled(), twin.settled()]);
    saw.push(twin.entries(id).map((entry) => [entry.seq, shapeOf(entry)]));
    saw.push(device.frames.filter(({ type }) => type === "error").map(shapeOf));
  }
  using third = await (await ann.signIn()).live();
  saw.push(third.frames.map(shapeOf));
  const paths = [
    `/api/conversations/${id}`,
    `/api/conversations/${id}/messages`,
    "/api/conversations",
    `/api/users/${ben.id}`,
  ];
  for (const person of [ann, second]) {
    for (const path of paths) saw.push(answerShape(await person.request("GET", path)));
  }
  saw.push((await history(ann, id)).map((entry: Frame) => [entry.seq, entry.type, entry.encrypted_content]));
  const { message_count, last_seq } = (await ann.request("GET", `/api/conversations/${id}`)).json;
  saw.push(message_count, last_seq);
  saw.push(
    answerShape(
      await ann.request("POST", "/api/conversations", { conversation_type: "dm", participant_ids: [ben.id] }),
    ),
  );
  const fresh = { conversation_type: "dm", participant_ids: [ben.id], retention_seconds: 600 };
  saw.push(answerShape(await ann.request("POST", "/api/conversations", fresh)));
  saw.push(answerShape(await ann.request("POST", "/messages", { recipient_id: ben.id, encrypted_data: "QUJD" })));
  return saw;
}
