/** How far messages got, at two nodes: on pages, and told to who is connected. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ConversationId, uuidv7 } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame, Peer } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus, cursorFlushMs: 100 });
  nodes = [one, await one.another({ bus, cursorFlushMs: 100 })];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

/** Ann at one node and Ben at the other, with a dm. */
async function pair(): Promise<{ ann: Person; ben: Person; id: ConversationId }> {
  const [ann, ben] = await Promise.all([nodes[0].person(), nodes[1].person()]);
  return { ann, ben, id: await ann.dm(ben) };
}

const messages = async (who: Person, id: ConversationId): Promise<Frame[]> =>
  (await who.request("GET", `/api/conversations/${id}/messages`)).json.messages.filter(
    (entry: Frame) => entry.type === "message",
  );
const statuses = async (who: Person, id: ConversationId) => (await messages(who, id)).map(({ status }) => status);
const becomes = (who: Person, id: ConversationId, wanted: readonly (string | undefined)[]) =>
  waitUntil(`statuses are ${wanted}`, async () => Bun.deepEquals(await statuses(who, id), [...wanted]));
const set = (who: Person, privacy: object) => who.request("PUT", `/api/users/${who.id}`, { privacy });
const isMark = (type: string, of: Person) => (frame: Frame) => frame.type === type && frame.user_id === of.id;
const read = (peer: Peer, id: ConversationId, seq: number) =>
  peer.send({ type: "message_read", conversation_id: id, seq });
/** A channel of Ann's in which Ben is too, with the entry of its beginning. */
async function channelOf(ann: Person, ben: Person): Promise<ConversationId> {
  const id = uuidv7() as ConversationId;
  await nodes[0].db.query(
    `with made as (insert into conversations (id, kind, encryption, name, created_by, created_at, last_seq, last_activity)
       values ($1, 3, 2, 'Channel', $2, now(), 1, now()) returning id),
     joined as (insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role)
       select id, account, 1, 0, 0, 0, now(), 1 from made, unnest($3::uuid[]) account)
     insert into events (kept, day, conversation, seq, id, sender, kind, at, counts, counted, digest, body)
       select true, (now() at time zone 'utc')::date, id, 1, $4, $2, 2, now(), false, 0, '',
         convert_to(json_build_object('change', 'created', 'user_ids', $3::uuid[])::text, 'utf8') from made`,
    [id, ann.id, [ann.id, ben.id], uuidv7()],
  );
  return id;
}

/** A message that comes after all that was told before. */
async function flush(from: Peer, to: Peer, id: ConversationId): Promise<void> {
  const { id: last } = await from.say(id, "the last");
  await to.until((frames) => frames.some((frame) => frame.id === last));
}

describe("statuses of one's own messages", () => {
  test("are sent, delivered and read in a dm, and nobody else's are shown", async () => {
    const { ann, ben, id } = await pair();
    using a = await ann.live();
    const { seq } = await a.say(id, "one");
    expect(await statuses(ann, id)).toEqual(["sent"]);
    using b = await ben.live();
    await b.until(() => b.entries(id).length === 2);
    b.acknowledge(id, seq);
    await becomes(ann, id, ["delivered"]);
    await a.say(id, "two");
    expect(await statuses(ann, id)).toEqual(["delivered", "sent"]);
    read(b, id, seq);
    await becomes(ann, id, ["read", "sent"]);
    expect(await statuses(ben, id)).toEqual([undefined, undefined]);
  });

  test("count all other members of a group, and of those who came later nothing from before", async () => {
    const [ann, ben, cem, dee] = await Promise.all([0, 1, 0, 1].map((i) => nodes[i as 0 | 1].person()));
    if (ann === undefined || ben === undefined || cem === undefined || dee === undefined) throw new Error();
    const id = await ann.group([ben, cem]);
    using a = await ann.live();
    const { seq } = await a.say(id, "one");
    const [b, c] = [await ben.live(), await cem.live()];
    read(b, id, seq);
    await b.settled();
    await waitUntil("the mark is stored", async () => {
      const [row] = await nodes[0].db.query<{ read_seq: number }>(
        "select read_seq from members where conversation = $1 and account = $2",
        [id, ben.id],
      );
      return row?.read_seq === seq;
    });
    expect(await statuses(ann, id)).toEqual(["sent"]);
    c.acknowledge(id, seq);
    await becomes(ann, id, ["delivered"]);
    await ann.request("POST", `/api/conversations/${id}/participants`, { user_id: dee.id });
    expect(await statuses(ann, id)).toEqual(["delivered"]);
    read(c, id, seq);
    await becomes(ann, id, ["read"]);
    const later = await a.say(id, "two");
    for (const peer of [b, c]) {
      await peer.until(() => peer.entries(id).some((entry) => entry.seq === later.seq));
      peer.acknowledge(id, later.seq);
    }
    await becomes(ann, id, ["read", "sent"]);
    using d = await dee.live();
    d.acknowledge(id, later.seq);
    await becomes(ann, id, ["read", "delivered"]);
    for (const peer of [b, c]) peer[Symbol.dispose]();
  });

  test("are never read for or by whoever turned marks off; delivered stays", async () => {
    const { ann, ben, id } = await pair();
    using a = await ann.live();
    using b = await ben.live();
    await a.say(id, "one");
    const answer = await b.say(id, "two");
    await b.until(() => b.entries(id).length >= 2);
    await set(ben, { read_receipts: false });
    read(b, id, answer.seq);
    read(a, id, answer.seq);
    b.acknowledge(id, answer.seq);
    a.acknowledge(id, answer.seq);
    await becomes(ann, id, ["delivered", undefined]);
    await becomes(ben, id, [undefined, "delivered"]);
    await a.match(isMark("message_delivered", ben));
    await b.match(isMark("message_delivered", ann));
    await flush(a, b, id);
    await flush(b, a, id);
    expect(a.frames.filter(isMark("message_read", ben))).toEqual([]);
    expect(b.frames.filter(isMark("message_read", ann))).toEqual([]);
    await set(ben, { read_receipts: true });
    expect((await statuses(ann, id))[0]).toBe("read");
  });

  test("do not say `read` where marks are off and the other clears the dm", async () => {
    const { ann, ben, id } = await pair();
    await set(ben, { read_receipts: false });
    using a = await ann.live();
    await a.say(id, "seen or not");
    expect((await ben.request("DELETE", `/api/conversations/${id}`)).status).toBe(204);
    expect(await statuses(ann, id)).toEqual(["sent"]);
  });

  test("stand still for the blocked, as for somebody who is away, and go on after the end of the block [BLK-2]", async () => {
    const { ann, ben, id } = await pair();
    using a = await ann.live();
    using b = await ben.live();
    const one = await a.say(id, "one");
    const two = await a.say(id, "two");
    await b.until(() => b.entries(id).length === 3);
    b.acknowledge(id, two.seq);
    read(b, id, one.seq);
    await becomes(ann, id, ["read", "delivered"]);
    await ben.request("POST", `/api/users/${ann.id}/block`);
    const three = await a.say(id, "three");
    read(b, id, two.seq);
    await b.until(() => b.entries(id).length >= 3);
    using again = await (await ben.signIn()).live();
    await again.until((frames) => frames.some((frame) => frame.type === "caught_up"));
    again.acknowledge(id, three.seq);
    read(again, id, three.seq);
    await again.settled();
    const stored = "select delivered_seq, read_seq from members where conversation = $1 and account = $2";
    await waitUntil("the cursors have moved", async () => {
      const [row] = await nodes[0].db.query<{ delivered_seq: number; read_seq: number }>(stored, [id, ben.id]);
      return row !== undefined && row.read_seq >= two.seq;
    });
    expect(await statuses(ann, id)).toEqual(["read", "delivered", "sent"]);
    expect(a.frames.filter(isMark("message_read", ben)).map(({ seq }) => seq)).toEqual([one.seq]);
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    const four = await a.say(id, "four");
    await b.until(() => b.entries(id).some((entry) => entry.seq === four.seq));
    b.acknowledge(id, four.seq);
    read(b, id, four.seq);
    await becomes(ann, id, ["read", "read", "read", "read"]);
  });

  test("stand still for the blocked where the other confirms one message at a time, and for the blocker too [BLK-2]", async () => {
    const { ann, ben } = await pair();
    const id = await ann.dm(ben, { retention_seconds: 86_400 });
    const post = async (who: Person) =>
      (await who.request("POST", `/api/conversations/${id}/messages`, { encrypted_content: "x" })).json.id;
    const confirm = async (who: Person, message: string) =>
      expect((await who.request("PUT", `/messages/${message}/delivered`)).status).toBe(200);
    const [one, two, three, four] = [await post(ann), await post(ann), await post(ann), await post(ann)];
    await confirm(ben, three);
    expect(await statuses(ann, id)).toEqual(["sent", "sent", "delivered", "sent"]);
    await ben.request("POST", `/api/users/${ann.id}/block`);
    await confirm(ben, four);
    expect(await statuses(ann, id)).toEqual(["sent", "sent", "delivered", "sent"]);
    // Now none is left beyond the cursor: what stood as confirmed before the block goes on standing so.
    await confirm(ben, one);
    await confirm(ben, two);
    const [first, second] = [await post(ben), await post(ben)];
    await confirm(ann, second);
    expect(await statuses(ann, id)).toEqual(["sent", "sent", "delivered", "sent", undefined, undefined]);
    expect((await statuses(ben, id)).slice(4)).toEqual(["sent", "sent"]);
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    expect(await statuses(ann, id)).toEqual([...Array(4).fill("delivered"), undefined, undefined]);
    expect((await statuses(ben, id)).slice(4)).toEqual(["sent", "delivered"]);
    await confirm(ann, first);
    expect((await statuses(ben, id)).slice(4)).toEqual(["delivered", "delivered"]);
  });

  test("stand still where the other blocks too, although their cursors went on under the first block [BLK-2]", async () => {
    const { ann, ben, id } = await pair();
    using a = await ann.live();
    using b = await ben.live();
    await ann.request("POST", `/api/users/${ben.id}/block`);
    const { seq } = await a.say(id, "one");
    await b.until(() => b.entries(id).some((entry) => entry.seq === seq));
    b.acknowledge(id, seq);
    read(b, id, seq);
    await b.settled();
    await ben.request("POST", `/api/users/${ann.id}/block`);
    expect(await statuses(ann, id)).toEqual(["sent"]);
    await ann.request("DELETE", `/api/users/${ben.id}/block`);
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    expect(await statuses(ann, id)).toEqual(["read"]);
  });

  test("are sent in channels, whoever reads", async () => {
    const { ann, ben } = await pair();
    const id = await channelOf(ann, ben);
    const path = `/api/conversations/${id}/messages`;
    const { seq } = (await ann.request("POST", path, { encrypted_content: "one" })).json;
    using b = await ben.live();
    b.acknowledge(id, seq);
    read(b, id, seq);
    await b.settled();
    await waitUntil("it is read", async () => {
      const rows = await nodes[0].db.query("select 1 from members where conversation = $1 and read_seq = $2", [
        id,
        seq,
      ]);
      return rows.length === 1;
    });
    expect(await statuses(ann, id)).toEqual(["sent"]);
  });

  test("cost one row a reader: 5,000 readers of 10,000 messages add nothing for each message and reader", async () => {
    const { ann, ben } = await pair();
    const { db } = nodes[0];
    const id = await channelOf(ann, ben);
    await db.query(
      `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
       select gen_random_uuid(), 'reader_' || n, 'reader_' || n, '', now(), now() from generate_series(1, 5000) n`,
    );
    await db.query(
      `insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role)
       select $1, id, 1, 0, 0, 0, now(), 3 from accounts where username like 'reader\\_%'`,
      [id],
    );
    for (let from = 1; from <= 10_000; from += 500) {
      await db.query(
        `insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
         select true, (now() at time zone 'utc')::date, $1, 1 + n, gen_random_uuid(), $2, 1, now(), null, true, n, '', '\\x00'
         from generate_series($3::int, $3::int + 499) n`,
        [id, ann.id, from],
      );
    }
    await db.query("analyze members, accounts, conversations, events"); // as the server does by itself after a while
    await db.query("update conversations set last_seq = 10001, counted = 10000 where id = $1", [id]);
    const count = async () => {
      const tables = await db.query<{ name: string }>(
        `select relname as name from pg_class where relkind in ('r', 'p') and not relispartition
         and relnamespace = 'public'::regnamespace order by relname`,
      );
      const rows = new Map<string, number>();
      for (const { name } of tables) {
        const [row] = await db.query<{ count: number }>(`select count(*)::int as count from ${name}`);
        rows.set(name, row?.count ?? 0);
      }
      return rows;
    };
    const before = await count();
    const { writeDeviceCursors, writeReadCursors } = await import("../../src/conversations/cursors_store.ts");
    const readers = await db.query<{ id: Person["id"] }>("select id from accounts where username like 'reader\\_%'");
    const device = new Map(readers.map((reader) => [reader.id, uuidv7() as Person["deviceId"]]));
    // Every reader is given and reads all, in many steps.
    for (const seq of [100, 2_000, 5_001, 10_001]) {
      for (let i = 0; i < readers.length; i += 1_000) {
        const part = readers.slice(i, i + 1_000).map((reader) => ({ accountId: reader.id, conversationId: id, seq }));
        await writeDeviceCursors(
          db,
          part.map((one) => ({ ...one, deviceId: device.get(one.accountId) as never, at: null })),
        );
        await writeReadCursors(db, part);
      }
    }
    const after = await count();
    const grown = [...after]
      .filter(([name, rows]) => rows !== before.get(name))
      .map(([name, rows]) => [name, rows - (before.get(name) ?? 0)]);
    expect(grown).toEqual([["device_cursors", 5_000]]);
  }, 60_000);
});

describe("message_delivered", () => {
  test("tells the sender, at another node, once what several devices acknowledge, and never goes back [READ-3]", async () => {
    const { ann, ben, id } = await pair();
    using a = await ann.live();
    using b = await ben.live();
    using other = await (await ben.signIn()).live();
    for (const text of ["one", "two", "three"]) await a.say(id, text);
    await b.until(() => b.entries(id).length === 4);
    for (const seq of [2, 3, 4]) b.acknowledge(id, seq);
    expect(await a.match(isMark("message_delivered", ben))).toEqual({
      type: "message_delivered",
      conversation_id: id,
      user_id: ben.id,
      seq: 4,
    });
    other.acknowledge(id, 3);
    other.acknowledge(id, 4);
    await other.settled();
    const { seq } = await a.say(id, "four");
    await b.until(() => b.entries(id).some((entry) => entry.seq === seq));
    b.acknowledge(id, seq);
    await a.match((frame) => isMark("message_delivered", ben)(frame) && frame.seq === seq);
    expect(a.frames.filter(isMark("message_delivered", ben)).map((mark) => mark.seq)).toEqual([4, seq]);
    // What somebody sent themselves was not delivered to them.
    a.acknowledge(id, seq);
    await a.settled();
    const answer = await b.say(id, "an answer");
    await a.until(() => a.entries(id).some((entry) => entry.seq === answer.seq));
    a.acknowledge(id, answer.seq);
    await b.match(isMark("message_delivered", ann));
    expect(b.frames.filter(isMark("message_delivered", ann)).map((mark) => mark.seq)).toEqual([answer.seq]);
  });

  test("is told in no channel, in no group above a hundred, and in no dm with a block [READ-3, BLK-3]", async () => {
    const { ann, ben, id } = await pair();
    const { db } = nodes[0];
    const crowd = await db.query<{ id: string }>(
      `insert into accounts (id, username, username_key, password_hash, created_at, updated_at)
       select gen_random_uuid(), 'many_' || n, 'many_' || n, '', now(), now() from generate_series(1, 99) n returning id`,
    );
    const make = async (body: object) => (await ann.request("POST", "/api/conversations", body)).json.id;
    const large = await make({ conversation_type: "group", participant_ids: [ben.id, ...crowd.map((one) => one.id)] });
    const channel = await channelOf(ann, ben);
    const small = await make({ conversation_type: "group", participant_ids: [ben.id] });
    const blocked = await make({ conversation_type: "dm", participant_ids: [ben.id], encryption: "server" });
    using a = await ann.live();
    using b = await ben.live();
    await ben.request("POST", `/api/users/${ann.id}/block`);
    for (const one of [large, channel, small]) await a.say(one, "to all");
    for (const one of [large, channel, small]) await b.until(() => b.entries(one).length >= 2);
    for (const one of [id, blocked]) b.acknowledge(one, 1);
    // The small group comes last, and so its mark tells that the others have had their turn.
    for (const one of [large, channel, small]) b.acknowledge(one, 2);
    await a.match((frame) => isMark("message_delivered", ben)(frame) && frame.conversation_id === small);
    const told = a.frames.filter(isMark("message_delivered", ben)).map((frame) => frame.conversation_id);
    expect(new Set(told)).toEqual(new Set([small]));
  });
});
