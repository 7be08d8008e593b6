/** Appending: what is stored, what is known again, what is refused. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Appended, AppendOutcome, EventLog } from "../../src/conversations/event_log.ts";
import { changeMembership } from "../../src/conversations/membership_store.ts";
import type { Database } from "../../src/platform/postgres.ts";
import { type AccountId, type ConversationId, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import type { TestDatabase } from "../support/postgres.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  membershipEvent,
  message,
  openLog,
  readHead,
  readLog,
  upTo,
} from "./event_log_support.ts";

const MINUTE_MS = 60 * 1_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

let database: TestDatabase;
let log: EventLog;
let ann: AccountId;
let bob: AccountId;
let eve: AccountId;

beforeAll(async () => {
  database = await createLogDatabase();
  log = openLog(database.db);
  [ann, bob, eve] = (await createAccounts(database.db, 3)) as [AccountId, AccountId, AccountId];
});

afterAll(async () => {
  await log[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

function appended(outcome: AppendOutcome): Appended {
  if (!("seq" in outcome)) throw new Error(`Store the event: current value is ${outcome.status}`);
  return outcome;
}

test("append() stores an event, moves the head, and answers with its place [MSG-1]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const sent = message(conversation, bob, "hello");
  const outcome = appended(await log.append(sent));
  const head = await readHead(db, conversation);
  const [, stored] = await readLog(db, conversation);
  expect(outcome).toEqual({
    status: "stored",
    seq: 2,
    membersVersion: 1,
    createdAt: stored?.at.getTime() ?? 0,
    expiresAt: null,
  });
  expect(stored).toMatchObject({
    seq: 2,
    id: sent.id,
    sender: bob,
    kind: 1,
    body: "hello",
    reason: null,
    counted: 1,
    kept: true,
  });
  expect(head).toMatchObject({ last_seq: 2, counted: 1, last_message_id: sent.id, members_version: 1 });
  expect(head.last_activity).toEqual(stored?.at as Date);
  expect(head.last_message_at).toEqual(stored?.at as Date);
});

test("append() numbers what comes at once in the order of the calls, over many conversations [MSG-4]", async () => {
  const { db } = database;
  const conversations = await Promise.all(upTo(5).map(() => createConversation(db, [ann, bob])));
  const sent = upTo(500).map((n) =>
    message(conversations[n % 5] as ConversationId, n % 3 === 0 ? ann : bob, `message ${n}`, { counts: n % 2 === 0 }),
  );
  const outcomes = await Promise.all(sent.map((request) => log.append(request)));
  for (const conversation of conversations) {
    const events = await readLog(db, conversation);
    const mine = sent.filter((request) => request.conversationId === conversation);
    expect(events.map((event) => event.seq)).toEqual(upTo(101));
    expect(events.slice(1).map((event) => event.id)).toEqual(mine.map((request) => request.id));
    let counted = 0;
    for (const event of events.slice(1)) {
      const request = mine.find(({ id }) => id === event.id);
      if (request?.counts === true) counted++;
      expect(event.counted).toBe(counted);
    }
    expect((await readHead(db, conversation)).counted).toBe(counted);
  }
  expect(outcomes.every((outcome) => outcome.status === "stored")).toBe(true);
});

test("append() answers a retry with the stored place and stores nothing [MSG-2]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const sent = message(conversation, bob, "once");
  const first = appended(await log.append(sent));
  await log.append(message(conversation, ann, "between"));
  await using elsewhere = openLog(db);
  const again = await Promise.all([log.append(sent), log.append(sent), elsewhere.append(sent)]);
  for (const outcome of again) expect(outcome).toEqual({ ...first, status: "known" });
  expect((await readLog(db, conversation)).map((event) => event.seq)).toEqual([1, 2, 3]);
});

test("append() stores one of two twins that come at once, and keeps what is behind the second in order [MSG-2]", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const sent = message(conversation, bob, "twin");
  const outcomes = await Promise.all([
    log.append(sent),
    log.append(sent),
    log.append(message(conversation, bob, "behind")),
  ]);
  expect(outcomes.map((outcome) => [outcome.status, appended(outcome).seq])).toEqual([
    ["stored", 2],
    ["known", 2],
    ["stored", 3],
  ]);
});

test("append() refuses another body under a stored id [MSG-2]", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const sent = message(conversation, bob, "one body");
  await log.append(sent);
  expect(await log.append(message(conversation, bob, "another body", { id: sent.id }))).toEqual({
    status: "conflict_body",
  });
  expect(await log.append({ ...sent, kind: "membership" })).toEqual({ status: "conflict_body" });
  expect((await readLog(database.db, conversation)).length).toBe(2);
});

test("append() refuses an id of another sender, and one of another conversation, without a place [MSG-2]", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const other = await createConversation(database.db, [ann, bob]);
  const sent = message(conversation, bob, "mine");
  await log.append(sent);
  expect(await log.append({ ...sent, senderId: ann })).toEqual({ status: "conflict_id" });
  expect(await log.append({ ...sent, senderId: eve })).toEqual({ status: "conflict_id" });
  expect(await log.append({ ...sent, conversationId: other })).toEqual({ status: "conflict_id" });
});

test("append() refuses strangers, former members, those who may not send, and unknown conversations [MSG-8]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob, eve]);
  const sent = message(conversation, eve, "while a member");
  const stored = appended(await log.append(sent));
  const left = await changeMembership(db, {
    ...{ conversationId: conversation, actorId: eve, change: "remove", accountIds: [eve], canSend: true },
    ...{ event: membershipEvent("left"), limit: 10 },
  });
  await db.query("update members set can_send = false where conversation = $1 and account = $2", [conversation, bob]);
  expect(await log.append(message(conversation, eve, "after leaving"))).toEqual({ status: "not_member" });
  expect(await log.append(message(conversation, eve, "with an old check", { membersVersion: 1 }))).toEqual({
    status: "not_member",
  });
  expect(await log.append(message(conversation, bob, "muted"))).toEqual({ status: "not_member" });
  expect(await log.append(message(uuidv7() as ConversationId, ann, "nowhere"))).toEqual({ status: "no_conversation" });
  // Stored wins over every refusal: the retry of what was accepted is known, with the version of today.
  expect(left.status).toBe("stored");
  expect(await log.append(sent)).toEqual({ ...stored, status: "known", membersVersion: 2 });
});

test("append() lets the check of an equal version stand, and gives the newer version to an older one", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann]);
  // The node vouches for the sender: no member row is read.
  expect(await log.append(message(conversation, eve, "vouched for", { membersVersion: 1 }))).toMatchObject({
    status: "stored",
  });
  await changeMembership(db, {
    ...{ conversationId: conversation, actorId: ann, change: "add", accountIds: [bob], canSend: true },
    ...{ event: membershipEvent("joined"), limit: 10 },
  });
  expect(await log.append(message(conversation, ann, "older", { membersVersion: 1 }))).toMatchObject({
    status: "stored",
    membersVersion: 2,
  });
});

test("append() stores the same of a batch that it need not judge as of one that it must", async () => {
  const { db } = database;
  const conversations = await Promise.all(
    [null, 3_600, null].map((retentionSeconds) => createConversation(db, [ann, bob], { retentionSeconds })),
  );
  const expected = (kind: number, at: number, after: number | null, keep: number | null) => ({
    ...{ kind, at, kept: keep === null },
    expires: after === null && keep === null ? null : at + 1_000 * Math.min(after ?? 1e9, keep ?? 1e9),
  });
  // Version 0 fits no head, so one such event has the whole batch judged.
  for (const membersVersion of [1, 0]) {
    const batch = upTo(60).map((n) =>
      message(conversations[n % 3] as ConversationId, n % 2 === 0 ? ann : bob, `message ${n}`, {
        ...{ counts: n % 5 !== 0, kind: n % 7 === 0 ? ("notice" as const) : ("message" as const) },
        ...{ expireAfter: n % 4 === 0 ? n * 100 : null, membersVersion: n === 60 ? membersVersion : 1 },
      }),
    );
    const outcomes = await Promise.all(batch.map((request) => log.append(request)));
    for (const [c, conversation] of conversations.entries()) {
      const mine = batch.flatMap((request, i) =>
        request.conversationId === conversation ? [{ request, outcome: appended(outcomes[i] as AppendOutcome) }] : [],
      );
      const stored = (await readLog(db, conversation)).slice(-mine.length);
      const head = await readHead(db, conversation);
      let counted = (stored[0]?.counted ?? 0) - (mine[0]?.request.counts ? 1 : 0);
      for (const [i, { request, outcome }] of mine.entries()) {
        if (request.counts) counted++;
        const row = stored[i];
        expect(row).toMatchObject({ seq: outcome.seq, id: request.id, sender: request.senderId, counted });
        expect({
          kind: row?.kind,
          at: row?.at.getTime(),
          kept: row?.kept,
          expires: row?.expires_at?.getTime() ?? null,
        }).toEqual(
          expected(request.kind === "message" ? 1 : 3, outcome.createdAt, request.expireAfter, c === 1 ? 3_600 : null),
        );
        expect(outcome).toMatchObject({
          status: "stored",
          membersVersion: 1,
          expiresAt: row?.expires_at?.getTime() ?? null,
        });
        expect(row?.body).toBe(new TextDecoder().decode(request.body));
      }
      const lastMessage = stored.filter((row) => row.kind === 1).at(-1);
      expect(head).toMatchObject({ last_seq: stored.at(-1)?.seq, counted, last_message_id: lastMessage?.id });
      expect(head.last_message_at).toEqual(lastMessage?.at as Date);
    }
  }
});

test("append() refuses ids more than 24 h away unless they are stored, however long ago [MSG-7]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const at = (distance: number) =>
    message(conversation, bob, `id ${distance}`, { id: newMessageId(Date.now() + distance) });
  expect(await log.append(at(-DAY_MS - MINUTE_MS))).toEqual({ status: "id_out_of_window" });
  expect(await log.append(at(DAY_MS + MINUTE_MS))).toEqual({ status: "id_out_of_window" });
  expect(await log.append(at(-DAY_MS + MINUTE_MS))).toMatchObject({ status: "stored" });
  expect(await log.append(at(DAY_MS - MINUTE_MS))).toMatchObject({ status: "stored" });
  expect(await log.append(message(conversation, bob, "the first day", { id: newMessageId(0) }))).toEqual({
    status: "id_out_of_window",
  });

  // A device comes back after ten days with a send whose answer it never got.
  const ago = Date.now() - 10 * DAY_MS;
  await db.query("select ensure_partitions(to_timestamp($1::float8 / 1000))", [ago]);
  const sent = message(conversation, bob, "long ago", { id: newMessageId(ago) });
  await db.query(
    `insert into events (kept, day, conversation, seq, id, sender, kind, at, counts, counted, digest, body)
     select true, d.at::date, $1, 1000, $2, $3, 1, d.at, true, 1, $4, $5
     from (select to_timestamp($6::float8 / 1000) at time zone 'utc' as at) d`,
    [conversation, sent.id, bob, sent.digest, sent.body, ago],
  );
  expect(await log.append(sent)).toMatchObject({ status: "known", seq: 1000 });
  expect(await log.append({ ...sent, digest: new Uint8Array(16) })).toEqual({ status: "conflict_body" });
});

test("append() knows a twin whose body is gone [MSG-10]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const sent = message(conversation, bob, "short-lived");
  const stored = appended(await log.append(sent));
  await db.query("update events set body = null, reason = 1 where conversation = $1 and seq = $2", [
    conversation,
    stored.seq,
  ]);
  expect(await log.append(sent)).toEqual({ ...stored, status: "known" });
  expect(await log.append(message(conversation, bob, "other", { id: sent.id }))).toEqual({ status: "conflict_body" });
});

test("append() gives an event the earlier of its own end and the conversation's [MSG-10]", async () => {
  const { db } = database;
  const kept = await createConversation(db, [ann]);
  const fading = await createConversation(db, [ann], { retentionSeconds: 3_600 });
  const life = async (conversation: ConversationId, expireAfter: number | null) => {
    const outcome = appended(await log.append(message(conversation, ann, "x", { expireAfter })));
    return outcome.expiresAt === null ? null : (outcome.expiresAt - outcome.createdAt) / 1_000;
  };
  expect([
    await life(kept, null),
    await life(kept, 60),
    await life(fading, null),
    await life(fading, 60),
    await life(fading, 7_200),
  ]).toEqual([null, 60, 3_600, 60, 3_600]);
  expect((await readLog(db, kept)).map((event) => event.kept)).toEqual([true, true, true]);
  expect((await readLog(db, fading)).map((event) => event.kept)).toEqual([false, false, false, false]);
});

test("append() updates heads in place (HOT), so a busy conversation costs no vacuum", async () => {
  const { db } = database;
  const conversations = await Promise.all(
    upTo(20).map(() => createConversation(db, [ann, bob], { retentionSeconds: 3_600 })),
  );
  await db.query("select pg_stat_reset_single_table_counters('conversations'::regclass)");
  for (const round of upTo(30)) {
    await Promise.all(conversations.map((conversation) => log.append(message(conversation, ann, `round ${round}`))));
  }
  await log[Symbol.asyncDispose](); // a backend's counts are complete when it has ended
  log = openLog(db);
  let counts = { updates: 0, hot: 0 };
  while (counts.updates < 600) {
    const [row] = await db.query<typeof counts>(
      "select n_tup_upd as updates, n_tup_hot_upd as hot from pg_stat_user_tables where relname = 'conversations'",
    );
    if (row !== undefined) counts = row;
  }
  // A snapshot that is open for a moment, as autovacuum's, keeps a few rows from being updated in place.
  expect(counts.hot).toBeGreaterThan(0.9 * counts.updates);
});

test("append() reads no table from end to end, although its plan was made when partitions were empty", async () => {
  await using fresh = await createLogDatabase();
  const { db } = fresh;
  const [writer, other] = (await createAccounts(db, 2)) as [AccountId, AccountId];
  // No statistics come between: what autovacuum would find out is what the first minutes do not know.
  await db.query(
    `do $$ declare part regclass; begin
       for part in select relid from pg_partition_tree('events') where isleaf union select 'conversations'::regclass union select 'members'::regclass
       loop execute format('alter table %s set (autovacuum_enabled = false)', part); end loop;
     end $$`,
  );
  const own = openLog(db, { lanes: 1 });
  const conversation = await createConversation(db, [writer]); // and its check of members
  const fading = await createConversation(db, [writer, other], { retentionSeconds: 60 });
  await Promise.all([conversation, fading].map((id) => own.append(message(id, writer, "the plan is made now"))));
  const before = await scans(db);
  for (const n of upTo(20)) {
    await Promise.all(
      upTo(50).map((m) =>
        own.append(message(m % 2 === 0 ? conversation : fading, m % 3 === 0 ? writer : other, `${n} ${m}`)),
      ),
    );
  }
  const change = { conversationId: fading, actorId: writer, accountIds: [other], canSend: true, limit: 10 };
  await changeMembership(db, { ...change, change: "remove", event: membershipEvent("removed") });
  await changeMembership(db, { ...change, change: "add", event: membershipEvent("added") });
  await own[Symbol.asyncDispose]();
  // The lane's counts are complete when its inserts are there.
  let after = await scans(db);
  while (after.inserted < before.inserted + 600) after = await scans(db);
  expect(after.sequential).toBe(before.sequential);
});

/** Sequential scans of what appending reads, and rows inserted there, as the backends have reported them. */
async function scans(db: Database): Promise<{ sequential: number; inserted: number }> {
  const [row] = await db.query<{ sequential: number; inserted: number }>(
    `select sum(seq_scan)::int as sequential, sum(n_tup_ins)::int as inserted from pg_stat_user_tables
     where relname ~ '^events_[dm][0-9]' or relname in ('conversations', 'members')`,
  );
  return row ?? { sequential: 0, inserted: 0 };
}

test("append() refuses a digest of another length as failed", async () => {
  const conversation = await createConversation(database.db, [ann]);
  expect(await log.append(message(conversation, ann, "x", { digest: new Uint8Array(15) }))).toEqual({
    status: "failed",
  });
});
