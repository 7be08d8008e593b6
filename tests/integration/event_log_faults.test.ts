/** Appending while things fail: killed backends, a restarted server, locks, full queues, the end. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { Appended, AppendOutcome, AppendRequest, EventLog } from "../../src/conversations/event_log.ts";
import type { Database } from "../../src/platform/postgres.ts";
import type { AccountId, ConversationId } from "../../src/protocol/mod.ts";
import { MAY_END_SERVER, startDatabaseServer, stopDatabaseServer, type TestDatabase } from "../support/postgres.ts";
import { BUSY_MS, waitUntil } from "../support/wait.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  holdHead,
  message,
  openLog,
  readLog,
  upTo,
} from "./event_log_support.ts";

let database: TestDatabase;
let ann: AccountId;
let bob: AccountId;
let conversation: ConversationId;

beforeEach(async () => {
  database = await createLogDatabase();
  [ann, bob] = (await createAccounts(database.db, 2)) as [AccountId, AccountId];
  conversation = await createConversation(database.db, [ann, bob]);
});

afterEach(() => database[Symbol.asyncDispose]());

/** Sends as an honest sender does: one conversation's messages in order, each repeated until it is answered for good. */
async function sendAll(log: EventLog, requests: readonly AppendRequest[]): Promise<Map<string, Appended>> {
  const places = new Map<string, Appended>();
  let waiting = [...requests];
  for (let attempt = 0; waiting.length > 0; attempt++) {
    if (attempt > 200) throw new Error(`Store everything: ${waiting.length} left`);
    const outcomes = await Promise.all(waiting.map((request) => log.append(request)));
    waiting = waiting.filter((request, index) => {
      const outcome = outcomes[index];
      if (outcome === undefined || !("seq" in outcome)) return true;
      places.set(request.id, outcome);
      return false;
    });
  }
  return places;
}

async function expectWhole(
  db: Database,
  sent: readonly AppendRequest[],
  places: ReadonlyMap<string, Appended>,
): Promise<void> {
  const events = await readLog(db, conversation);
  expect(events.map((event) => event.seq)).toEqual(upTo(sent.length + 1));
  expect(events.slice(1).map((event) => event.id)).toEqual(sent.map((request) => request.id));
  for (const event of events.slice(1)) expect(places.get(event.id)?.seq).toBe(event.seq);
}

/** Ends the backends of the lanes once, and says how many there were. */
async function killLanes(db: Database): Promise<number> {
  const rows = await db.query(
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'sotto lane%'",
  );
  return rows.length;
}

test("append() survives killed backends: every message once, in order, each answered with its own place", async () => {
  const { db } = database;
  let [faults, batches] = [0, 0];
  let some = Promise.withResolvers<void>();
  const batch = () => ++batches % 10 === 0 && some.resolve();
  await using log = openLog(db, { limits: { batchEvents: 8 }, observer: { fault: () => faults++, batch } });
  const sent = upTo(1_000).map((n) => message(conversation, bob, `message ${n}`));
  const sending = sendAll(log, sent);
  let killed = 0;
  while (log.depth > 0) {
    killed += await killLanes(db);
    some = Promise.withResolvers();
    await Promise.race([some.promise, sending]);
  }
  const places = await sending;
  expect(killed).toBeGreaterThan(5);
  expect(faults).toBeGreaterThan(2);
  await expectWhole(db, sent, places);
}, 120_000);

test.skipIf(!MAY_END_SERVER)(
  "append() answers while the server is away, and goes on when it is back",
  async () => {
    const { db } = database;
    await using log = openLog(db, { limits: { deadlineMs: 400 } });
    const first = message(conversation, bob, "before");
    const places = await sendAll(log, [first]);
    await stopDatabaseServer();
    const away = upTo(20).map((n) => message(conversation, bob, `away ${n}`));
    const begun = performance.now();
    let outcomes: AppendOutcome[];
    try {
      outcomes = await Promise.all(away.map((request) => log.append(request)));
    } finally {
      await startDatabaseServer();
    }
    expect(outcomes).toEqual(away.map(() => ({ status: "unavailable" })));
    expect(performance.now() - begun).toBeGreaterThan(350); // not before the deadline, whatever timers are worth
    const back = performance.now();
    for (const [id, place] of await sendAll(log, away)) places.set(id, place);
    expect(performance.now() - back).toBeLessThan(BUSY_MS);
    await expectWhole(db, [first, ...away], places);
  },
  120_000, // stopping writes a checkpoint of every test's database
);

test.skipIf(!MAY_END_SERVER)(
  "append() rides out a restart that is shorter than the deadline",
  async () => {
    const { db } = database;
    await using log = openLog(db, { limits: { deadlineMs: 90_000 } });
    const sent = upTo(600).map((n) => message(conversation, bob, `message ${n}`));
    const answers = sent.map((request) => log.append(request));
    await stopDatabaseServer();
    const during = upTo(20).map((n) => message(conversation, bob, `during ${n}`));
    answers.push(...during.map((request) => log.append(request)));
    await startDatabaseServer();
    const outcomes = await Promise.all(answers);
    const all = [...sent, ...during];
    expect(outcomes.filter((outcome) => !("seq" in outcome))).toEqual([]);
    await expectWhole(db, all, new Map(all.map((request, index) => [request.id, outcomes[index] as Appended])));
  },
  120_000,
);

test("append() answers busy at the deadline, to everything behind it too, and to nobody else", async () => {
  const { db } = database;
  const free = await createConversation(db, [ann, bob]);
  await using log = openLog(db, { lanes: 1, limits: { deadlineMs: 2_500, lockMs: 50 } });
  await using holder = await holdHead(db, conversation);
  const early = upTo(5).map((n) => message(conversation, bob, `early ${n}`));
  const answers = early.map((request) => log.append(request));
  await log.append(message(free, bob, "by now it is parked"));
  // Younger than the deadline, but behind the others.
  let lastYoung: Promise<AppendOutcome> = Promise.resolve({ status: "failed" });
  let done = false;
  void Promise.all(answers).then(() => {
    done = true;
  });
  const young: AppendRequest[] = [];
  while (!done) {
    const request = message(conversation, bob, `young ${young.length}`);
    young.push(request);
    lastYoung = log.append(request);
    expect(await log.append(message(free, bob, "beside"))).toMatchObject({ status: "stored" });
  }
  expect(await Promise.all(answers)).toEqual(early.map(() => ({ status: "busy" })));
  expect(young.length).toBeGreaterThan(1);
  expect((await readLog(db, conversation)).length).toBe(1);
  await holder.query("commit");
  await lastYoung;
  // The sender repeats all of them in order, and gets its order.
  const all = [...early, ...young.slice(0, -1)];
  const places = await sendAll(log, all);
  const ids = (await readLog(db, conversation)).slice(1).map((event) => event.id);
  expect(ids.filter((id) => places.has(id))).toEqual(all.map((request) => request.id));
});

test("append() keeps trying while the whole table is locked, and loses nothing", async () => {
  const { db } = database;
  await using log = openLog(db);
  await using locker = await db.connect("locker");
  await locker.query("begin");
  await locker.query("lock table events in exclusive mode");
  const sent = upTo(30).map((n) => message(conversation, bob, `message ${n}`));
  const sending = sendAll(log, sent);
  await waitUntil("the lane waits for the table", async () => {
    const rows = await db.query(
      "select 1 from pg_stat_activity where application_name like 'sotto lane%' and wait_event_type = 'Lock'",
    );
    return rows.length > 0;
  });
  await locker.query("commit");
  await expectWhole(db, sent, await sending);
});

test("append() answers unavailable while a frozen statement holds its batch, and reports what was stored after all", async () => {
  const { db } = database;
  const late: AppendRequest[] = [];
  // One waits longer for its lock than its caller waits for the answer.
  await using log = openLog(db, {
    limits: { deadlineMs: 300, lockMs: 1_900 },
    observer: { late: (request) => late.push(request) },
  });
  await using holder = await holdHead(db, conversation);
  const sent = message(conversation, bob, "slow");
  expect(await log.append(sent)).toEqual({ status: "unavailable" });
  await holder.query("commit");
  await waitUntil("the batch has been answered", () => late.length > 0);
  expect(late).toEqual([sent]);
  expect(await log.append(sent)).toMatchObject({ status: "known", seq: 2 });
});

test("append() refuses as overloaded what exceeds the queue, by number and by bytes", async () => {
  const { db } = database;
  const outcomesOf = async (log: EventLog, texts: string[]) => {
    const sent = texts.map((text) => log.append(message(conversation, bob, text)));
    return (await Promise.all(sent)).map((outcome) => outcome.status);
  };
  await using few = openLog(db, { lanes: 1, limits: { queueEvents: 3 } });
  expect(await outcomesOf(few, ["1", "2", "3", "4", "5"])).toEqual([
    "stored",
    "stored",
    "stored",
    "overloaded",
    "overloaded",
  ]);
  await using small = openLog(db, { lanes: 1, limits: { queueBytes: 100 } });
  expect(await outcomesOf(small, ["x".repeat(60), "y".repeat(60), "z".repeat(40)])).toEqual([
    "stored",
    "overloaded",
    "stored",
  ]);
  expect(await outcomesOf(small, ["and again"])).toEqual(["stored"]);
  expect([few.depth, small.depth]).toEqual([0, 0]);
});

test("append() splits batches by bytes and by number, and lets an event of any size go alone", async () => {
  const batches: number[] = [];
  const log = openLog(database.db, {
    lanes: 1,
    limits: { batchEvents: 4, batchBytes: 100 },
    observer: { batch: (events) => batches.push(events) },
  });
  const texts = ["x".repeat(500), "y".repeat(60), "z".repeat(60), ...upTo(6).map(String)];
  await Promise.all(texts.map((text) => log.append(message(conversation, bob, text))));
  await log[Symbol.asyncDispose]();
  expect(batches).toEqual([1, 1, 4, 3]);
});

test("disposing the log answers what is queued, refuses what is new, and leaves no connection", async () => {
  const { db } = database;
  const log = openLog(db);
  const sent = upTo(300).map((n) => log.append(message(conversation, bob, `message ${n}`)));
  const closing = log[Symbol.asyncDispose]();
  expect(await log.append(message(conversation, bob, "too late"))).toEqual({ status: "unavailable" });
  await closing;
  expect((await Promise.all(sent)).every((outcome) => outcome.status === "stored")).toBe(true);
  await waitUntil("the lanes' connections are gone", async () => {
    const rows = await db.query(
      "select 1 from pg_stat_activity where datname = current_database() and application_name like 'sotto lane%'",
    );
    return rows.length === 0;
  });
});
