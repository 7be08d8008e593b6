/** DELETE of a conversation, over two nodes: a group ends for everybody, a dm is cleared for one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { emptyEndings } from "../../src/conversations/delete_conversation.ts";
import { newMessageId } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";
import { holdHead } from "./event_log_support.ts";

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

const path = (id: string, rest = "") => `/api/conversations/${id}${rest}`;
const remove = (who: Person, id: string) => who.request("DELETE", path(id));
const codeOf = ({ status, json }: HttpAnswer) => [status, json?.error?.code];
const say = (who: Person, id: string, text: string, more: object = {}) =>
  who.request("POST", path(id, "/messages"), { encrypted_content: text, ...more });
const logOf = async (who: Person, id: string): Promise<Frame[]> =>
  (await who.request("GET", path(id, "/messages?after_seq=0&limit=100"))).json.messages;
const listOf = async (who: Person): Promise<Frame[]> =>
  (await who.request("GET", "/api/conversations")).json.conversations;
const people = async () => [await nodes[0].person(), await nodes[1].person(), await nodes[1].person()] as const;
const bodiesOf = async (id: string): Promise<number> => {
  const [row] = await nodes[0].db.query<{ bodies: number }>(
    "select count(body) as bodies from events where conversation = $1",
    [id],
  );
  return row?.bodies ?? -1;
};

describe("a group", () => {
  test("that its owner ends is gone for everybody at once, wherever they are, and so are its words [END-1]", async () => {
    const [ann, ben, cem] = await people();
    const id = await ann.group([ben, cem], { name: "A secret name", encryption: "server" });
    for (const text of ["one", "two"]) await ann.request("POST", path(id, "/messages"), { content: text });
    using live = await ben.live();
    using own = await ann.live();
    live.acknowledge(id, 3);
    // Cem's device has seen nothing yet when it ends.
    const away = await cem.signIn();
    await (await away.live()).close();
    expect((await remove(ann, id)).status).toBe(204);
    for (const peer of [live, own]) {
      expect(await peer.next("conversation_left")).toEqual({
        ...{ type: "conversation_left", conversation_id: id, left_seq: 4 },
      });
    }
    expect(await bodiesOf(id)).toBe(0);
    for (const who of [ann, ben, cem]) {
      for (const answer of [
        await who.request("GET", path(id)),
        await who.request("GET", path(id, "/messages")),
        await who.request("GET", path(id, "/participants")),
        await who.request("POST", path(id, "/messages"), { content: "late" }),
        await who.request("PUT", path(id), { name: "Again" }),
        await remove(who, id),
      ]) {
        expect(codeOf(answer)).toEqual([404, "conversation_not_found"]);
      }
      expect(await listOf(who)).toEqual([]);
    }
    using back = await away.live();
    expect(back.entries(id)).toEqual([]);
    expect(back.frames.map(({ type }) => type).filter((type) => /truncated|left/.test(type))).toEqual([
      "truncated",
      "conversation_left",
    ]);
    const [kept] = await nodes[0].db.query("select name, data_key from conversations where id = $1", [id]);
    expect(kept).toEqual({ name: null, data_key: null });
    expect(await nodes[0].db.query("select 1 from endings where conversation = $1", [id])).toEqual([]);
    // The numbers stay, so that a log has no hole and a retry is known.
    const seqs = await nodes[0].db.query<{ seq: number }>(
      "select seq from events where conversation = $1 order by seq",
      [id],
    );
    expect(seqs.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
  });

  test("that has ended knows a retry, until somebody who was in it deletes their account; then it refuses it", async () => {
    const [ann, ben] = await people();
    const id = await ann.group([ben]);
    const message = { id: newMessageId() };
    const sent = await say(ben, id, "c2VudA", message);
    expect((await remove(ann, id)).status).toBe(204);
    const retry = await say(ben, id, "c2VudA", message);
    expect([retry.status, retry.json.seq]).toEqual([200, sent.json.seq]);
    const password = "correct horse battery staple";
    expect((await ann.request("POST", "/api/auth/delete-account", { password })).status).toBe(202);
    await waitUntil("the log is gone", async () => {
      return (await nodes[0].db.query("select 1 from events where conversation = $1", [id])).length === 0;
    });
    expect(codeOf(await say(ben, id, "c2VudA", message))).toEqual([404, "conversation_not_found"]);
    expect(await nodes[0].db.query("select 1 from events where conversation = $1", [id])).toEqual([]);
  });

  test("is ended by its owner alone; the others are told to leave, strangers nothing", async () => {
    const [ann, ben, cem] = await people();
    const id = await ann.group([ben]);
    await ann.request("PUT", path(id, `/participants/${ben.id}`), { role: "admin" });
    expect(codeOf(await remove(ben, id))).toEqual([403, "use_leave"]);
    expect(codeOf(await remove(cem, id))).toEqual([404, "conversation_not_found"]);
    expect(await logOf(ann, id)).toHaveLength(2);
    // Once it is handed over, it is the other's to end.
    await ann.request("PUT", path(id, `/participants/${ben.id}`), { role: "owner" });
    expect(codeOf(await remove(ann, id))).toEqual([403, "use_leave"]);
    expect((await remove(ben, id)).status).toBe(204);
  });

  test("that ends while everybody sends: what has a receipt is before the end, and nothing stays readable", async () => {
    const [ann, ben, cem] = await people();
    const id = await ann.group([ben, cem]);
    const sends = Array.from({ length: 60 }, (_, i) => say(i % 2 === 0 ? ben : cem, id, `dGV4dA${i}`));
    const [ended] = await Promise.all([remove(ann, id), remove(ann, id), remove(ann, id)]);
    for (const answer of await Promise.all(sends)) {
      if (answer.status !== 201) expect(codeOf(answer)).toEqual([404, "conversation_not_found"]);
    }
    expect([204, 404]).toContain(ended?.status ?? 0);
    const rows = await nodes[0].db.query<{ seq: number; kind: number; empty: boolean }>(
      "select seq, kind, body is null as empty from events where conversation = $1 order by seq",
      [id],
    );
    expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, i) => i + 1));
    expect(rows.filter(({ kind }) => kind === 2)).toHaveLength(2);
    expect(rows.at(-1)).toMatchObject({ kind: 2 });
    expect(rows.every(({ empty }) => empty)).toBe(true);
  });

  test("that was ended and not emptied, for its node died, is emptied by the keeper of the retention", async () => {
    const [ann, ben] = await people();
    const id = await ann.group([ben]);
    await say(ann, id, "bGVmdA==");
    // As a node leaves it that dies right after the end.
    const [ended] = await nodes[0].db.query<{ status: number }>(
      "select o_status as status from end_conversation($1, $2, $3, '\\x00', '\\x00')",
      [id, ann.id, Bun.randomUUIDv7()],
    );
    expect([ended?.status, await bodiesOf(id)]).toEqual([0, 3]);
    expect(codeOf(await ben.request("GET", path(id, "/messages")))).toEqual([404, "conversation_not_found"]);
    // Ben's archive has what he could see until then, which is nothing now but for moments.
    await emptyEndings(nodes[0].db, AbortSignal.timeout(10_000));
    expect(await bodiesOf(id)).toBe(0);
  });

  test("that the last member leaves keeps no word, and one that somebody is left in keeps them all", async () => {
    const [ann, ben] = await people();
    const id = await ann.group([ben]);
    await say(ann, id, "bGFzdA==");
    const leave = (who: Person) => who.request("DELETE", path(id, `/participants/${who.id}`));
    expect((await leave(ann)).status).toBe(204);
    expect(await bodiesOf(id)).toBe(3);
    expect((await leave(ben)).status).toBe(204);
    expect(await bodiesOf(id)).toBe(0);
    const [kept] = await nodes[0].db.query("select name, last_seq from conversations where id = $1", [id]);
    expect(kept).toEqual({ name: null, last_seq: 4 });
  });

  test("whose head is held by somebody is answered busy, and nothing has changed", async () => {
    const [ann, ben] = await people();
    const id = await ann.group([ben]);
    {
      await using _ = await holdHead(nodes[0].db, id);
      expect(codeOf(await remove(ann, id))).toEqual([503, "busy"]);
      expect(codeOf(await ann.request("PUT", path(id), { name: "Held" }))).toEqual([503, "busy"]);
    }
    expect((await listOf(ben)).map((one) => one.name)).toEqual(["A group"]);
    expect((await remove(ann, id)).status).toBe(204);
  }, 20_000);
});

describe("a dm", () => {
  test("that one clears is whole for the other, and comes back with the next message and no older one", async () => {
    const [ann, ben] = await people();
    const id = await ann.dm(ben);
    for (const text of ["b25l", "dHdv"]) await say(ben, id, text);
    using live = await ann.live();
    live.acknowledge(id, 3);
    const behind = await ann.signIn();
    using other = await behind.live();
    await other.close();
    const before = (await ben.request("GET", path(id))).json;
    expect((await remove(ann, id)).status).toBe(204);
    // Twice is once.
    expect((await remove(ann, id)).status).toBe(204);
    expect(await live.next("settings")).toMatchObject({ conversation_id: id, first_seq: 4, archived: false });
    expect(await listOf(ann)).toEqual([]);
    expect(await logOf(ann, id)).toEqual([]);
    expect((await ann.request("GET", path(id))).json).toMatchObject({ first_seq: 4, last_seq: 3, unread_count: 0 });
    // Nothing of it shows at the other's: neither order, nor times, nor cursors.
    expect((await ben.request("GET", path(id))).json).toEqual(before);
    expect(await listOf(ben)).toMatchObject([{ id, last_seq: 3 }]);
    expect((await logOf(ben, id)).map(({ type }) => type)).toEqual(["membership", "message", "message"]);
    expect((await ben.request("GET", path(id, "/participants"))).json.participants).toHaveLength(2);

    const sent = (await say(ben, id, "dGhyZWU=")).json;
    expect((await live.match(({ type }) => type === "message")).id).toBe(sent.id);
    expect(await listOf(ann)).toMatchObject([{ id, first_seq: 4, last_seq: 4, unread_count: 1 }]);
    expect((await logOf(ann, id)).map(({ seq }) => seq)).toEqual([4]);
    // A device that was away is given nothing of before either.
    using back = await behind.live();
    back.send({ type: "resume", cursors: { [id]: 0 } });
    await back.next("caught_up");
    expect(back.entries(id).filter(({ seq }) => seq > 1 && seq < 4)).toEqual([]);
    expect(back.entries(id).some(({ seq }) => seq === 4)).toBe(true);
    // The same dm, asked for again, is the same.
    expect(await ann.dm(ben)).toBe(id);
  });

  test("that is cleared while the other writes: every message is on one side of it", async () => {
    const [ann, ben] = await people();
    const id = await ann.dm(ben);
    const sends = Array.from({ length: 40 }, (_, i) => say(ben, id, `dGV4dA${i}`));
    await Promise.all([remove(ann, id), ...sends]);
    const { first_seq, last_seq, unread_count } = (await ann.request("GET", path(id))).json;
    expect(last_seq).toBe(41);
    expect((await logOf(ann, id)).map(({ seq }) => seq)).toEqual(
      Array.from({ length: last_seq - first_seq + 1 }, (_, i) => first_seq + i),
    );
    expect(unread_count).toBe(last_seq - first_seq + 1);
  });

  test("of the relay that is cleared leaves nothing waiting, and later messages are confirmed as before", async () => {
    const [ann, ben] = await people();
    const relay = async (text: string) =>
      (await ben.request("POST", "/messages", { recipient_id: ann.id, encrypted_data: text })).json.id;
    const waiting = async () => (await ann.request("GET", "/messages")).json.messages.map((one: Frame) => one.id);
    await relay("b25l");
    const [dm] = await listOf(ann);
    await remove(ann, dm.id);
    expect(await waiting()).toEqual([]);
    const late = await relay("dHdv");
    expect(await waiting()).toEqual([late]);
    expect((await ann.request("PUT", `/messages/${late}/delivered`, {})).status).toBe(200);
    expect(await waiting()).toEqual([]);
    expect(await nodes[0].db.query("select 1 from confirmations where account = $1", [ann.id])).toEqual([]);
  });
});
