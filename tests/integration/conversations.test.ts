/** `/api/conversations` over real HTTP: conversations, their members, and their logs. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ensurePartitions, purgeExpired } from "../../src/conversations/partitions.ts";
import { newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import { type Person, startApp, type TestApp } from "../support/app.ts";
import { waitUntil } from "../support/wait.ts";

/** Of a message that ends while the test waits: long enough to be seen before. */
const LIFE_S = 4;

let server: TestApp;
beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server[Symbol.asyncDispose]());

const people = (count: number) => Promise.all(Array.from({ length: count }, () => server.person()));
const path = (id: string, rest = "") => `/api/conversations/${id}${rest}`;
const say = (who: Person, id: string, text: string, more: object = {}) =>
  who.request("POST", path(id, "/messages"), { encrypted_content: text, ...more });
const codeOf = (answer: { status: number; json: { error?: { code: string } } }) => [
  answer.status,
  answer.json.error?.code,
];
const rowsOf = (id: string) =>
  server.db.query<{ seq: number; body: Buffer | null }>(
    "select seq, body from events where conversation = $1 order by seq",
    [id],
  );

describe("createConversation()", () => {
  test("gives a dm once per pair, whoever asks, and another for another encryption", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const ask = (who: Person, other: Person, more: object = {}) =>
      who.request("POST", "/api/conversations", { conversation_type: "dm", participant_ids: [other.id], ...more });
    const first = await ask(ann, ben);
    expect(first.status).toBe(201);
    expect(first.json).toMatchObject({
      conversation_type: "dm",
      encryption: "opaque",
      name: null,
      last_seq: 1,
      message_count: 0,
      last_message_id: null,
      retention_seconds: null,
    });
    expect([...first.json.participant_ids].sort()).toEqual([ann.id, ben.id].sort());
    const again = await ask(ben, ann);
    expect([again.status, again.json.id]).toEqual([200, first.json.id]);
    expect((await ask(ann, ben, { encryption: "server" })).json.id).not.toBe(first.json.id);
  });

  test("makes one dm of fifty requests at once", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const ids = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? ann.dm(ben) : ben.dm(ann))));
    expect(new Set(ids).size).toBe(1);
    expect((await ann.request("GET", "/api/conversations")).json.conversations).toHaveLength(1);
  });

  test("refuses what cannot be, and says which field", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const ask = async (body: object) => codeOf(await ann.request("POST", "/api/conversations", body));
    const dm = { conversation_type: "dm", participant_ids: [ben.id] };
    expect(await ask({ ...dm, participant_ids: [] })).toEqual([400, "bad_request"]);
    expect(await ask({ ...dm, participant_ids: [ann.id] })).toEqual([400, "bad_request"]);
    expect(await ask({ ...dm, participant_ids: [uuidv7()] })).toEqual([404, "user_not_found"]);
    expect(await ask({ ...dm, participant_ids: ["x"] })).toEqual([400, "bad_request"]);
    expect(await ask({ ...dm, encryption: "mls" })).toEqual([422, "encryption_unsupported"]);
    expect(await ask({ ...dm, conversation_type: "channel" })).toEqual([400, "bad_request"]);
    expect(await ask({ ...dm, retention_seconds: 0 })).toEqual([400, "bad_request"]);
    expect(await ask({ ...dm, name: 7 })).toEqual([400, "bad_request"]);
    expect((await ann.request("GET", "/api/conversations")).json.conversations).toEqual([]);
  });
});

describe("listConversations()", () => {
  test("pages by activity, the latest first, each once", async () => {
    const [ann, ...others] = (await people(6)) as [Person, ...Person[]];
    const ids: string[] = [];
    for (const other of others) ids.push(await ann.dm(other));
    await say(ann, ids[0] ?? "", "bGFzdA==");
    const first = (await ann.request("GET", "/api/conversations?limit=2")).json;
    expect(first.conversations.map((one: { id: string }) => one.id)).toEqual([ids[0], ids[4]]);
    expect(first.conversations[0]).toMatchObject({ last_seq: 2, message_count: 1 });
    const seen = [...first.conversations];
    for (let next = first.next; next !== null; ) {
      const page = (await ann.request("GET", `/api/conversations?limit=2&cursor=${next}`)).json;
      seen.push(...page.conversations);
      next = page.next;
    }
    expect(seen.map((one) => one.id)).toEqual([ids[0], ids[4], ids[3], ids[2], ids[1]]);
    expect(codeOf(await ann.request("GET", "/api/conversations?cursor=zzz"))).toEqual([400, "bad_request"]);
    expect(codeOf(await ann.request("GET", "/api/conversations?limit=0"))).toEqual([400, "bad_request"]);
  });
});

describe("participants", () => {
  test("are added by owners, leave by themselves, and see their own part of the log", async () => {
    const [ann, ben, cleo, dan] = (await people(4)) as [Person, Person, Person, Person];
    const group = await ann.group([ben]);
    await say(ann, group, "b2xk");
    expect(codeOf(await ben.request("POST", path(group, "/participants"), { user_id: cleo.id }))).toEqual([
      403,
      "forbidden",
    ]);
    const added = await ann.request("POST", path(group, "/participants"), { user_id: cleo.id });
    expect([added.status, added.json.participant_ids.length]).toEqual([201, 3]);
    expect(codeOf(await ann.request("POST", path(group, "/participants"), { user_id: cleo.id }))).toEqual([
      409,
      "already_member",
    ]);
    expect(codeOf(await ann.request("POST", path(group, "/participants"), { user_id: uuidv7() }))).toEqual([
      404,
      "user_not_found",
    ]);
    expect(codeOf(await dan.request("POST", path(group, "/participants"), { user_id: dan.id }))).toEqual([
      404,
      "conversation_not_found",
    ]);

    await say(ben, group, "bmV3");
    const history = (await cleo.request("GET", path(group, "/messages"))).json.messages;
    expect(history.map((entry: { seq: number; type: string }) => [entry.seq, entry.type])).toEqual([
      [3, "membership"],
      [4, "message"],
    ]);

    expect(codeOf(await cleo.request("DELETE", path(group, `/participants/${ben.id}`)))).toEqual([403, "forbidden"]);
    expect((await cleo.request("DELETE", path(group, `/participants/${cleo.id}`))).status).toBe(204);
    // Who left sees what somebody sees who never was there.
    for (const who of [cleo, dan]) {
      expect(codeOf(await who.request("GET", path(group)))).toEqual([404, "conversation_not_found"]);
      expect(codeOf(await who.request("GET", path(group, "/messages")))).toEqual([404, "conversation_not_found"]);
      expect(codeOf(await say(who, group, "bm8="))).toEqual([404, "conversation_not_found"]);
    }
    expect((await ann.request("DELETE", path(group, `/participants/${ben.id}`))).status).toBe(204);
    expect((await rowsOf(group)).map((row) => row.seq)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("of a dm do not change", async () => {
    const [ann, ben, cleo] = (await people(3)) as [Person, Person, Person];
    const dm = await ann.dm(ben);
    expect(codeOf(await ann.request("POST", path(dm, "/participants"), { user_id: cleo.id }))).toEqual([
      403,
      "forbidden",
    ]);
    expect(codeOf(await ann.request("DELETE", path(dm, `/participants/${ann.id}`)))).toEqual([403, "forbidden"]);
  });
});

describe("messages over HTTP", () => {
  test("are stored once for one id, and paged both ways without a gap", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const dm = await ann.dm(ben);
    const id = newMessageId();
    const sent = await say(ann, dm, "b25jZQ==", { id });
    expect([sent.status, sent.json.seq, sent.json.id]).toEqual([201, 2, id]);
    const twin = await say(ann, dm, "b25jZQ==", { id });
    expect([twin.status, twin.json.seq, twin.json.created_at]).toEqual([200, 2, sent.json.created_at]);
    expect(codeOf(await say(ann, dm, "b3RoZXI=", { id }))).toEqual([409, "idempotency_conflict"]);
    expect(codeOf(await say(ben, dm, "b25jZQ==", { id }))).toEqual([409, "conflict"]);
    for (let i = 3; i <= 12; i++) await say(ann, dm, `bQ${i}`);

    const seqs = async (query: string) => {
      const { messages, next, previous } = (await ben.request("GET", path(dm, `/messages?${query}`))).json;
      return { seqs: messages.map((entry: { seq: number }) => entry.seq), next, previous };
    };
    expect(await seqs("limit=5")).toEqual({ seqs: [8, 9, 10, 11, 12], next: null, previous: 8 });
    expect((await seqs("limit=5&before_seq=8")).seqs).toEqual([3, 4, 5, 6, 7]);
    expect(await seqs("limit=5&before_seq=3")).toEqual({ seqs: [1, 2], next: 2, previous: null });
    expect(await seqs("limit=5&after_seq=0")).toEqual({ seqs: [1, 2, 3, 4, 5], next: 5, previous: 1 });
    expect(await seqs("limit=5&after_seq=10")).toEqual({ seqs: [11, 12], next: null, previous: 11 });
    expect(await seqs("after_seq=12")).toEqual({ seqs: [], next: null, previous: null });
    expect(codeOf(await ben.request("GET", path(dm, "/messages?after_seq=1&before_seq=5")))).toEqual([
      400,
      "bad_request",
    ]);
    expect(codeOf(await ben.request("GET", path("x", "/messages")))).toEqual([404, "not_found"]);
    expect(codeOf(await ben.request("GET", path(uuidv7(), "/messages")))).toEqual([404, "conversation_not_found"]);
  });

  test("reach a socket, and a socket's messages the page", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const dm = await ann.dm(ben);
    using b = await ben.live();
    const sent = await say(ann, dm, "aHR0cA==");
    expect(await b.next("message")).toEqual(sent.json);
    const receipt = await b.say(dm, "c29ja2V0");
    const page = (await ann.request("GET", path(dm, "/messages"))).json.messages;
    expect(page.at(-1)).toMatchObject({ id: receipt.id, seq: receipt.seq, encrypted_content: "c29ja2V0" });
  });

  test("are refused where the fields do not fit the encryption, or are too long, and nothing is stored", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const [opaque, server_] = [await ann.dm(ben), await ann.dm(ben, { encryption: "server" })];
    const post = async (id: string, body: object) => codeOf(await ann.request("POST", path(id, "/messages"), body));
    expect(await post(opaque, { content: "plain" })).toEqual([422, "encryption_mismatch"]);
    expect(await post(server_, { encrypted_content: "eA==" })).toEqual([422, "encryption_mismatch"]);
    expect(await post(opaque, {})).toEqual([422, "encryption_mismatch"]);
    expect(await post(opaque, { encrypted_content: "x".repeat(87_385) })).toEqual([413, "payload_too_large"]);
    expect(await post(opaque, { encrypted_content: "eA==", id: "7" })).toEqual([400, "bad_request"]);
    expect(await post(opaque, { encrypted_content: "eA==", expires_in: -1 })).toEqual([400, "bad_request"]);
    expect(await post(opaque, { encrypted_content: "eA==", message_type: "system" })).toEqual([400, "bad_request"]);
    const old = newMessageId(Date.now() - 25 * 3_600_000);
    expect(await post(opaque, { encrypted_content: "eA==", id: old })).toEqual([422, "id_out_of_window"]);
    expect(await rowsOf(opaque)).toHaveLength(1);
    expect(await rowsOf(server_)).toHaveLength(1);
  });
});

describe("encryption at rest", () => {
  test("of a server conversation keeps the text out of the table and gives it to members", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const group = await ann.group([ben], { encryption: "server" });
    const text = "the ferry leaves at nine, äöü 🛥";
    const id = newMessageId();
    const body = { content: text, id };
    expect((await ann.request("POST", path(group, "/messages"), body)).status).toBe(201);
    expect((await ann.request("POST", path(group, "/messages"), body)).status).toBe(200);
    const rows = await rowsOf(group);
    expect(rows).toHaveLength(2);
    for (const row of rows) expect(row.body?.includes("ferry")).toBe(false);
    expect((await ben.request("GET", path(group, "/messages"))).json.messages.at(-1)).toMatchObject({ content: text });
    using b = await ben.live();
    expect(b.entries(group).at(-1)).toMatchObject({ type: "message", content: text });
  });
});

describe("expiry", () => {
  test("turns a message into a tombstone at its time, for pages and sockets, and its bytes go", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const dm = await ann.dm(ben, { retention_seconds: 86_400 });
    const kept = await ann.dm(ben);
    for (const id of [dm, kept]) {
      await say(ann, id, "c2hvcnQ=", { expires_in: LIFE_S });
      await say(ann, id, "bG9uZw==");
    }
    const page = async (id: string) => (await ben.request("GET", path(id, "/messages"))).json.messages;
    const first = (await page(dm))[1];
    expect(Date.parse(first.expires_at) - Date.parse(first.created_at)).toBe(LIFE_S * 1_000);
    for (const id of [dm, kept]) {
      await waitUntil("the message has expired", async () => (await page(id))[1].type === "tombstone");
    }
    expect((await page(dm))[1]).toMatchObject({ seq: 2, id: first.id, reason: "expired" });
    expect((await page(dm))[2]).toMatchObject({ type: "message", seq: 3 });
    using b = await ben.live();
    expect(b.entries(dm).map((entry) => entry.type)).toEqual(["membership", "tombstone", "message"]);

    await purgeExpired(server.db, Date.now());
    for (const id of [dm, kept]) {
      expect((await rowsOf(id)).map((row) => row.body === null)).toEqual([false, true, false]);
    }
    // The twin of what is gone is still known, and still nobody reads it.
    const retried = await say(ann, dm, "c2hvcnQ=", { id: first.id, expires_in: LIFE_S });
    expect([retried.status, retried.json.seq]).toEqual([200, 2]);
    await b.settled();
    expect(b.entries(dm)).toHaveLength(3);
  });

  test("drops whole days in time, and says what is gone to a device that comes late [RES-4]", async () => {
    const [ann, ben] = (await people(2)) as [Person, Person];
    const dm = await ann.dm(ben, { retention_seconds: 86_400 });
    await say(ann, dm, "Z29uZQ==");
    // Three days later everything of today has expired.
    await purgeExpired(server.db, Date.now() + 3 * 86_400_000);
    expect(await rowsOf(dm)).toEqual([]);
    // Back to the real time, whose partition went with the others.
    await ensurePartitions(server.db, Date.now());
    const sent = await say(ann, dm, "bmV3");
    expect(sent.json.seq).toBe(3);
    using b = await ben.live();
    expect(b.frames.find((frame) => frame.type === "truncated")).toMatchObject({
      conversation_id: dm,
      truncated_before: 3,
    });
    expect(b.entries(dm).map((entry) => entry.seq)).toEqual([3]);
  });
});
