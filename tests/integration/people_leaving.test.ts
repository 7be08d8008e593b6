/** Taking everything along, and leaving for good: what is in the archive, what is left, and for whom. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database, Sql } from "../../src/platform/postgres.ts";
import { type ConversationId, newMessageId } from "../../src/protocol/mod.ts";
import { MemoryBus } from "../../src/realtime/mod.ts";
import { holdHead } from "../spec/support.ts";
import { Person, request, startApp, type TestApp } from "../support/app.ts";
import { createTestDatabase } from "../support/postgres.ts";
import { ServerProcess } from "../support/server_process.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";

const PASSWORD = "correct horse battery staple";
const DEPARTURES = { everyMs: 200, settleMs: 1_500 };

let nodes: readonly [TestApp, TestApp];
beforeAll(async () => {
  const bus = new MemoryBus();
  const one = await startApp({ slowPasswords: true, bus, departures: DEPARTURES, cursorFlushMs: 100 });
  nodes = [one, await one.another({ bus, departures: DEPARTURES, cursorFlushMs: 100 })];
});
afterAll(async () => {
  await nodes[1][Symbol.asyncDispose]();
  await nodes[0][Symbol.asyncDispose]();
});

const post = (who: Person, id: ConversationId, text: string) =>
  who.request("POST", `/api/conversations/${id}/messages`, { id: newMessageId(), encrypted_content: text });
const leave = (who: Person, password = PASSWORD) => who.request("POST", "/api/auth/delete-account", { password });
const gone = (sql: Sql, who: Person) =>
  waitUntil(
    "the account is gone",
    async () => (await sql.query("select 1 from accounts where id = $1", [who.id])).length === 0,
    60_000, // a server as it is started otherwise waits 10 s for sockets, and looks every 5 s
  );

/** Asks for the archive and unpacks it with the system's own tar; gives the texts by name. */
async function archiveOf(who: Person): Promise<Map<string, string>> {
  const response = await fetch(`${who.url}/api/auth/export`, {
    method: "POST",
    headers: { authorization: `Bearer ${who.token}`, "content-type": "application/json" },
    body: JSON.stringify({ password: PASSWORD }),
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/gzip"]);
  const folder = await mkdtemp(join(tmpdir(), "sotto-export-"));
  try {
    await Bun.write(join(folder, "a.tar.gz"), response);
    const unpacked = Bun.spawnSync(["tar", "xzf", "a.tar.gz"], { cwd: folder });
    expect([unpacked.exitCode, unpacked.stderr.toString()]).toEqual([0, ""]);
    const files = new Map<string, string>();
    for (const name of (await readdir(folder, { recursive: true })).sort()) {
      if (name.endsWith(".ndjson") && (await stat(join(folder, name))).isFile()) {
        files.set(name, await readFile(join(folder, name), "utf8"));
      }
    }
    return files;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The rows of a table of an archive. */
function rowsOf(files: ReadonlyMap<string, string>, table: string): Record<string, unknown>[] {
  const text = files.get(`tables/${table}.000001.ndjson`) ?? "";
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

/** Every row of every table that names somebody in any form, as `table: row`. */
async function tracesOf(db: Database, needles: readonly string[]): Promise<{ table: string; row: string }[]> {
  // Another test leaves a hundred thousand messages, and a busy machine takes its time to look through them.
  await using sql = await db.connect("traces", { queryTimeoutMs: 60_000 });
  const tables = await sql.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relkind in ('r', 'p') and not c.relispartition
       and c.relnamespace = 'public'::regnamespace order by 1`,
  );
  // A bytea reads as hexadecimal.
  const forms = needles.flatMap((needle) => [needle, Buffer.from(needle).toString("hex")]);
  const traces: { table: string; row: string }[] = [];
  for (const { name } of tables) {
    const rows = await sql.query<{ row: string }>(`select x::text as row from "${name}" x where x::text ~ $1`, [
      forms.join("|"),
    ]);
    traces.push(...rows.map(({ row }) => ({ table: name, row })));
  }
  return traces;
}

/** Ann, who has something in every table, and those whom she has it with. */
async function settled() {
  const [ann, ben, cem] = await Promise.all([nodes[0].person(), nodes[1].person(), nodes[0].person()]);
  const mark = crypto.randomUUID().slice(0, 8);
  await ann.request("PUT", `/api/users/${ann.id}`, { display_name: `Ann ${mark}`, status: "dnd" });
  await fetch(`${ann.url}/api/users/${ann.id}/private-key`, {
    method: "PUT",
    headers: { authorization: `Bearer ${ann.token}`, "content-type": "application/json", "if-none-match": "*" },
    body: JSON.stringify({ private_key_encrypted: `sealed ${mark}` }),
  });
  const dm = await ann.dm(ben);
  const group = await ann.group([ben, cem]);
  const alone = await ann.group([], { name: `Alone ${mark}` });
  const relayed = await ann.request("POST", "/messages", { recipient_id: ben.id, encrypted_data: "QUJD" });
  expect(relayed.status).toBe(201);
  for (const id of [dm, group, alone]) await post(ann, id, `YW5u${mark}`);
  await post(ben, dm, `YmVu${mark}`);
  const bens = (await post(ben, group, `YmVu${mark}`)).json.id;
  const hers = (await post(ann, group, `YW5u${mark}`)).json.id;
  await ann.request("PUT", `/api/messages/${hers}`, { encrypted_content: `YW5u${mark}edited` });
  await ann.request("POST", `/api/messages/${bens}/reactions`, { emoji: "🦩" });
  await ann.request("DELETE", `/api/messages/${bens}?for=me`);
  await ann.request("POST", `/api/users/${cem.id}/block`);
  const shown = { note: `Cem said ${mark}`, messages: [{ message_id: bens, text: `Ben said ${mark}` }] };
  expect((await ann.request("POST", "/api/reports", { user_id: ben.id, reason: "spam", ...shown })).status).toBe(201);
  expect((await cem.request("POST", "/api/reports", { user_id: ann.id, reason: "other" })).status).toBe(201);
  await cem.request("POST", `/api/users/${ann.id}/block`);
  {
    using live = await ann.live();
    live.acknowledge(dm, 2);
    using bens = await ben.live();
    for (const [from, to] of [[live, ben] as const, [bens, ann] as const]) {
      from.send({ type: "key_exchange", id: newMessageId(), to_user_id: to.id, payload: btoa(mark) });
      await from.next("key_exchange_stored");
    }
    await live.settled();
  }
  await ann.request("POST", "/api/auth/ws-ticket");
  return { ann, ben, cem, dm, group, alone, mark };
}

describe("the archive", () => {
  test("holds what is kept about its owner and may be seen by them, and no secret and nobody else's", async () => {
    const { ann, ben, cem, dm, group, mark } = await settled();
    expect((await ann.request("POST", "/api/auth/export", { password: "wrong" })).status).toBe(403);
    await ann.request("DELETE", `/api/users/${cem.id}/block`);
    const hidden = await ann.dm(cem); // whom Cem blocks does not learn it here either
    await post(ann, hidden, "hello");
    const files = await archiveOf(ann);
    expect(rowsOf(files, "accounts")[0]).toMatchObject({ id: ann.id, username: ann.name, display_name: `Ann ${mark}` });
    expect(rowsOf(files, "private_keys")[0]).toMatchObject({ blob: `sealed ${mark}` });
    expect(rowsOf(files, "reports")).toMatchObject([
      {
        user_id: ben.id,
        reason: "spam",
        note: `Cem said ${mark}`,
        messages: [{ text: `Ben said ${mark}` }],
        state: "open",
      },
    ]);
    expect(rowsOf(files, "sessions").map(({ id }) => id)).toContain(ann.sessionId);
    expect(rowsOf(files, "members").map(({ conversation }) => conversation)).toEqual(
      expect.arrayContaining([dm, group]),
    );
    const log = (files.get(`conversations/${dm}.000001.ndjson`) ?? "")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const path = `/api/conversations/${dm}/messages?after_seq=0`;
    // A page adds what others reacted with; in the log that stands as entries.
    const messages: { reactions?: unknown; status?: unknown }[] = (await ann.request("GET", path)).json.messages;
    expect(log).toEqual(messages.map(({ reactions: _, status: __, ...entry }) => entry));
    const all = [...files].join("\n");
    expect(all).not.toMatch(/password_hash|refresh_hash|previous_hash|argon2/);
    expect(files.get("tables/account_blocks.000001.ndjson")).toBeUndefined();
    expect(files.get("tables/withheld.000001.ndjson")).toBeUndefined();
    expect(rowsOf(await archiveOf(ben), "accounts").map(({ id }) => id)).toEqual([ben.id]);
  });

  test("of a hundred thousand messages is written in bounded memory", async () => {
    // By itself, for the other tests read every row there is.
    await using server = await startApp();
    const [ann, ben] = await Promise.all([server.person(), server.person()]);
    const id = await ann.group([ben]);
    for (let from = 2; from <= 100_001; from += 10_000) {
      await server.db.query(
        `insert into events (kept, day, conversation, seq, id, sender, kind, at, counts, counted, digest, body)
         select true, current_date, $1, n, gen_random_uuid(), $2, 1, now(), true, n, '\\x00000000000000000000000000000000',
                convert_to('{"message_type":"text","encrypted_content":"' || repeat('QUJD', 100) || '"}', 'UTF8')
         from generate_series($3::int, $3 + 9999) n`,
        [id, ann.id, from],
      );
    }
    await server.db.query("analyze events_kept"); // as the server does by itself once so much has come
    await server.db.query("update conversations set last_seq = 100001, counted = 100000 where id = $1", [id]);
    const response = await fetch(`${ann.url}/api/auth/export`, {
      method: "POST",
      headers: { authorization: `Bearer ${ann.token}`, "content-type": "application/json" },
      body: JSON.stringify({ password: PASSWORD }),
    });
    Bun.gc(true);
    const before = process.memoryUsage().rss;
    let most = 0;
    const gunzip = new DecompressionStream("gzip");
    let lines = 0;
    let looked = 0;
    for await (const chunk of (response.body as ReadableStream<Uint8Array>).pipeThrough(gunzip as never)) {
      const bytes = chunk as Uint8Array;
      for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) lines++;
      if (lines - looked < 10_000) continue;
      looked = lines;
      Bun.gc(true); // when garbage is collected otherwise is the machine's affair
      most = Math.max(most, process.memoryUsage().rss);
    }
    expect(lines).toBeGreaterThan(100_000);
    // The archive holds 65 MB of rows; server and reader together are in this process.
    expect((most - before) / 2 ** 20).toBeLessThan(150);
  }, 120_000);
});

describe("leaving for good", () => {
  test("asks for the password, closes sockets on every node, and leaves nothing but places in others' logs [LEAVE-1]", async () => {
    const { ann, ben, dm, group, mark } = await settled();
    const far = await ann.signIn({ url: nodes[1].url });
    using here = await ann.live();
    using there = await far.live();
    using others = await ben.live();
    expect((await leave(ann, "wrong")).json.error.code).toBe("wrong_password");
    const asked = performance.now();
    expect([(await leave(ann)).status]).toEqual([202]);
    expect([(await here.ended()).code, (await there.ended()).code]).toEqual([4410, 4410]);
    expect(performance.now() - asked).toBeLessThan(2_000 + BUSY_MS);
    // At once: no way in, no name, no trace for who looks.
    expect((await ann.request("GET", "/api/auth/me")).status).toBe(401);
    const signIn = { username: ann.name, password: PASSWORD };
    expect((await request(ann.url, "POST", "/api/auth/signin", signIn)).status).toBe(401);
    expect(
      (await request(ann.url, "POST", "/api/auth/signin", { ...signIn, username: `deleted ${ann.id}` })).status,
    ).toBe(401);
    expect((await ben.request("GET", `/api/users?q=${ann.name}`)).json.users).toEqual([]);
    expect((await leave(ann)).status).toBe(401);
    // The others are told, in the dm too, and keep what they said themselves.
    const left = (frame: { type: string; change?: string }) => frame.type === "membership" && frame.change === "left";
    await others.until(() => [dm, group].every((id) => others.entries(id).some(left)));
    await gone(nodes[0].db, ann);
    for (const id of [dm, group]) {
      const log = (await ben.request("GET", `/api/conversations/${id}/messages?after_seq=0`)).json.messages;
      expect(log.map((entry: { seq: number }) => entry.seq)).toEqual(log.map((_: unknown, i: number) => i + 1));
      // In the group she also said something, edited it and reacted.
      const more = id === group ? ["tombstone", "tombstone", "tombstone"] : [];
      expect(log.map((entry: { type: string }) => entry.type)).toEqual([
        ...["membership", "tombstone", "message", ...more, "membership"],
      ]);
      expect(log[2].reactions).toEqual([]);
      expect((await post(ben, id, "QUJD")).status).toBe(201);
    }
    expect((await ben.request("GET", `/api/users/${ann.id}`)).status).toBe(404);
    const participants = (await ben.request("GET", `/api/conversations/${group}`)).json.participant_ids;
    expect(participants).not.toContain(ann.id);
    // Nowhere is there a word of hers; her id is a number in the logs of others, which names nobody.
    expect(
      await tracesOf(nodes[0].db, [ann.name, `Ann ${mark}`, `sealed ${mark}`, `YW5u${mark}`, `Alone ${mark}`]),
    ).toEqual([]);
    const traces = await tracesOf(nodes[0].db, [ann.id]);
    expect([...new Set(traces.map(({ table }) => table))]).toEqual(["events"]);
    const kept = await nodes[0].db.query<{ kind: number; bare: boolean }>(
      "select kind, body is null as bare from events where sender = $1 and kind <> 2",
      [ann.id],
    );
    expect(kept.every(({ bare }) => bare)).toBe(true);
  }, 120_000);

  test("is finished by another server where one was killed in the middle of it", async () => {
    await using database = await createTestDatabase();
    await using server = await ServerProcess.start({ DATABASE_URL: database.url });
    const [ann, ben] = [await Person.signUp(server.url, "ann"), await Person.signUp(server.url, "ben")];
    const groups: ConversationId[] = [];
    for (let i = 0; i < 40; i++) groups.push(await ann.group([ben]));
    await Promise.all(groups.map((id) => post(ann, id, "YW5u")));
    const remaining = async () =>
      (await database.db.query("select 1 from members where account = $1", [ann.id])).length;
    // They are left in the order of their ids, and the last one not before the server is killed.
    const last = await holdHead(database.db, groups.toSorted().at(-1) as ConversationId);
    expect((await leave(ann)).status).toBe(202);
    await waitUntil("it has begun", async () => (await remaining()) < groups.length);
    await server.signal("SIGKILL");
    expect(await remaining()).toBeGreaterThan(0);
    expect(await database.db.query("select 1 from accounts where id = $1", [ann.id])).toHaveLength(1);
    await last.release();
    await server.startAgain();
    await gone(database.db, ann);
    const said = "select 1 from events where sender = $1 and kind = 1 and body is not null";
    expect(await database.db.query(said, [ann.id])).toEqual([]);
    const again = await request(server.url, "POST", "/api/auth/signin", { username: "ben", password: PASSWORD });
    for (const id of groups) {
      const page = await request(
        server.url,
        "GET",
        `/api/conversations/${id}/messages`,
        undefined,
        again.json.access_token,
      );
      const left = page.json.messages.filter(({ type }: { type: string }) => type === "membership");
      // Told once, whoever finished it.
      expect(left).toHaveLength(2);
    }
  }, 120_000);

  test("keeps the name from others for thirty days", async () => {
    const ann = await nodes[0].person();
    expect((await leave(ann)).status).toBe(202);
    const again = { username: ann.name.toUpperCase(), password: PASSWORD };
    expect((await request(ann.url, "POST", "/api/auth/signup", again)).json.error.code).toBe("username_taken");
    await gone(nodes[0].db, ann);
    expect((await request(ann.url, "POST", "/api/auth/signup", again)).json.error.code).toBe("username_taken");
    await nodes[0].db.query("update retired_names set free_at = now() - interval '1 second'");
    expect((await request(ann.url, "POST", "/api/auth/signup", again)).status).toBe(201);
  }, 60_000);

  test("of fifty requests at once one closes the account", async () => {
    const ann = await nodes[0].person();
    const statuses = (await Promise.all(Array.from({ length: 50 }, () => leave(ann)))).map(({ status }) => status);
    expect(statuses.filter((status) => status === 202)).toHaveLength(1);
    // 503: more at once than a slow machine has connections for; nothing was changed by it.
    expect(statuses.filter((status) => ![202, 401, 403, 503].includes(status))).toEqual([]);
    await gone(nodes[0].db, ann);
  }, 60_000);
});

describe("the schema", () => {
  /**
   * Every column that can hold the id of an account, or of something that belongs to one alone, and what
   * leaving makes of it. A new table or column of a kind that can hold an id fails here, until somebody
   * has said so and has written it into export_store.ts or said why not.
   */
  const KNOWN: Readonly<Record<string, string>> = {
    "accounts.id": "exported, removed",
    "accounts.username": "exported, removed",
    "accounts.username_key": "exported, removed",
    "profiles.account": "exported, removed with the account",
    "devices.account": "exported, removed with the account",
    "devices.id": "exported, removed with the account",
    "sessions.account": "exported, removed with the account",
    "sessions.device": "exported, removed with the account",
    "sessions.id": "exported, removed with the account",
    "socket_tickets.session": "lives 30 s, removed with the account",
    "audit_log.account": "exported; kept for a year, by the id alone",
    "audit_log.session": "as audit_log.account",
    "audit_log.report": "kept for a year, by the id alone; nobody is told that they were reported",
    "audit_log.actor": "another's, or as audit_log.account",
    "audit_log.actor_kind": "no person's",
    "reports.id": "exported, removed with the account",
    "reports.reporter": "exported, removed with the account",
    "reports.reported": "another's: removed with the account",
    "mail_links.account": "exported, removed with the account",
    "public_keys.account": "exported, removed with the account",
    "private_keys.account": "exported, removed with the account",
    "account_blocks.blocker": "exported, removed with the account",
    "account_blocks.blocked": "another's: removed with the account",
    "departures.account": "none before, removed with the account",
    "relay_requests.sender": "exported, removed with the account",
    "relay_requests.message": "exported, removed with the account",
    "channels.conversation": "no person's",
    "channels.members": "no person's",
    "members.account": "exported, removed",
    "members.conversation": "exported, removed",
    "withheld.reader": "exported, removed",
    "withheld.sender": "another's: removed",
    "withheld.conversation": "exported, removed",
    "device_cursors.account": "exported, removed",
    "device_cursors.device": "exported, removed",
    "device_cursors.conversation": "exported, removed",
    "device_sync.account": "exported, removed",
    "device_sync.device": "exported, removed",
    "confirmations.account": "exported, removed",
    "confirmations.conversation": "exported, removed",
    "edits.conversation": "no person's",
    "reactions.account": "exported, removed",
    "reactions.conversation": "exported, removed",
    "hidden_heads.account": "exported, removed with the account",
    "hidden_messages.account": "exported, removed with the account",
    "hidden_messages.conversation": "exported, removed with the account",
    "hidden_messages.message": "exported, removed with the account",
    "device_inboxes.device": "the number that came last, of the device: removed with the account",
    "device_inbox.account": "exported, removed with the account",
    "device_inbox.device": "exported, removed with the account",
    "device_inbox.id": "exported, removed with the account",
    "device_inbox.sender": "exported to whom it is for; removed with the account of either",
    "device_inbox.sender_session": "as device_inbox.sender",
    "conversations.id": "no person's",
    "conversations.created_by": "in the log, which is exported; made null",
    "conversations.last_message_id": "no person's",
    "conversations.members_version": "no person's",
    "endings.conversation": "no person's",
    "events.conversation": "no person's",
    "events.id": "no person's",
    "events.sender": "exported; the id stays as a number in the others' logs, until their partition goes",
  };

  test("has no table or column with an account's id that leaving does not know", async () => {
    const columns = await nodes[0].db.query<{ column: string }>(
      `select c.table_name || '.' || c.column_name as column from information_schema.columns c
       join pg_class t on t.relname = c.table_name and t.relnamespace = 'public'::regnamespace
       where c.table_schema = 'public' and not t.relispartition and t.relname <> 'events_template'
         and (c.udt_name in ('uuid', '_uuid') or c.column_name ~ '(account|user|sender|owner|actor|device|session|member)')
       order by 1`,
    );
    expect(columns.map(({ column }) => column).sort()).toEqual(Object.keys(KNOWN).sort());
  });

  test("removes with an account whatever refers to one", async () => {
    const kept = await nodes[0].db.query<{ name: string }>(
      `select conrelid::regclass::text as name from pg_constraint
       where contype = 'f' and confrelid = 'accounts'::regclass and confdeltype <> 'c'`,
    );
    // Memberships are ended one by one, with an event, before the account may go.
    expect(kept).toEqual([{ name: "members" }]);
  });

  test("gives every table of the archive", async () => {
    const { ann } = await settled();
    const files = [...(await archiveOf(ann)).keys()].map((name) => name.split(".")[0]);
    for (const [column, what] of Object.entries(KNOWN)) {
      if (!what.startsWith("exported, removed")) continue;
      const table = column.split(".")[0] ?? "";
      if (["mail_links", "withheld", "confirmations", "relay_requests", "public_keys"].includes(table)) continue;
      expect(files).toContain(`tables/${table}`);
    }
  });
});
