/** Reports to administrators: what reaches them, what is refused, and that nobody else learns anything. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { setRole } from "../../src/accounts/mod.ts";
import { type ConversationId, LIMITS, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { KEEP_CLOSED_DAYS, KEEP_OPEN_DAYS, purgeReports } from "../../src/reports/mod.ts";
import { type HttpAnswer, type Person, startApp, type TestApp } from "../support/app.ts";
import type { Frame } from "../support/peer.ts";
import { RoomGuest, say } from "../support/room.ts";
import { BUSY_MS } from "../support/wait.ts";

/** Who is disabled is out within this time, at every node. */
const CLOSE_MS = 2_000;

let nodes: readonly [TestApp, TestApp];
let boss: Person;
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ bus });
  nodes = [one, await one.another({ bus })];
  boss = await administrator();
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

async function administrator(): Promise<Person> {
  const person = await nodes[0].person();
  await setRole(nodes[0].db, person.id, "admin");
  return person;
}
const people = (count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => nodes[i % 2 === 0 ? 0 : 1].person()));
const post = async (who: Person, id: ConversationId, text: string, field = "encrypted_content"): Promise<string> =>
  (await who.request("POST", `/api/conversations/${id}/messages`, { id: newMessageId(), [field]: text })).json.id;
const report = (who: Person, whom: { readonly id: string }, more: object = {}) =>
  who.request("POST", "/api/reports", { user_id: whom.id, reason: "abuse", ...more });
const show = (id: string, who = boss) => who.request("GET", `/api/admin/reports/${id}`);
const close = (id: string, body: object, who = boss) => who.request("POST", `/api/admin/reports/${id}/close`, body);
const refusal = ({ status, json }: HttpAnswer) => [status, json?.error?.code];
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
/** A refusal without what differs from request to request. */
const bare = ({ status, json }: HttpAnswer) => [status, { ...json.error, requestId: "" }];

describe("a report", () => {
  test("shows administrators what the reporter chose, beside what the server knows, and nothing else [RPT-1]", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const dm = await mallory.dm(ana);
    const texts = ["Y2lwaGVydGV4dCBvbmU=", "Y2lwaGVydGV4dCB0d28=", "Y2lwaGVydGV4dCB0aHJlZQ=="];
    const ids: string[] = [];
    for (const text of texts) ids.push(await post(mallory, dm, text));
    const said = [{ message_id: ids[1], text: "I know where you live" }, { message_id: ids[2] }];
    const filed = await report(ana, mallory, { conversation_id: dm, note: "She does not stop", messages: said });
    expect([filed.status, Object.keys(filed.json).sort()]).toEqual([201, ["created_at", "id"]]);
    const log: Frame[] = (await ana.request("GET", `/api/conversations/${dm}/messages`)).json.messages;
    const vouched = (index: number) => ({
      ...{ conversation_id: dm, conversation_type: "dm", encryption: "opaque", seq: index + 2 },
      ...{ stored_at: log[index + 1]?.created_at, edited_at: null, sha256: sha256(texts[index] ?? ""), text: null },
    });
    const answer = await show(filed.json.id);
    expect(answer.json).toEqual({
      ...{ id: filed.json.id, number: expect.any(Number), reason: "abuse", state: "open", outcome: null },
      reporter: { id: ana.id, username: ana.name },
      reported: { id: mallory.id, username: mallory.name, disabled: false },
      ...{ created_at: filed.json.created_at, closed_at: null, closing_note: null },
      ...{ conversation_id: dm, note: "She does not stop" },
      messages: [
        { message_id: ids[1], vouched: vouched(1), claimed: { text: "I know where you live" } },
        { message_id: ids[2], vouched: vouched(2), claimed: { text: null } },
      ],
    });
    // Not the message that was not named, and not the bytes of those that were.
    for (const unseen of [ids[0] ?? "", ...texts]) expect(JSON.stringify(answer.json)).not.toContain(unseen);
  });

  test("of a conversation that the server encrypts quotes what the reporter saw, also once it was deleted", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const group = await mallory.group([ana], { encryption: "server" });
    const id = await post(mallory, group, "as it was first", "content");
    await mallory.request("PUT", `/api/messages/${id}`, { content: "as it is now" });
    const unnamed = await post(mallory, group, "never named", "content");
    const long = await post(mallory, group, "x".repeat(5_000), "content");
    const messages = [{ message_id: id, text: "as I say" }, { message_id: long }];
    const filed = await report(ana, mallory, { messages });
    for (const gone of [id, long]) expect((await mallory.request("DELETE", `/api/messages/${gone}`)).status).toBe(204);
    const [first, second] = (await show(filed.json.id)).json.messages;
    expect(first.vouched).toMatchObject({ text: "as it is now", sha256: sha256("as it is now"), encryption: "server" });
    expect([typeof first.vouched.edited_at, first.claimed.text]).toEqual(["string", "as I say"]);
    expect(second.vouched).toMatchObject({ text: "x".repeat(LIMITS.reportChars), sha256: sha256("x".repeat(5_000)) });
    // What is gone before can be reported still: the reporter's device may have it.
    const late = await report(ana, mallory, { messages: [{ message_id: id, text: "I kept it" }] });
    const [kept] = (await show(late.json.id)).json.messages;
    expect([kept.vouched.sha256, kept.vouched.text, kept.claimed.text]).toEqual([null, null, "I kept it"]);
    expect(JSON.stringify((await show(filed.json.id)).json)).not.toContain(unnamed);
  });

  test("may be about what was said in a group before one left it, in a public channel, and in the room", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const group = await mallory.group([ana]);
    const before = await post(mallory, group, "YmVmb3Jl");
    await ana.request("DELETE", `/api/conversations/${group}/participants/${ana.id}`);
    const after = await post(mallory, group, "YWZ0ZXI=");
    expect((await report(ana, mallory, { conversation_id: group, messages: [{ message_id: before }] })).status).toBe(
      201,
    );
    expect(refusal(await report(ana, mallory, { messages: [{ message_id: after }] }))).toEqual([
      404,
      "message_not_found",
    ]);

    const channel = { conversation_type: "channel", name: "News", channel: `news-${crypto.randomUUID().slice(0, 8)}` };
    const open = { ...channel, public: true, history: "shared" };
    const { id } = (await mallory.request("POST", "/api/conversations", open)).json;
    const said = await post(mallory, id, "in public", "content");
    const public_ = await report(ana, mallory, { conversation_id: id, messages: [{ message_id: said }] });
    expect((await show(public_.json.id)).json.messages[0].vouched.text).toBe("in public");

    // Ana has never said anything in the room, so she is no member of it.
    const guest = await RoomGuest.register(nodes[0].url);
    using speaker = await guest.enter();
    const shouted = await say(speaker, "to everybody");
    const inRoom = await report(ana, guest, { messages: [{ message_id: shouted.id }] });
    expect((await show(inRoom.json.id)).json.messages[0].vouched).toMatchObject({ text: "to everybody" });
  });

  test("is refused for oneself, for nobody, for what one cannot see and for what others said", async () => {
    const [ana, mallory, ben] = (await people(3)) as [Person, Person, Person];
    const dm = await mallory.dm(ana);
    const own = await post(ana, dm, "bWluZQ==");
    const elsewhere = await mallory.dm(ben);
    const secret = await post(mallory, elsewhere, "bm90IGZvciBBbmE=");
    const nothing = uuidv7();
    expect(refusal(await report(ana, ana))).toEqual([400, "bad_request"]);
    expect(refusal(await report(ana, { id: nothing }))).toEqual([404, "user_not_found"]);
    const about = (message_id: string) => report(ana, mallory, { messages: [{ message_id }] });
    expect((await about(own)).json.error).toMatchObject({
      ...{ code: "bad_request", details: { fields: { "messages.0.message_id": expect.any(String) } } },
    });
    // What there is and is not theirs answers as what there is not.
    expect(bare(await about(secret))).toEqual(bare(await about(nothing)));
    expect(refusal(await about(secret))).toEqual([404, "message_not_found"]);
    const at = (conversation_id: string) => report(ana, mallory, { conversation_id });
    expect(bare(await at(elsewhere))).toEqual(bare(await at(nothing)));
    expect(refusal(await at(elsewhere))).toEqual([404, "conversation_not_found"]);
    const wrongPlace = {
      conversation_id: await ana.group([mallory]),
      messages: [{ message_id: await post(mallory, dm, "QQ==") }],
    };
    expect(refusal(await report(ana, mallory, wrongPlace))).toEqual([404, "message_not_found"]);
    expect(
      (await boss.request("GET", "/api/admin/reports?limit=100")).json.reports.filter(
        ({ reporter }: { reporter: { id: string } }) => reporter.id === ana.id,
      ),
    ).toEqual([]);
  });

  test("is bounded in every part", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const dm = await mallory.dm(ana);
    const message_id = await post(mallory, dm, "QQ==");
    const long = "x".repeat(LIMITS.reportChars + 1);
    for (const more of [
      { reason: "boredom" },
      { note: long },
      { note: "" },
      { note: "\ud800" },
      { messages: [{ message_id, text: long }] },
      { messages: [{ message_id }, { message_id }] },
      { messages: Array.from({ length: LIMITS.reportMessages + 1 }, () => ({ message_id: newMessageId() })) },
      { id: crypto.randomUUID() },
      { conversation: dm },
    ])
      expect([JSON.stringify(more).slice(0, 60), ...refusal(await report(ana, mallory, more))]).toEqual([
        ...[JSON.stringify(more).slice(0, 60), 400, "bad_request"],
      ]);
  });

  test("is stored once: the same again is the same, another one under its id is refused, and so is another's id", async () => {
    const [ana, mallory, ben] = (await people(3)) as [Person, Person, Person];
    const dm = await mallory.dm(ana);
    const message_id = await post(mallory, dm, "QQ==");
    const asked = { id: uuidv7(), messages: [{ message_id, text: "seen" }] };
    const answers = await Promise.all(Array.from({ length: 8 }, () => report(ana, mallory, asked)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ json }) => JSON.stringify(json))).size).toBe(1);
    // Stored wins: the message is gone, and whoever asks again is answered as before.
    await mallory.request("DELETE", `/api/messages/${message_id}`);
    expect((await report(ana, mallory, asked)).status).toBe(200);
    for (const other of [{ note: "and more" }, { reason: "spam" }, { messages: [] }])
      expect(refusal(await report(ana, mallory, { ...asked, ...other }))).toEqual([409, "idempotency_conflict"]);
    expect(refusal(await report(ben, mallory, asked))).toEqual([409, "conflict"]);
    expect(await nodes[0].db.query("select 1 from reports where id = $1", [asked.id])).toHaveLength(1);
  });

  test("of one account comes twenty times a day; retries and refusals do not count", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const id = uuidv7();
    for (let i = 0; i < 3; i++) expect((await report(ana, mallory, { id })).status).toBe(i === 0 ? 201 : 200);
    for (let i = 0; i < 3; i++) expect((await report(ana, ana)).status).toBe(400);
    for (let i = 1; i < LIMITS.reportsPerDay; i++) expect((await report(ana, mallory)).status).toBe(201);
    const refused = await report(ana, mallory);
    expect(refusal(refused)).toEqual([429, "rate_limited"]);
    expect(refused.json.error.details.retry_after_ms).toBeGreaterThan(3_600_000 - 10 * BUSY_MS);
    expect((await report(ana, mallory, { id })).status).toBe(200);
  });

  test("leaves nothing readable in the database, the log or the metrics", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const group = await mallory.group([ana], { encryption: "server" });
    const mark = crypto.randomUUID();
    const message_id = await post(mallory, group, `stored ${mark}`, "content");
    const filed = await report(ana, mallory, {
      note: `note ${mark}`,
      messages: [{ message_id, text: `text ${mark}` }],
    });
    expect((await close(filed.json.id, { outcome: "warned", note: `closing ${mark}` })).status).toBe(200);
    const shown = (await show(filed.json.id)).json;
    expect([shown.note, shown.closing_note]).toEqual([`note ${mark}`, `closing ${mark}`]);
    const rows = await nodes[0].db.query("select x::text, encode(x.body, 'escape') as body from reports x");
    const audit = await nodes[0].db.query("select x::text from audit_log x");
    const metrics = await (await fetch(`${nodes[0].url}/metrics`)).text();
    const hex = Buffer.from(mark).toString("hex");
    for (const text of [JSON.stringify([rows, audit]), nodes[0].logged(), nodes[1].logged(), metrics])
      expect([text.includes(mark), text.includes(hex)]).toEqual([false, false]);
    expect(metrics).toMatch(/sotto_reports_total\{reason="abuse"\} [1-9]/);
  });
});

describe("who is reported", () => {
  test("is told by nothing: not on a socket, in an answer, in their export, nor as an administrator [RPT-2]", async () => {
    const ana = await nodes[1].person();
    const mallory = await administrator();
    const dm = await mallory.dm(ana);
    const message_id = await post(mallory, dm, "QQ==");
    using socket = await mallory.live();
    const paths = [
      `/api/conversations/${dm}`,
      `/api/conversations/${dm}/messages`,
      `/api/users/${ana.id}`,
      "/api/auth/me",
    ];
    const sees = async () =>
      JSON.stringify(await Promise.all(paths.map(async (path) => (await mallory.request("GET", path)).json)));
    const before = await sees();
    const frames = socket.frames.length;
    const filed = await report(ana, mallory, { conversation_id: dm, messages: [{ message_id }] });
    expect(filed.status).toBe(201);
    await socket.settled();
    expect(socket.frames.slice(frames).filter(({ type }) => type !== "pong")).toEqual([]);
    expect(await sees()).toBe(before);
    const { id } = filed.json;
    expect(refusal(await show(id, mallory))).toEqual([404, "not_found"]);
    expect(refusal(await close(id, { outcome: "dismissed" }, mallory))).toEqual([404, "not_found"]);
    const all = await mallory.request("GET", "/api/admin/reports?state=all&limit=100");
    expect(JSON.stringify(all.json)).not.toContain(id);
    expect((await close(id, { outcome: "warned" })).status).toBe(200);
    await show(id);
    const archive = await fetch(`${mallory.url}/api/auth/export`, {
      ...{ method: "POST", body: JSON.stringify({ password: "correct horse battery staple" }) },
      headers: { authorization: `Bearer ${mallory.token}`, "content-type": "application/json" },
    });
    expect(new TextDecoder().decode(Bun.gunzipSync(await archive.bytes()))).not.toContain(id);
  });

  test("cannot tell a report from one that somebody made who blocks them", async () => {
    const [ana, mallory, ben] = (await people(3)) as [Person, Person, Person];
    await ben.request("POST", `/api/users/${ana.id}/block`);
    const shape = ({ status, json }: HttpAnswer) => [status, Object.keys(json)];
    expect(shape(await report(ana, ben))).toEqual(shape(await report(ana, mallory)));
  });
});

describe("administrators", () => {
  test("who are connected are told that there is one, at every node; nobody else is [RPT-3]", async () => {
    const [ana, mallory, ben] = (await people(3)) as [Person, Person, Person];
    using here = await boss.live();
    using there = await boss.at(nodes[1].url).live();
    using bystander = await ben.live();
    const { id } = (await report(ana, mallory, { reason: "spam" })).json;
    const told = { type: "report_filed", report_id: id, reason: "spam" };
    for (const peer of [here, there]) expect(await peer.match((frame) => frame.report_id === id)).toEqual(told);
    await bystander.settled();
    expect(bystander.frames.filter(({ type }) => type === "report_filed")).toEqual([]);
  });

  test("page through what is open and what is closed", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.unshift((await report(ana, mallory)).json.id);
    await close(ids[1] ?? "", { outcome: "dismissed" });
    const list = async (query: string) => (await boss.request("GET", `/api/admin/reports?${query}`)).json;
    const idsOf = ({ reports }: { reports: { id: string }[] }) => reports.map(({ id }) => id);
    const first = await list("limit=1");
    const second = await list(`limit=1&before=${first.next}`);
    expect([...idsOf(first), ...idsOf(second)]).toEqual([ids[0], ids[2]] as string[]);
    expect(idsOf(await list("state=closed&limit=1"))).toEqual([ids[1]] as string[]);
    expect(idsOf(await list("state=all&limit=3"))).toEqual(ids);
    expect(JSON.stringify(first)).not.toContain("messages");
    for (const query of ["state=lost", "limit=0", "before=x"])
      expect((await boss.request("GET", `/api/admin/reports?${query}`)).status).toBe(400);
  });

  test("are those who are it now; others get the same for every report", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const { id } = (await report(ana, mallory)).json;
    const former = await administrator();
    expect((await show(id, former)).status).toBe(200);
    await setRole(nodes[0].db, former.id, "user");
    for (const who of [former, ana, mallory]) {
      for (const there of [id, uuidv7()]) {
        expect(refusal(await show(there, who))).toEqual([403, "forbidden"]);
        expect(refusal(await close(there, { outcome: "disabled" }, who))).toEqual([403, "forbidden"]);
      }
      expect(refusal(await who.request("GET", "/api/admin/reports"))).toEqual([403, "forbidden"]);
    }
    expect(refusal(await show(uuidv7()))).toEqual([404, "not_found"]);
    expect(refusal(await close(uuidv7(), { outcome: "warned" }))).toEqual([404, "not_found"]);
  });

  test("disable by closing, once, and each step is in the audit log; the sockets close at every node", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const { id } = (await report(ana, mallory)).json;
    await show(id);
    using here = await mallory.live();
    using there = await mallory.at(nodes[0].url).live();
    const asked = performance.now();
    const closed = await Promise.all(
      Array.from({ length: 5 }, () => close(id, { outcome: "disabled", note: "twice" })),
    );
    for (const { status, json } of closed) {
      expect([status, json.state, json.outcome, json.reported.disabled]).toEqual([200, "closed", "disabled", true]);
    }
    for (const peer of [here, there]) expect(await peer.ended()).toEqual({ code: 4411, reason: "account_disabled" });
    expect(performance.now() - asked).toBeLessThan(CLOSE_MS + BUSY_MS);
    expect(refusal(await close(id, { outcome: "dismissed" }))).toEqual([409, "report_closed"]);
    expect(refusal(await close(id, { outcome: "disabled" }))).toEqual([409, "report_closed"]);
    const entries = await nodes[0].db.query<{ action: string; actor: string; account: string | null }>(
      "select action, actor, account from audit_log where report = $1 order by id",
      [id],
    );
    const by = (action: string, account: string | null) => ({ action, actor: boss.id as string, account });
    expect(entries).toEqual([by("read_report", null), by("disable", mallory.id), by("close_report", null)]);
  });

  test("cannot disable each other so: that is for whoever runs the server", async () => {
    const ana = await nodes[0].person();
    const other = await administrator();
    const { id } = (await report(ana, other)).json;
    expect(refusal(await close(id, { outcome: "disabled" }))).toEqual([403, "forbidden"]);
    expect((await show(id)).json.state).toBe("open");
    expect((await other.request("GET", "/api/auth/me")).status).toBe(200);
  });
});

describe("a report goes", () => {
  const left = async (id: string) => (await nodes[0].db.query("select 1 from reports where id = $1", [id])).length;

  test("with the account of whoever made it and of whom it is about", async () => {
    const [ana, mallory, ben] = (await people(3)) as [Person, Person, Person];
    const [made, about] = [(await report(ana, ben)).json.id, (await report(ben, mallory)).json.id];
    for (const who of [ana, mallory]) await nodes[0].db.query("delete from accounts where id = $1", [who.id]);
    expect([await left(made), await left(about)]).toEqual([0, 0]);
  });

  test("some time after it was closed, and in the end also where nobody closed it", async () => {
    const [ana, mallory] = (await people(2)) as [Person, Person];
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await report(ana, mallory)).json.id);
    const [oldClosed = "", newClosed = "", oldOpen = "", newOpen = ""] = ids;
    for (const id of [oldClosed, newClosed]) await close(id, { outcome: "dismissed" });
    const aged =
      "update reports set created_at = now() - make_interval(days => $2), closed_at = case when closed_at is not null then now() - make_interval(days => $3) end where id = $1";
    await nodes[0].db.query(aged, [oldClosed, 1_000, KEEP_CLOSED_DAYS + 1]);
    await nodes[0].db.query(aged, [newClosed, 1_000, KEEP_CLOSED_DAYS - 1]);
    await nodes[0].db.query(aged, [oldOpen, KEEP_OPEN_DAYS + 1, 0]);
    await nodes[0].db.query(aged, [newOpen, KEEP_OPEN_DAYS - 1, 0]);
    expect(await purgeReports({ db: nodes[0].db, clock: { now: () => Date.now() } })).toBe(2);
    expect(await Promise.all(ids.map(left))).toEqual([0, 1, 0, 1]);
  });
});
