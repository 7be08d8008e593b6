/** Editing, deleting and reacting over real HTTP and sockets, at two nodes: who sees what, when, and what is left of it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { purgeBodies, purgeExpired } from "../../src/conversations/partitions.ts";
import { type ConversationId, type MessageId, newMessageId } from "../../src/protocol/mod.ts";
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

/** Ann at one node, Ben at the other, and what both are in. */
async function pair(make: "dm" | "group" = "dm", more: object = {}) {
  const ann = await nodes[0].person();
  const ben = await nodes[1].person();
  const id = make === "dm" ? await ann.dm(ben, more) : await ann.group([ben], more);
  return { ann, ben, id };
}

async function post(who: Person, id: ConversationId, text: string, more: object = {}): Promise<MessageId> {
  const body = { id: newMessageId(), encrypted_content: text, ...more };
  const answer = await who.request("POST", `/api/conversations/${id}/messages`, body);
  expect(answer.status).toBe(201);
  return answer.json.id;
}
const edit = (who: Person, id: MessageId, text: string, more: object = {}) =>
  who.request("PUT", `/api/messages/${id}`, { encrypted_content: text, ...more });
const remove = (who: Person, id: MessageId, query = "") => who.request("DELETE", `/api/messages/${id}${query}`);
const reactTo = (who: Person, id: MessageId, emoji: string) =>
  who.request("POST", `/api/messages/${id}/reactions`, { emoji });
const unreact = (who: Person, id: MessageId, emoji: string) =>
  who.request("DELETE", `/api/messages/${id}/reactions/${encodeURIComponent(emoji)}`);
const page = async (who: Person, id: ConversationId): Promise<Frame[]> =>
  (await who.request("GET", `/api/conversations/${id}/messages?after_seq=0`)).json.messages;
/** A message on somebody's page, without how far it got: that is the caller's own to see. */
async function shown(who: Person, id: ConversationId, message: MessageId): Promise<Frame> {
  const { status: _, ...entry } = (await page(who, id)).find(({ id }) => id === message);
  return entry;
}
const codeOf = ({ status, json }: HttpAnswer) => `${status} ${json?.error?.code}`;

/** Every text that the server still holds of a conversation, and what it knows of its changes. */
async function held(id: ConversationId): Promise<string> {
  const bodies = await nodes[0].db.query(
    "select convert_from(body, 'UTF8') as body from events where conversation = $1",
    [id],
  );
  const reactions = await nodes[0].db.query("select emoji from reactions where conversation = $1", [id]);
  return JSON.stringify([bodies, reactions]);
}

describe("editing", () => {
  test("reaches both nodes, devices that were away, and pages, and the message shows its newest content [CHG-1]", async () => {
    const { ann, ben, id } = await pair();
    const away = await ben.signIn();
    const message = await post(ann, id, "first", { reply_to: newMessageId() });
    using live = await ben.live();
    const original = await shown(ann, id, message);
    const editId = newMessageId();
    const answer = await edit(ann, message, "second", { id: editId });
    expect([answer.status, answer.json]).toEqual([
      200,
      {
        ...original,
        encrypted_content: "second",
        edit_id: editId,
        edited_at: expect.any(String),
        reactions: undefined,
      },
    ]);
    const pushed = await live.next("edit");
    expect(pushed).toMatchObject({
      ...{ id: editId, seq: 3, sender_id: ann.id, message_id: message, message_seq: 2, message_type: "text" },
      ...{ encrypted_content: "second", reply_to: original.reply_to },
    });
    expect(await shown(ben, id, message)).toEqual({
      ...original,
      encrypted_content: "second",
      edit_id: editId,
      edited_at: pushed.created_at,
    });
    // A device that was away is given the message as it is, and the edit in its place.
    using late = await away.live();
    expect(late.entries(id).map((entry: Frame) => [entry.seq, entry.type, entry.encrypted_content])).toEqual(
      [
        [1, "membership", undefined],
        [2, "message", "second"],
        [3, "edit", "second"],
      ].slice(-late.entries(id).length),
    );
    expect(late.entries(id).length).toBeGreaterThan(1);
    expect((await edit(ann, message, "third")).json.encrypted_content).toBe("third");
    expect((await shown(ben, id, message)).encrypted_content).toBe("third");
  });

  test("is the sender's alone, of messages alone, of the right kind of content, and a retry stores nothing [CHG-1]", async () => {
    const { ann, ben, id } = await pair("group");
    const message = await post(ann, id, "first");
    expect(codeOf(await edit(ben, message, "mine"))).toBe("403 forbidden");
    const { id: created } = (await page(ann, id))[0];
    expect(codeOf(await edit(ann, created, "x"))).toBe("404 message_not_found");
    expect(codeOf(await ann.request("PUT", `/api/messages/${message}`, { content: "plain" }))).toBe(
      "422 encryption_mismatch",
    );
    const again = { id: newMessageId() };
    for (let i = 0; i < 3; i++) expect((await edit(ann, message, "second", again)).status).toBe(200);
    expect(codeOf(await edit(ann, message, "another", again))).toBe("409 idempotency_conflict");
    expect(codeOf(await edit(ann, await post(ann, id, "x"), "second", again))).toBe("409 idempotency_conflict");
    expect((await page(ann, id)).map((entry) => entry.type)).toEqual(["membership", "message", "edit", "message"]);
    const old = "01800000-0000-7000-8000-000000000000";
    expect(codeOf(await edit(ann, message, "late", { id: old }))).toBe("422 id_out_of_window");
    // Nothing of it counts as said.
    expect((await ann.request("GET", `/api/conversations/${id}`)).json.message_count).toBe(2);
  });

  test("is sealed where the server encrypts, in the table and not for readers", async () => {
    const { ann, ben, id } = await pair("group", { encryption: "server" });
    const text = "plain words 4711";
    const { json } = await ann.request("POST", `/api/conversations/${id}/messages`, {
      content: "before",
      message_type: "image",
    });
    const answer = await ann.request("PUT", `/api/messages/${json.id}`, { content: text });
    expect(answer.json).toMatchObject({ content: text, message_type: "image", id: json.id, seq: json.seq });
    expect(await shown(ben, id, json.id)).toMatchObject({ content: text, message_type: "image" });
    const raw = await nodes[0].db.query("select encode(body, 'escape') as body from events where conversation = $1", [
      id,
    ]);
    expect(JSON.stringify(raw)).not.toContain("4711");
  });

  test("of a reader who came later or left before is not given to them [RES-7]", async () => {
    const { ann, ben, id } = await pair("group");
    const cem = await nodes[0].person();
    const message = await post(ann, id, "first");
    await ann.request("DELETE", `/api/conversations/${id}/participants/${ben.id}`);
    await edit(ann, message, "while ben was away");
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: cem.id });
    expect(codeOf(await reactTo(cem, message, "👍"))).toBe("404 message_not_found");
    expect(codeOf(await reactTo(ben, message, "👍"))).toBe("404 message_not_found");
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: ben.id });
    expect((await shown(ben, id, message)).encrypted_content).toBe("first");
    expect(JSON.stringify(await page(ben, id))).not.toContain("while ben was away");
    await edit(ann, message, "back again");
    expect((await shown(ben, id, message)).encrypted_content).toBe("back again");
  });
});

describe("replies", () => {
  test("name what they answer by an id that nobody looks up, and so does what was edited [MSG-11]", async () => {
    const { ann, ben, id } = await pair();
    const first = await post(ann, id, "first");
    const nowhere = newMessageId();
    const answers = [
      await post(ben, id, "yes", { reply_to: first }),
      await post(ben, id, "what?", { reply_to: nowhere }),
    ];
    for (const answer of answers) expect((await edit(ben, answer, "edited")).status).toBe(200);
    await remove(ann, first);
    const messages = (await page(ann, id)).filter(({ type }) => type === "message");
    expect(messages.map(({ reply_to, encrypted_content }) => [reply_to, encrypted_content])).toEqual([
      [first, "edited"],
      [nowhere, "edited"],
    ]);
  });
});

describe("who may not send", () => {
  test("neither edits nor reacts, and may still take back what was said", async () => {
    const { ann, ben, id } = await pair("group");
    const [hers, his] = [await post(ann, id, "hers"), await post(ben, id, "his")];
    await nodes[0].db.query("update members set can_send = false where conversation = $1 and account = $2", [
      id,
      ben.id,
    ]);
    expect(codeOf(await edit(ben, his, "x"))).toBe("403 forbidden");
    expect(codeOf(await reactTo(ben, hers, "👍"))).toBe("403 forbidden");
    expect((await remove(ben, his)).status).toBe(204);
    expect((await remove(ben, hers, "?for=me")).status).toBe(204);
  });
});

describe("an entry that a newer version wrote", () => {
  test("keeps its place, for devices and pages, and stops nobody [CHG-6]", async () => {
    const { ann, ben, id } = await pair();
    await post(ann, id, "one");
    const unknown = await post(ann, id, "two");
    await post(ann, id, "three");
    await nodes[0].db.query("update events set kind = 99 where id = $1", [unknown]);
    expect((await page(ben, id)).map(({ type, reason }) => reason ?? type)).toEqual([
      ...["membership", "message", "unknown", "message"],
    ]);
    using live = await ben.live();
    live.send({ type: "resume", cursors: { [id]: 1 } });
    await live.next("caught_up");
    expect(
      live
        .entries(id)
        .slice(-3)
        .map(({ seq }) => seq),
    ).toEqual([2, 3, 4]);
    expect(codeOf(await edit(ann, unknown, "x"))).toBe("404 message_not_found");
  });
});

describe("deleting for all", () => {
  test("leaves nothing of the message, its edits and its reactions, at once and on every node [CHG-2]", async () => {
    const { ann, ben, id } = await pair();
    const message = await post(ann, id, "canary1");
    await edit(ann, message, "canary2");
    await edit(ann, message, "canary3");
    await reactTo(ben, message, "🐤");
    await reactTo(ann, message, "🐥");
    const away = await ben.signIn();
    using live = await ben.live();
    expect((await remove(ann, message)).status).toBe(204);
    expect(await live.next("deletion")).toMatchObject({ message_id: message, message_seq: 2, sender_id: ann.id });
    expect(await held(id)).not.toMatch(/canary|🐤|🐥/);
    expect((await page(ben, id)).map((entry) => [entry.seq, entry.type, entry.reason])).toEqual([
      [1, "membership", undefined],
      ...[2, 3, 4, 5, 6].map((seq) => [seq, "tombstone", "deleted"]),
      [7, "deletion", undefined],
    ]);
    using late = await away.live();
    expect(JSON.stringify(late.frames)).not.toMatch(/canary|🐤|🐥/);
    // Again is the same; what is gone cannot be changed.
    expect((await remove(ann, message)).status).toBe(204);
    expect((await page(ann, id)).length).toBe(7);
    expect(codeOf(await edit(ann, message, "back"))).toBe("410 gone");
    expect(codeOf(await reactTo(ben, message, "👍"))).toBe("410 gone");
  });

  test("is for the sender, and in groups for owners and admins too [CHG-2]", async () => {
    const dm = await pair();
    expect(codeOf(await remove(dm.ben, await post(dm.ann, dm.id, "mine")))).toBe("403 forbidden");
    const { ann, ben, id } = await pair("group");
    expect(codeOf(await remove(ben, await post(ann, id, "owner's")))).toBe("403 forbidden");
    expect((await remove(ann, await post(ben, id, "member's"))).status).toBe(204);
    expect((await page(ben, id)).at(-1)).toMatchObject({ type: "deletion", sender_id: ann.id });
  });

  test("against edits and reactions at once leaves nothing, whoever comes first", async () => {
    const { ann, ben, id } = await pair();
    for (let round = 0; round < 8; round++) {
      const message = await post(ann, id, `canary${round}`);
      const answers = await Promise.all([
        ...[1, 2, 3].map((i) => edit(ann, message, `canary${round}.${i}`)),
        ...["👍", "👎"].map((emoji) => reactTo(ben, message, emoji)),
        remove(ann, message),
        edit(ann.at(nodes[1].url), message, `canary${round}.4`),
      ]);
      for (const { status } of answers) expect([200, 201, 204, 410]).toContain(status);
    }
    expect(await held(id)).not.toMatch(/canary|👍|👎/);
    const log = await page(ben, id);
    expect(log.map(({ seq }) => seq)).toEqual(log.map((_, i) => i + 1));
  }, 60_000);

  test("of an unknown id, a stranger's and a withheld one is refused alike [CHG-4]", async () => {
    const { ann, ben, id } = await pair();
    const stranger = await nodes[0].person();
    await ben.request("POST", `/api/users/${ann.id}/block`);
    const withheld = await post(ann, id, "withheld");
    const tries = (who: Person, message: MessageId) =>
      Promise.all([
        edit(who, message, "x"),
        remove(who, message),
        remove(who, message, "?for=me"),
        reactTo(who, message, "👍"),
        unreact(who, message, "👍"),
      ]);
    const refusals = (answers: HttpAnswer[]) =>
      answers.map(({ status, json }) => [status, { ...json.error, requestId: "" }]);
    const unknown = refusals(await tries(stranger, newMessageId()));
    expect(unknown.map(([status]) => status)).toEqual([404, 404, 404, 404, 404]);
    expect(refusals(await tries(stranger, withheld))).toEqual(unknown);
    expect(refusals(await tries(ben, withheld))).toEqual(unknown);
  });
});

describe("reacting", () => {
  test("stores one per person and emoji, shows it live and on pages, and takes it back [CHG-3]", async () => {
    const { ann, ben, id } = await pair();
    const message = await post(ann, id, "hello");
    using live = await ann.live();
    const answers = await Promise.all(Array.from({ length: 100 }, () => reactTo(ben, message, "👍")));
    // 503: more at once than a slow machine has connections for; such a one may be asked again.
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => ![200, 201, 503].includes(status))).toEqual([]);
    expect(await live.next("reaction")).toMatchObject({
      emoji: "👍",
      change: "added",
      message_id: message,
      message_seq: 2,
      sender_id: ben.id,
    });
    expect((await reactTo(ben, message, "👍")).json).toEqual({ user_id: ben.id, emoji: "👍" });
    await reactTo(ann, message, "👨‍👩‍👧");
    expect((await shown(ann, id, message)).reactions).toEqual([
      { user_id: ben.id, emoji: "👍" },
      { user_id: ann.id, emoji: "👨‍👩‍👧" },
    ]);
    for (let i = 0; i < 2; i++) expect((await unreact(ben, message, "👍")).status).toBe(204);
    expect(await live.match((frame) => frame.type === "reaction" && frame.change === "removed")).toMatchObject({
      emoji: "👍",
    });
    expect((await shown(ben, id, message)).reactions).toEqual([{ user_id: ann.id, emoji: "👨‍👩‍👧" }]);
    expect((await reactTo(ben, message, "👍")).status).toBe(201);
    // Of one person and emoji the last word is kept, and no other.
    expect((await page(ann, id)).map(({ type, change }) => change ?? type)).toEqual([
      ...["created", "message", "tombstone", "added", "tombstone", "added"],
    ]);
    expect((await ann.request("GET", `/api/conversations/${id}`)).json.message_count).toBe(1);
  }, 60_000);

  test("by a frame is answered by a receipt, is idempotent, and says why not [CHG-3]", async () => {
    const { ann, ben, id } = await pair();
    const message = await post(ann, id, "hello");
    using a = await ann.live();
    using b = await ben.live();
    const react = async (more: object = {}) => {
      const frame = {
        type: "reaction",
        ref: "r",
        id: newMessageId(),
        conversation_id: id,
        message_id: message,
        emoji: "🎉",
        ...more,
      };
      b.send(frame);
      return b.match(({ type, id: given }) => (type === "receipt" || type === "error") && given === frame.id);
    };
    const once = newMessageId();
    const receipt = await react({ id: once });
    expect(receipt).toMatchObject({ type: "receipt", ref: "r", seq: 3, in_order: false, conversation_id: id });
    expect(await a.next("reaction")).toMatchObject({ id: once, emoji: "🎉", change: "added" });
    expect((await react({ id: once })).seq).toBe(3);
    expect((await react()).seq).toBe(3);
    expect((await react({ change: "removed" })).seq).toBe(4);
    // What was never there: the message's own place.
    expect((await react({ change: "removed", emoji: "💥" })).seq).toBe(2);
    expect((await react({ id: once, emoji: "💥" })).code).toBe("idempotency_conflict");
    for (const emoji of ["", "a", "👍👍", "\u202e👍", "x".repeat(70)])
      expect((await react({ emoji })).code).toBe("bad_frame");
    expect((await react({ message_id: newMessageId() })).code).toBe("message_not_found");
    expect((await react({ conversation_id: await ben.group([]) })).code).toBe("message_not_found");
    await b.until(() => b.entries(id).length >= 3);
    expect(
      b
        .entries(id)
        .map(({ seq, type }) => [seq, type])
        .slice(-2),
    ).toEqual([
      [3, "reaction"],
      [4, "reaction"],
    ]);
  });

  test("is limited to twenty different emojis of a person on a message [CHG-3]", async () => {
    const { ann, ben, id } = await pair();
    const message = await post(ann, id, "hello");
    const emojis = Array.from({ length: 21 }, (_, i) => String.fromCodePoint(0x1f600 + i));
    for (const emoji of emojis.slice(0, 20)) expect((await reactTo(ben, message, emoji)).status).toBe(201);
    expect(codeOf(await reactTo(ben, message, emojis[20] ?? ""))).toBe("422 too_many_reactions");
    expect((await reactTo(ann, message, emojis[20] ?? "")).status).toBe(201);
    expect((await shown(ann, id, message)).reactions).toHaveLength(21);
  });
});

describe("deleting for me", () => {
  test("hides it from the account alone, tells its devices, and those that were away [CHG-5]", async () => {
    const { ann, ben, id } = await pair();
    const messages = [await post(ann, id, "one"), await post(ann, id, "two"), await post(ben, id, "three")];
    const [first, second, third] = messages as [MessageId, MessageId, MessageId];
    const other = await ben.signIn({ url: nodes[0].url });
    using device = await ben.live();
    using twin = await other.live();
    using ans = await ann.live();
    expect((await remove(ben, first, "?for=me")).status).toBe(204);
    const told = { type: "message_hidden", conversation_id: id, message_id: first, message_seq: 2, number: 1 };
    expect(await device.next("message_hidden")).toEqual(told);
    expect(await twin.next("message_hidden")).toEqual(told);
    expect((await shown(ben, id, first)).reason).toBe("hidden");
    expect((await shown(ann, id, first)).encrypted_content).toBe("one");
    for (const message of [third, first]) expect((await remove(ben, message, "?for=me")).status).toBe(204);
    const list = (after: number, limit = 100) =>
      ben.request("GET", `/api/messages/hidden?after=${after}&limit=${limit}`);
    const hidden = [first, third].map((message_id, i) => expect.objectContaining({ message_id, number: i + 1 }));
    expect((await list(0)).json).toEqual({ messages: hidden, more: false });
    expect((await list(0, 1)).json).toEqual({ messages: hidden.slice(0, 1), more: true });
    expect((await list(1)).json.messages).toEqual(hidden.slice(1));
    expect((await ann.request("GET", "/api/messages/hidden")).json.messages).toEqual([]);
    await ans.settled();
    expect(ans.frames.filter(({ type }) => type === "message_hidden")).toEqual([]);
    // A device that begins now is not given it; what the other one says to all goes on.
    device.send({ type: "resume", cursors: { [id]: 0 } });
    await device.next("caught_up");
    expect(
      device
        .entries(id)
        .slice(-4)
        .map(({ seq, type, reason }) => [seq, reason ?? type]),
    ).toEqual([
      [1, "membership"],
      [2, "hidden"],
      [3, "message"],
      [4, "hidden"],
    ]);
    expect((await remove(ann, second)).status).toBe(204);
    expect((await shown(ben, id, second)).reason).toBe("deleted");
  });

  test("numbers what is hidden at once without gaps and twins", async () => {
    const { ann, ben, id } = await pair();
    const messages = await Promise.all(Array.from({ length: 12 }, (_, i) => post(ann, id, `m${i}`)));
    await Promise.all([...messages, ...messages].map((message) => remove(ben, message, "?for=me")));
    const { messages: hidden } = (await ben.request("GET", "/api/messages/hidden")).json;
    expect(hidden.map(({ number }: { number: number }) => number)).toEqual(messages.map((_, i) => i + 1));
    expect(new Set(hidden.map((one: { message_id: string }) => one.message_id))).toEqual(new Set(messages));
  });
});

describe("blocking", () => {
  test("keeps edits and reactions of the blocked from who blocks, and the blocked sees no difference [BLK-1]", async () => {
    const { ann, ben, id } = await pair();
    const old = await post(ann, id, "first");
    const bens = await post(ben, id, "ben's");
    await edit(ann, old, "second");
    await ben.request("POST", `/api/users/${ann.id}/block`);
    using live = await ben.live();
    expect((await edit(ann, old, "withheld words")).json.encrypted_content).toBe("withheld words");
    expect((await reactTo(ann, bens, "🙊")).status).toBe(201);
    expect((await shown(ann, id, old)).encrypted_content).toBe("withheld words");
    expect((await shown(ann, id, bens)).reactions).toEqual([{ user_id: ann.id, emoji: "🙊" }]);
    const check = async () => {
      expect((await shown(ben, id, old)).encrypted_content).toBe("second");
      expect((await shown(ben, id, bens)).reactions).toEqual([]);
      using again = await ben.live();
      again.send({ type: "resume", cursors: { [id]: 0 } });
      await again.next("caught_up");
      await live.settled();
      const all = JSON.stringify([live.frames, again.frames, await page(ben, id)]);
      expect(all).not.toMatch(/withheld words|🙊/);
    };
    await check();
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    await check();
    await edit(ann, old, "heard again");
    expect((await shown(ben, id, old)).encrypted_content).toBe("heard again");
    // What is taken back is gone for both.
    expect((await remove(ann, old)).status).toBe(204);
    expect((await shown(ben, id, old)).reason).toBe("deleted");
  });
});

describe("expiry", () => {
  test("takes edits and reactions along with their message, for readers at its moment and from the tables by the keeper", async () => {
    const { ann, ben, id } = await pair("group", { retention_seconds: 3_600 });
    const message = await post(ann, id, "canary", { expires_in: 600 });
    const { expires_at } = await shown(ann, id, message);
    await edit(ann, message, "canary2");
    await reactTo(ben, message, "🐤");
    const entries = (await page(ben, id)).filter(({ type }) => type === "edit" || type === "reaction");
    expect(entries.map((entry) => entry.expires_at)).toEqual([expires_at, expires_at]);
    // An hour and more ago, by the clock that counts.
    await nodes[0].db.query(
      "update events set expires_at = now() - interval '1 s' where conversation = $1 and expires_at is not null and seq > 1",
      [id],
    );
    await nodes[0].db.query("update reactions set expires_at = now() - interval '1 s' where conversation = $1", [id]);
    expect((await page(ben, id)).slice(1).map(({ reason }) => reason)).toEqual(["expired", "expired", "expired"]);
    expect(codeOf(await edit(ann, message, "late"))).toBe("410 gone");
    expect((await remove(ann, message)).status).toBe(204);
    await purgeBodies(nodes[0].db, Date.now());
    expect(await held(id)).not.toMatch(/canary|🐤/);
  });

  test("leaves no row of them once retention has dropped what they changed", async () => {
    const { ann, ben, id } = await pair("group", { retention_seconds: 60 });
    const kept = await pair("group");
    for (const [who, other, where] of [
      [ann, ben, id],
      [kept.ann, kept.ben, kept.id],
    ] as const) {
      const message = await post(who, where, "first");
      await edit(who, message, "second");
      await reactTo(other, message, "👍");
      await remove(other, message, "?for=me");
    }
    const rows = (where: ConversationId) =>
      nodes[0].db.query(
        `select 'edits' as what from edits where conversation = $1
         union all select 'reactions' from reactions where conversation = $1
         union all select 'hidden' from hidden_messages where conversation = $1`,
        [where],
      );
    expect(await rows(id)).toHaveLength(3);
    {
      await using connection = await nodes[0].db.connect("keeper", { queryTimeoutMs: 60_000 });
      const days = 5 * 24 * 60 * 60 * 1_000;
      const { partitions } = await purgeExpired(connection, Date.now() + days);
      expect(partitions.length).toBeGreaterThan(0);
    }
    expect(await rows(id)).toEqual([]);
    expect(await rows(kept.id)).toHaveLength(3);
    // A number that was given is not given again.
    expect((await remove(ben, await post(ben, await ben.group([]), "later"), "?for=me")).status).toBe(204);
    expect((await ben.request("GET", "/api/messages/hidden?after=1")).json.messages).toHaveLength(1);
  });
});
