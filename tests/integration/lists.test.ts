/** The list of conversations: what is unread, what is one's own, and what changed since a device last asked. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { LIST_GONE, LIST_SUMMARIES } from "../../src/conversations/summaries_store.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";
import { waitUntil } from "../support/wait.ts";
import { createAccounts } from "./event_log_support.ts";

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  // A mark that nobody asks for stays in memory for longer than any of these tests.
  const one = await startApp({ bus, cursorFlushMs: 600_000 });
  nodes = [one, await one.another({ bus, cursorFlushMs: 600_000 })];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

const path = (id: string, rest = "") => `/api/conversations/${id}${rest}`;
const say = (who: Person, id: string, text = "eA==") =>
  who.request("POST", path(id, "/messages"), { encrypted_content: text });
const list = async (who: Person, query = ""): Promise<Frame> =>
  (await who.request("GET", `/api/conversations${query}`)).json;
const shown = async (who: Person, id: string): Promise<Frame> => (await who.request("GET", path(id))).json;
const set = (who: Person, id: string, body: object) => who.request("PUT", path(id, "/settings"), body);
const codeOf = ({ status, json }: HttpAnswer) => [status, json?.error?.code];
const db = () => nodes[0].db;

/** Lets a list look as if everything in it had happened an hour ago. */
async function longAgo(who: Person): Promise<void> {
  await db().query(
    `update conversations set last_activity = last_activity - interval '1 hour'
     where id in (select conversation from members where account = $1)`,
    [who.id],
  );
  await db().query("update members set changed_at = changed_at - interval '1 hour' where account = $1", [who.id]);
}

describe("unread_count", () => {
  test("is what counts beyond the read mark, wherever it is set, and is exact at the node that took the mark", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const id = await ann.group([ben]);
    for (let i = 0; i < 5; i++) await say(ann, id);
    await ann.request("PUT", path(id), { name: "Changes do not count" });
    expect(await shown(ben, id)).toMatchObject({ unread_count: 5, read_seq: 0, message_count: 5 });
    using live = await ben.live();
    for (const [seq, unread] of [
      [1, 5],
      [3, 3],
      [2, 3],
      [6, 0],
      [7, 0],
    ] as const) {
      live.send({ type: "message_read", conversation_id: id, seq });
      await live.settled();
      expect([seq, (await shown(ben, id)).unread_count]).toEqual([seq, unread]);
    }
    await say(ann, id);
    expect((await list(ben)).conversations).toMatchObject([{ id, unread_count: 1, read_seq: 7 }]);
  });

  test("does not count what is withheld, while a block lasts or after it", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const id = await ann.dm(ben);
    const unread = async () => (await shown(ben, id)).unread_count;
    for (let i = 0; i < 3; i++) await say(ann, id);
    await ben.request("POST", `/api/users/${ann.id}/block`);
    expect(await unread()).toBe(3);
    for (let i = 0; i < 4; i++) await say(ann, id);
    expect(await unread()).toBe(3);
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    expect(await unread()).toBe(3);
    for (let i = 0; i < 2; i++) await say(ann, id);
    expect(await unread()).toBe(5);
    using live = await ben.live();
    for (const [seq, left] of [
      [3, 3],
      [6, 2],
      [9, 1],
      [10, 0],
    ] as const) {
      live.send({ type: "message_read", conversation_id: id, seq });
      await live.settled();
      expect([seq, await unread()]).toEqual([seq, left]);
    }
  });

  test("agrees with the log for marks at every place, also where rows have gone with their partition", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[0].person()];
    const id = await ann.group([ben]);
    for (let i = 0; i < 8; i++) {
      if (i % 3 === 2) await ann.request("PUT", path(id), { name: `Name ${i}` });
      else await say(ann, id);
    }
    const at = async (seq: number) => {
      const [row] = await db().query<{ counted: number }>("select counted_at($1, $2) as counted", [id, seq]);
      return row?.counted;
    };
    const counts = await db().query<{ counts: boolean }>(
      "select counts from events where conversation = $1 order by seq",
      [id],
    );
    const expected = (seq: number) => counts.slice(0, seq).filter((row) => row.counts).length;
    for (let seq = 0; seq <= 9; seq++) expect([seq, await at(seq)]).toEqual([seq, expected(seq)]);
    await db().query("delete from events where conversation = $1 and seq <= 4", [id]);
    for (let seq = 4; seq <= 9; seq++) expect([seq, await at(seq)]).toEqual([seq, expected(seq)]);
    await db().query("delete from events where conversation = $1", [id]);
    expect(await at(9)).toBe(expected(9));
  });
});

describe("read marks", () => {
  test("reach the person's other devices, on both nodes, and those away by the list [READ-2]", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const id = await ann.dm(ben);
    await say(ben, id);
    using one = await ann.live();
    using other = await (await ann.signIn({ url: nodes[1].url })).live();
    using bens = await ben.live();
    one.send({ type: "message_read", conversation_id: id, seq: 2 });
    const mark = { type: "message_read", conversation_id: id, user_id: ann.id, seq: 2 };
    expect(await other.next("message_read")).toEqual(mark);
    expect(await bens.next("message_read")).toEqual(mark);
    await one.settled();
    expect(one.frames.some(({ type }) => type === "message_read")).toBe(false);
    expect((await list(ann)).conversations).toMatchObject([{ id, read_seq: 2, unread_count: 0 }]);
    // Known to the other node once it is written, at the latest when the device goes.
    await one.close();
    await waitUntil("the mark is written", async () => (await shown(ann.at(nodes[1].url), id)).read_seq === 2);
  });
});

describe("one's own settings", () => {
  test("are told to one's other devices and to nobody else, and stay [SET-2]", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const id = await ann.group([ben]);
    using other = await (await ann.signIn({ url: nodes[1].url })).live();
    using bens = await ben.live();
    const until = "2030-01-02T03:04:05.000Z";
    const answer = await set(ann, id, { muted_until: until, pinned: true });
    expect(answer.status).toBe(200);
    const own = { muted_until: until, archived: false, pinned: true };
    expect(answer.json).toMatchObject(own);
    expect(await other.next("settings")).toEqual({ type: "settings", conversation_id: id, first_seq: 1, ...own });
    await set(ann, id, { archived: true });
    expect(await other.next("settings")).toMatchObject({ ...own, archived: true });
    await set(ann, id, { muted_until: null, pinned: false });
    expect((await list(ann)).conversations).toMatchObject([{ muted_until: null, archived: true, pinned: false }]);
    expect(await shown(ben, id)).toMatchObject({ muted_until: null, archived: false, pinned: false, last_seq: 1 });
    await bens.settled();
    expect(bens.frames.some(({ type }) => type === "settings")).toBe(false);
    for (const body of [{}, { muted_until: "soon" }, { pinned: "yes" }, { archived: null }])
      expect(codeOf(await set(ann, id, body))).toEqual([400, "bad_request"]);
    const stranger = await nodes[0].person();
    expect(codeOf(await set(stranger, id, { pinned: true }))).toEqual([404, "conversation_not_found"]);
  });
});

describe("what changed since", () => {
  test("is given once: activity, settings, marks of another device, what was left and what came back", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const ids: string[] = [];
    for (let i = 0; i < 8; i++) ids.push(await ben.group([ann], { name: `Group ${i}` }));
    const dm = await ann.dm(ben);
    const [quiet, active, pinned, read, left, ended, renamed, again] = ids as [string, ...string[]] & string[];
    await say(ben, read ?? "");
    await say(ben, dm);
    await ann.request("DELETE", path(again ?? "", `/participants/${ann.id}`));
    await longAgo(ann);
    const before = await list(ann);
    expect(before.conversations).toHaveLength(8);
    expect(before.left).toEqual([]);
    expect((await list(ann, `?since=${before.sync}`)).conversations).toEqual([]);

    using phone = await (await ann.signIn({ url: nodes[1].url })).live();
    phone.send({ type: "message_read", conversation_id: read, seq: 2 });
    await phone.settled();
    await phone.close();
    await say(ben, active ?? "");
    await set(ann, pinned ?? "", { pinned: true });
    await ann.request("DELETE", path(left ?? "", `/participants/${ann.id}`));
    await ben.request("DELETE", path(ended ?? ""));
    await ben.request("PUT", path(renamed ?? ""), { name: "Renamed" });
    await ben.request("POST", path(again ?? "", "/participants"), { user_id: ann.id });
    await ann.request("DELETE", path(dm));
    let after = await list(ann, `?since=${before.sync}`);
    await waitUntil("the phone's mark is written", async () => {
      after = await list(ann, `?since=${before.sync}`);
      return after.conversations.some(({ id, read_seq }: Frame) => id === read && read_seq === 2);
    });
    expect(after.conversations.map(({ id }: Frame) => id).sort()).toEqual(
      [active, pinned, read, renamed, again].sort(),
    );
    expect(after.left.sort()).toEqual([left, ended, dm].sort());
    expect(after.conversations.some(({ id }: Frame) => id === quiet)).toBe(false);
    // The cleared dm comes back with the next message.
    await longAgo(ann);
    const later = await list(ann);
    await say(ben, dm);
    const last = await list(ann, `?since=${later.sync}`);
    expect(last).toMatchObject({ conversations: [{ id: dm, unread_count: 1 }], left: [] });
    for (const query of ["?since=x", "?since=-1", `?cursor=${before.sync}`, `?cursor=1_${dm}_x`])
      expect(codeOf(await ann.request("GET", `/api/conversations${query}`))).toEqual([400, "bad_request"]);
  });

  test("misses nothing that is committed late, and nothing that moves up while it is paged", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push(await ben.group([ann]));
    await longAgo(ann);
    // A writer took its time and its commit is long in coming.
    await using writer = await db().connect("writer");
    await writer.query("begin");
    await writer.query("update conversations set last_activity = clock_timestamp() where id = $1", [ids[0]]);
    const first = await list(ann, "?limit=2");
    const [{ started } = { started: 0 }] = await writer.query<{ started: number }>("select unix_ms(now()) as started");
    expect(Number(first.sync)).toBeLessThanOrEqual(started - 10_000);
    await writer.query("commit");
    const second = await list(ann, `?limit=2&cursor=${first.next}`);
    expect(second.sync).toBe(first.sync);
    const seen = (page: Frame) => page.conversations.map(({ id }: Frame) => id);
    expect([...seen(first), ...seen(second)]).not.toContain(ids[0]);
    expect(seen(await list(ann, `?since=${second.sync}`))).toEqual([ids[0]]);
  });

  test("shows a dm that somebody began whom one blocked, when the block ends", async () => {
    const [ann, ben] = [await nodes[0].person(), await nodes[1].person()];
    await ben.request("POST", `/api/users/${ann.id}/block`);
    const id = await ann.dm(ben);
    await longAgo(ben);
    const before = await list(ben);
    expect(before.conversations).toEqual([]);
    await ben.request("DELETE", `/api/users/${ann.id}/block`);
    expect((await list(ben, `?since=${before.sync}`)).conversations).toMatchObject([{ id, unread_count: 0 }]);
  });
});

describe("five hundred conversations", () => {
  let ann: Person;
  beforeAll(async () => {
    ann = await nodes[0].person();
    const strangers = await createAccounts(db(), 400);
    const make = (count: number, owners: readonly string[]) =>
      db().query(
        `with made as (
           insert into conversations (id, created_by, created_at, kind, encryption, last_seq, last_activity)
           select gen_random_uuid(), $1, t.at, 2, 2, 1, t.at
           from (select date_trunc('milliseconds', now() - interval '9 days') as at) t, generate_series(1, $3::int)
           returning id, created_at)
         insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, changed_at)
         select m.id, ($2::uuid[])[1 + n % cardinality($2::uuid[])], 1, 0, 0, 0, m.created_at, 3, m.created_at
         from (select id, created_at, row_number() over () as n from made) m`,
        [ann.id, owners, count],
      );
    // Ann's five hundred, and many of others around them; in parts, for a statement has seconds.
    await make(500, [ann.id]);
    for (let part = 0; part < 10; part++) await make(2_000, strangers);
    await db().query("analyze conversations, members");
  }, 60_000);

  test("cost who comes back after a week one small request", async () => {
    const seen = new Set<string>();
    let page: Frame = await list(ann, "?limit=200");
    let whole = JSON.stringify(page).length;
    for (const { id } of page.conversations) seen.add(id);
    while (page.next !== null) {
      page = await list(ann, `?limit=200&cursor=${page.next}`);
      whole += JSON.stringify(page).length;
      for (const { id } of page.conversations) seen.add(id);
    }
    expect(seen.size).toBe(500);
    // A week later: two of them have news, one is left, one was muted on another device, and one is new.
    const [a, b, c, gone] = [...seen] as [string, string, string, string];
    await db().query(
      "update conversations set last_activity = date_trunc('milliseconds', now()), last_seq = 2 where id = any ($1)",
      [[a, b]],
    );
    await set(ann, c, { muted_until: "2030-01-01T00:00:00Z" });
    await db().query("update members set left_seq = 2 where account = $1 and conversation = $2", [ann.id, gone]);
    const group = await ann.group([await nodes[0].person()]);
    const week = await ann.request("GET", `/api/conversations?limit=200&since=${page.sync}`);
    expect(week.json.conversations.map(({ id }: Frame) => id).sort()).toEqual([a, b, c, group].sort());
    expect([week.json.left, week.json.next]).toEqual([[gone], null]);
    const bytes = JSON.stringify(week.json).length;
    expect(bytes).toBeLessThan(3_500);
    expect(whole).toBeGreaterThan(80 * bytes);
  });

  test("are found by the account's index, whatever else there is", async () => {
    await using connection = await db().connect("plans");
    await connection.query("set plan_cache_mode = force_generic_plan");
    await connection.query(`prepare listed(uuid, int, int, timestamptz, timestamptz, uuid) as ${LIST_SUMMARIES}`);
    await connection.query(`prepare gone(uuid, timestamptz) as ${LIST_GONE}`);
    for (const statement of [
      `listed('${ann.id}', 20, 201, now() - interval '7 days', null, null)`,
      `gone('${ann.id}', now() - interval '7 days')`,
    ]) {
      const lines = await connection.query<{ "QUERY PLAN": string }>(`explain execute ${statement}`);
      const plan = lines.map((line) => line["QUERY PLAN"]).join("\n");
      expect(plan).toContain("members_account");
      expect(plan).not.toMatch(/Seq Scan on (members|conversations|events|withheld)/);
    }
  });
});
