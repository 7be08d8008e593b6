/** Partitions ahead of time, tombstones, and what retention drops; the clock is an argument. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { EventLog } from "../../src/conversations/event_log.ts";
import { ensurePartitions, purgeBodies, purgeExpired } from "../../src/conversations/partitions.ts";
import { detachPartition, listDayPartitions } from "../../src/conversations/partitions_store.ts";
import { startRetention } from "../../src/conversations/retention.ts";
import { becomeKeeper } from "../../src/conversations/retention_store.ts";
import type { Connection, Database, Sql } from "../../src/platform/postgres.ts";
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";
import { waitUntil } from "../support/wait.ts";
import { createAccounts, createConversation, message, openLog, readHead, readLog, upTo } from "./event_log_support.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;
const FAR_DAY = "9999-01-01";

let database: TestDatabase;
let log: EventLog;
let ann: AccountId;
let now: number;

beforeEach(async () => {
  database = await createTestDatabase();
  now = Date.now();
  log = openLog(database.db);
  [ann] = (await createAccounts(database.db, 1)) as [AccountId];
});

afterEach(async () => {
  await log[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

async function partitions(sql: Sql): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    "select relid::regclass::text as name from pg_partition_tree('events') where isleaf order by 1",
  );
  return rows.map((row) => row.name);
}

function dayName(milliseconds: number): string {
  return `events_d${new Date(milliseconds).toISOString().slice(0, 10).replaceAll("-", "")}`;
}

/** The first moment of a day (UTC). */
function dayStart(milliseconds: number): number {
  return milliseconds - (milliseconds % DAY_MS);
}

async function send(conversation: ConversationId, text: string, expireAfter: number | null = null): Promise<number> {
  const outcome = await log.append(message(conversation, ann, text, { expireAfter }));
  if (!("seq" in outcome)) throw new Error(`Store the event: current value is ${outcome.status}`);
  return outcome.seq;
}

/** As if what is stored of a conversation so far had been stored days ago. */
async function moveBack(conversation: ConversationId, days: number): Promise<void> {
  await ensurePartitions(database.db, now - days * DAY_MS);
  await database.db.query(
    `update events set day = day - $2::int, at = at - make_interval(days => $2), expires_at = expires_at - make_interval(days => $2)
     where conversation = $1 and day = (select max(day) from events where conversation = $1)`,
    [conversation, days],
  );
}

/** Begins a transaction that a detach waits for. */
async function holdDetaches(db: Database): Promise<Connection> {
  const reader = await db.connect("reader");
  await reader.query("begin");
  await reader.query("select count(*) from events");
  return reader;
}

/** A detach that had to wait, and was given up. */
async function cutOffDetach(db: Database, name: string): Promise<void> {
  await using hasty = await db.connect("hasty", { queryTimeoutMs: 300 });
  await expect(detachPartition(hasty, name)).rejects.toThrow();
  await waitUntil("the detach has been cut off", async () => {
    const cut = (await listDayPartitions(db, FAR_DAY)).find((partition) => partition.name === name);
    const [busy] = await db.query<{ busy: number }>(
      "select count(*)::int as busy from pg_stat_activity where query like '%concurrently' and state = 'active'",
    );
    return cut?.state === "detaching" && busy?.busy === 0;
  });
}

/** A connection as the keeper of the retention has it. */
function keeperConnection() {
  return database.db.connect("keeper", { queryTimeoutMs: 10_000 });
}

test("ensurePartitions() makes what is missing, once, also when many nodes ask at once", async () => {
  const at = Date.UTC(2026, 11, 31, 23, 59);
  const made = await Promise.all(upTo(6).map(() => ensurePartitions(database.db, at)));
  expect(made.reduce((sum, each) => sum + each)).toBe(7);
  expect(await ensurePartitions(database.db, at)).toBe(0);
  expect(await partitions(database.db)).toEqual([
    ...["events_d20261230", "events_d20261231", "events_d20270101", "events_d20270102", "events_d20270103"],
    ...["events_m202612", "events_m202701"],
  ]);
  expect(await ensurePartitions(database.db, at + DAY_MS)).toBe(2);
  // On the first of a month yesterday lies in the month before.
  await ensurePartitions(database.db, Date.UTC(2028, 2, 1));
  const [months, days] = [
    (await partitions(database.db)).filter((name) => /2028/.test(name) && /_m/.test(name)),
    await partitions(database.db),
  ];
  expect(months).toEqual(["events_m202802", "events_m202803", "events_m202804"]);
  expect(days).toContain("events_d20280229");
});

test("ensurePartitions() needs no pause of readers and writers", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann]);
  await using reader = await db.connect("reader");
  await reader.query("begin");
  await reader.query("select count(*) from events");
  let [going, sent] = [true, 0];
  const writing = (async () => {
    while (going) sent = await send(conversation, "beside");
  })();
  await ensurePartitions(db, now + 20 * DAY_MS);
  const before = sent;
  await waitUntil("writes go on beside the open reader", () => sent > before + 3);
  going = false;
  await writing;
  await reader.query("commit");
});

test("append() without a partition for the day fails and stores nothing; with one it goes on", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann], { retentionSeconds: 60 });
  await db.query(`alter table events_expiring detach partition ${dayName(now)}`);
  const sent = message(conversation, ann, "nowhere to go");
  expect(await log.append(sent)).toEqual({ status: "failed" });
  await db.query(
    `alter table events_expiring attach partition ${dayName(now)} for values from ('${new Date(now).toISOString().slice(0, 10)}') to ('${new Date(now + DAY_MS).toISOString().slice(0, 10)}')`,
  );
  expect(await log.append(sent)).toMatchObject({ status: "stored", seq: 2 });
});

test("purgeExpired() leaves a tombstone where a body has expired, and nothing else [MSG-10]", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const fading = await createConversation(db, [ann], { retentionSeconds: 3_600 });
  const kept = await createConversation(db, [ann]);
  const short = message(fading, ann, "short", { expireAfter: 60 });
  await log.append(short);
  await send(fading, "an hour");
  await send(kept, "own end", 60);
  await send(kept, "for ever");
  await using keeper = await keeperConnection();
  expect(await purgeExpired(keeper, now)).toEqual({ bodies: 0, partitions: [] });
  expect(await purgeExpired(keeper, now + 120_000)).toEqual({ bodies: 2, partitions: [] });
  const bodies = async (id: ConversationId) =>
    (await readLog(db, id)).map((event) => [event.seq, event.body, event.reason]);
  expect(await bodies(fading)).toEqual([
    [1, "created", null],
    [2, null, 2],
    [3, "an hour", null],
  ]);
  expect(await bodies(kept)).toEqual([
    [1, "created", null],
    [2, null, 2],
    [3, "for ever", null],
  ]);
  expect(await log.append(short)).toMatchObject({ status: "known", seq: 2 });
  expect((await readHead(db, fading)).purged_seq).toBe(0);
  // The fading one goes with its day, and nobody takes its bodies one by one before.
  expect(await purgeExpired(keeper, now + 400 * DAY_MS)).toMatchObject({ bodies: 0 });
  expect(await bodies(fading)).toEqual([]);
  expect(await bodies(kept)).toEqual([
    [1, "created", null],
    [2, null, 2],
    [3, "for ever", null],
  ]);
});

test("purgeBodies() works through any number in bounded steps", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann], { retentionSeconds: 60 });
  await Promise.all(upTo(2_500).map((n) => send(conversation, `message ${n}`)));
  expect(await purgeBodies(db, now + 120_000)).toBe(2_501);
  expect((await readLog(db, conversation)).every((event) => event.body === null && event.reason === 2)).toBe(true);
});

test("purgeExpired() takes bodies one by one where a detach is held up, also of days that are over [MSG-10]", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const fading = await createConversation(db, [ann], { retentionSeconds: 3_600 });
  await moveBack(fading, 4);
  const day = dayName(now - 4 * DAY_MS);
  await using reader = await holdDetaches(db);
  await cutOffDetach(db, dayName(now - 5 * DAY_MS));
  await using keeper = await keeperConnection();
  const purging = purgeExpired(keeper, now);
  await waitUntil("the body is gone, while the reader still reads", async () => {
    const [row] = await db.query<{ left: number }>(`select count(body)::int as left from ${day}`);
    return row?.left === 0;
  });
  await reader.query("commit");
  const { bodies, partitions: dropped } = await purging;
  expect(bodies).toBe(1);
  expect(dropped).toContain(day);
});

test("purgeExpired() drops a day once no id in it can come again, and says where logs begin [RES-4]", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann], { retentionSeconds: 60 });
  await Promise.all(upTo(9).map((n) => send(conversation, `message ${n}`)));
  const kept = await createConversation(db, [ann]);
  await db.query("insert into confirmations (conversation, account, seq) values ($1, $2, 5)", [conversation, ann]);
  await using keeper = await keeperConnection();
  // An id may be 24 h ahead when it is stored and 24 h behind when it comes again.
  const twoDaysOn = dayStart(now) + 3 * DAY_MS - 1;
  const early = await purgeExpired(keeper, twoDaysOn);
  expect(early.partitions).not.toContain(dayName(now));
  expect((await readHead(db, conversation)).purged_seq).toBe(0);
  const { partitions: dropped } = await purgeExpired(keeper, twoDaysOn + 1);
  expect(dropped.at(-1)).toBe(dayName(now));
  expect(await partitions(db)).not.toContain(dayName(now));
  expect(await readHead(db, conversation)).toMatchObject({ purged_seq: 10, last_seq: 10 });
  expect((await readHead(db, kept)).purged_seq).toBe(0);
  expect(await readLog(db, conversation)).toEqual([]);
  expect(await db.query("select 1 from confirmations")).toEqual([]);
  await ensurePartitions(db, now);
  expect(await send(conversation, "the numbers go on")).toBe(11);
});

test("purgeExpired() drops oldest first: a day that is over waits for an older one that is not [P2]", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const fading = await createConversation(db, [ann], { retentionSeconds: 5 * 24 * 3_600 });
  await moveBack(fading, 4); // seq 1: expires tomorrow
  await send(fading, "short-lived, the day after", 60);
  await moveBack(fading, 3);
  await using keeper = await keeperConnection();
  await purgeExpired(keeper, now);
  expect(await partitions(db)).toContain(dayName(now - 4 * DAY_MS));
  expect(await partitions(db)).toContain(dayName(now - 3 * DAY_MS));
  expect((await readLog(db, fading)).map((event) => [event.seq, event.body])).toEqual([
    [1, "created"],
    [2, null],
  ]);
  expect((await readHead(db, fading)).purged_seq).toBe(0);
  const { partitions: dropped } = await purgeExpired(keeper, now + 2 * DAY_MS);
  expect(dropped).toContain(dayName(now - 4 * DAY_MS));
  expect(dropped).toContain(dayName(now - 3 * DAY_MS));
  expect((await readHead(db, fading)).purged_seq).toBe(2);
});

test("purgeExpired() completes a detach that was cut off, and a drop that never came", async () => {
  const { db } = database;
  const past = now - 10 * DAY_MS;
  await ensurePartitions(db, past);
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann]);
  const [first, second, ...rest] = (await listDayPartitions(db, FAR_DAY)).map((partition) => partition.name);
  if (first === undefined || second === undefined) throw new Error("Make partitions first");
  await detachPartition(db, first); // and the node ends here
  await using reader = await holdDetaches(db);
  await cutOffDetach(db, second);
  expect(await send(conversation, "writes go on")).toBe(2);
  await reader.query("commit");
  await using keeper = await keeperConnection();
  const { partitions: dropped } = await purgeExpired(keeper, now);
  expect(dropped.slice(0, 2)).toEqual([first, second]);
  expect(await partitions(db)).not.toContain(second);
  expect(rest.length).toBeGreaterThan(0);
});

test("purgeExpired() runs beside writers and readers, who notice nothing", async () => {
  const { db } = database;
  for (const days of [40, 35, 30]) await ensurePartitions(db, now - days * DAY_MS);
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann], { retentionSeconds: 24 * 3_600 });
  let going = true;
  let sent = 1;
  const work = async () => {
    while (going) {
      sent = Math.max(sent, await send(conversation, "beside"));
      await readLog(db, conversation);
    }
  };
  const writers = upTo(4).map(work);
  await using keeper = await keeperConnection();
  const { partitions: dropped } = await purgeExpired(keeper, now);
  going = false;
  await Promise.all(writers);
  expect(dropped.length).toBeGreaterThanOrEqual(14);
  expect((await readLog(db, conversation)).map((event) => event.seq)).toEqual(upTo(sent));
});

test("startRetention() lets one node work at a time, makes partitions, and removes by its turns", async () => {
  const { db } = database;
  await ensurePartitions(db, now);
  const conversation = await createConversation(db, [ann], { retentionSeconds: 60 });
  const faults: unknown[] = [];
  let bodies = 0;
  const options = { intervalMs: 20, now: () => now + 120_000, fault: (error: unknown) => faults.push(error) };
  {
    await using other = await db.connect("another node");
    expect(await becomeKeeper(other)).toBe(true);
    await using waiting = startRetention(db, options);
    expect(await waiting.turn()).toBeNull();
  }
  await using _keeper = startRetention(db, {
    ...options,
    purged: (purged) => {
      bodies += purged.bodies;
    },
  });
  await waitUntil("a turn has removed the body", () => bodies === 1);
  expect((await readLog(db, conversation))[0]).toMatchObject({ seq: 1, body: null, reason: 2 });
  await using ahead = startRetention(db, { now: () => now + 30 * DAY_MS });
  await waitUntil("this node gets its turn", async () => (await ahead.turn()) !== null);
  expect(await partitions(db)).toContain(dayName(now + 33 * DAY_MS));
  expect(faults).toEqual([]);
});
