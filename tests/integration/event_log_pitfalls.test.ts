/**
 * What breaks a log of this kind, each as it was once seen to break: twelve races and faults that
 * simpler ways of appending lose to. Where a moment matters the test holds it with a lock and waits
 * for the database to say that the other side waits.
 */
import { afterEach, beforeEach, expect, test } from "bun:test";
import type { AppendRequest, EventLog } from "../../src/conversations/event_log.ts";
import { appendEvents } from "../../src/conversations/event_log_store.ts";
import { changeMembership } from "../../src/conversations/membership_store.ts";
import type { Connection } from "../../src/platform/postgres.ts";
import type { AccountId } from "../../src/protocol/mod.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { waitUntil } from "../support/wait.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  holdHead,
  membershipEvent,
  message,
  openLog,
  readHead,
  readLog,
  untilWaiting,
  upTo,
} from "./event_log_support.ts";

let database: TestDatabase;
let log: EventLog;
let ann: AccountId;
let bob: AccountId;
let eve: AccountId;

beforeEach(async () => {
  database = await createLogDatabase();
  log = openLog(database.db, { limits: { lockMs: 1_900 } }); // these tests want to see who waits
  [ann, bob, eve] = (await createAccounts(database.db, 3)) as [AccountId, AccountId, AccountId];
});

afterEach(async () => {
  await log[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

/** Appends in a transaction that stays open: the head is locked, the events are not yet visible. */
async function appendUncommitted(requests: AppendRequest[]): Promise<Connection> {
  const connection = await database.db.connect("other node");
  await connection.query("begin");
  await appendEvents(connection, requests, true);
  return connection;
}

test("1. a twin that commits while the append waits is seen: decided after the lock, not before", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const sent = message(conversation, bob, "twice");
  await using other = await appendUncommitted([sent]);
  const again = log.append(sent);
  await untilWaiting(database.db, 1);
  await other.query("commit");
  expect(await again).toMatchObject({ status: "known", seq: 2 });
});

test("2. a twin leaves no hole in the numbers", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const sent = message(conversation, bob, "twice");
  await using other = await appendUncommitted([sent]);
  const batch = [message(conversation, ann, "before"), sent, message(conversation, ann, "after")].map((request) =>
    log.append(request),
  );
  await untilWaiting(database.db, 1);
  await other.query("commit");
  expect(await Promise.all(batch)).toMatchObject([{ seq: 3 }, { status: "known", seq: 2 }, { seq: 4 }]);
  expect((await readLog(database.db, conversation)).map((event) => event.seq)).toEqual(upTo(4));
});

test("3. heads are read under their lock: many writers give each number once", async () => {
  const conversation = await createConversation(database.db, [ann, bob]);
  const logs = upTo(4).map(() => openLog(database.db));
  const outcomes = await Promise.all(
    upTo(400).map((n) => logs[n % 4]?.append(message(conversation, ann, `message ${n}`))),
  );
  for (const each of logs) await each[Symbol.asyncDispose]();
  const numbers = outcomes.map((outcome) => (outcome !== undefined && "seq" in outcome ? outcome.seq : 0));
  expect(numbers.toSorted((a, b) => a - b)).toEqual(upTo(401).slice(1));
  expect((await readLog(database.db, conversation)).map((event) => event.seq)).toEqual(upTo(401));
});

test("4. a removal that commits while the append waits is seen: nothing is stored after it", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  await using other = await db.connect("other node");
  await other.query("begin");
  const removal = await changeMembership(other, {
    ...{ conversationId: conversation, actorId: ann, change: "remove", accountIds: [bob], canSend: true },
    ...{ event: membershipEvent("removed"), limit: 10 },
  });
  const sent = log.append(message(conversation, bob, "just in time?", { membersVersion: 1 }));
  await untilWaiting(db, 1);
  await other.query("commit");
  expect(removal).toMatchObject({ status: "stored", seq: 2 });
  expect(await sent).toEqual({ status: "not_member" });
  expect((await readHead(db, conversation)).last_seq).toBe(2);
});

test("5. a stranger who uses my id gets no place of mine", async () => {
  const mine = await createConversation(database.db, [ann, bob]);
  const theirs = await createConversation(database.db, [eve]);
  const sent = message(mine, bob, "mine");
  await log.append(sent);
  expect(await log.append({ ...sent, senderId: eve })).toEqual({ status: "conflict_id" });
  expect(await log.append({ ...sent, senderId: eve, conversationId: theirs })).toEqual({ status: "conflict_id" });
});

test("6. two ids swapped over two conversations on two nodes do not deadlock", async () => {
  const { db } = database;
  await using otherLog = openLog(db, { lanes: 1 });
  await using oneLog = openLog(db, { lanes: 1 });
  const pairs = await Promise.all(
    upTo(40).map(() => Promise.all([createConversation(db, [ann]), createConversation(db, [eve])])),
  );
  await Promise.all(
    pairs.flatMap(([here, there], n) => {
      const [x, y] = [message(here, ann, `x ${n}`), message(there, eve, `y ${n}`)];
      const swapped = [
        { ...y, conversationId: here, senderId: ann },
        { ...x, conversationId: there, senderId: eve },
      ];
      return [
        ...[x, y].map((request) => oneLog.append(request)),
        ...swapped.map((request) => otherLog.append(request)),
      ];
    }),
  );
  const [row] = await db.query<{ deadlocks: number }>(
    "select deadlocks from pg_stat_database where datname = current_database()",
  );
  expect(row?.deadlocks).toBe(0);
  for (const conversation of pairs.flat()) {
    const events = await readLog(db, conversation);
    expect(events.map((event) => event.seq)).toEqual(upTo(events.length));
    expect(new Set(events.map((event) => event.id)).size).toBe(events.length);
  }
});

test("7. a sender's order holds although the head is locked and released while its messages come", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const sent: AppendRequest[] = [];
  const answers: Promise<unknown>[] = [];
  for (const round of upTo(5)) {
    await using holder = await holdHead(db, conversation);
    for (const n of upTo(40)) {
      const request = message(conversation, bob, `round ${round}, ${n}`);
      sent.push(request);
      answers.push(log.append(request));
      if (n % 10 === 0) await new Promise(setImmediate); // let a batch go between them
    }
    await untilWaiting(db, 1);
    await holder.query("commit");
  }
  await Promise.all(answers);
  expect((await readLog(db, conversation)).slice(1).map((event) => event.id)).toEqual(
    sent.map((request) => request.id),
  );
});

test("8. one stuck head holds up nobody else, and its own messages keep their order", async () => {
  const { db } = database;
  const lockMs = 1_500;
  await using oneLane = openLog(db, { lanes: 1, limits: { lockMs, deadlineMs: 60_000 } });
  const stuck = await createConversation(db, [ann, bob]);
  const free = await createConversation(db, [ann, bob]);
  await using holder = await holdHead(db, stuck);
  const waiting = upTo(20).map((n) => message(stuck, bob, `stuck ${n}`));
  let answered = 0;
  const answers = waiting.map(async (request) => {
    const outcome = await oneLane.append(request);
    answered++;
    return outcome;
  });
  // The first ones share the batch that waits for the lock; the others find the head parked.
  expect(await oneLane.append(message(free, ann, "with it"))).toMatchObject({ status: "stored" });
  const times: number[] = [];
  for (const n of upTo(50)) {
    const begun = performance.now();
    expect(await oneLane.append(message(free, ann, `free ${n}`))).toMatchObject({ status: "stored" });
    times.push(performance.now() - begun);
  }
  expect(times.toSorted((a, b) => a - b)[25]).toBeLessThan(lockMs / 2);
  expect(answered).toBe(0);
  await holder.query("commit");
  expect(await Promise.all(answers)).toMatchObject(upTo(20).map((n) => ({ status: "stored", seq: n + 1 })));
  expect((await readLog(db, stuck)).slice(1).map((event) => event.id)).toEqual(waiting.map((request) => request.id));
});

test("9. a locked head does not stop what only refers to the conversation", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  await using other = await appendUncommitted([message(conversation, ann, "held")]);
  await using reader = await db.connect("reader", { settings: { lock_timeout: "100ms" } });
  await reader.query("insert into confirmations (conversation, account, seq) values ($1, $2, 1)", [conversation, bob]);
  await reader.query(
    "insert into device_cursors (device, conversation, account, acked_seq) values (gen_random_uuid(), $1, $2, 1)",
    [conversation, bob],
  );
  await other.query("commit");
});

test("10. times never fall while numbers rise, also when the clock was set back", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob]);
  await using other = await appendUncommitted([message(conversation, ann, "first")]);
  const second = log.append(message(conversation, bob, "second")); // its transaction begins now, its event is later
  await untilWaiting(db, 1);
  await other.query("commit");
  await second;
  // As if the server's clock had been two minutes fast until now.
  await db.query("update conversations set last_activity = last_activity + interval '2 minutes' where id = $1", [
    conversation,
  ]);
  await log.append(message(conversation, bob, "third"));
  await log.append(message(conversation, bob, "fourth"));
  const times = (await readLog(db, conversation)).map((event) => event.at.getTime());
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect((times[3] ?? 0) - (times[2] ?? 0)).toBeGreaterThanOrEqual(119_000);
});

test("11. a commit that fails is no receipt, and the one event at fault fails alone [MSG-1]", async () => {
  const { db } = database;
  const conversation = await createConversation(db, [ann, bob, eve]);
  const beside = await createConversation(db, [ann, bob, eve]);
  // Raises only at COMMIT, after the function has given its rows.
  await db.query(`create function refuse_poison() returns trigger language plpgsql as $$
    begin if new.body = 'poison'::bytea then raise exception 'poison'; end if; return null; end $$`);
  const [partition] = await db.query<{ name: string }>(
    "select tableoid::regclass::text as name from events where conversation = $1 limit 1",
    [conversation],
  );
  await db.query(
    `create constraint trigger poison after insert on ${partition?.name} deferrable initially deferred for each row execute function refuse_poison()`,
  );
  const sent = upTo(64).map((n) =>
    message(n % 2 === 0 ? conversation : beside, n % 4 < 2 ? ann : bob, n === 30 ? "poison" : `message ${n}`),
  );
  const outcomes = await Promise.all(sent.map((request) => log.append(request)));
  const stored = [...(await readLog(db, conversation)), ...(await readLog(db, beside))].map((event) => event.id);
  outcomes.forEach((outcome, index) => {
    const [request, n] = [sent[index], index + 1];
    // What the same sender has behind it there fails with it, so repeating all in order keeps the order.
    const behind = n >= 30 && n % 4 === 2;
    expect([n, outcome.status]).toEqual([n, behind ? "failed" : "stored"]);
    expect(stored.includes(request?.id ?? ("" as never))).toBe(!behind);
  });
  for (const each of [conversation, beside]) {
    const events = await readLog(db, each);
    expect(events.map((event) => event.seq)).toEqual(upTo(events.length));
  }
});

test("12. a node frozen in the middle of its appends holds no head", async () => {
  const { db, url } = database;
  const conversation = await createConversation(db, [ann, bob]);
  const script = `
    const { openDatabase } = await import("${import.meta.dir}/../../src/platform/postgres.ts");
    const { openLog, message } = await import("${import.meta.dir}/event_log_support.ts");
    const log = openLog(openDatabase(${JSON.stringify(url)}));
    for (let n = 0; ; n++) { await log.append(message("${conversation}", "${bob}", "frozen " + n)); if (n === 0) console.log("going"); }`;
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "inherit" });
  try {
    await child.stdout.getReader().read();
    for (const round of upTo(10)) {
      child.kill("SIGSTOP");
      // A head that it held would be busy for as long as it is frozen.
      expect(await log.append(message(conversation, ann, `thawed ${round}`))).toMatchObject({ status: "stored" });
      const before = (await readHead(db, conversation)).last_seq;
      child.kill("SIGCONT");
      await waitUntil("the thawed node goes on", async () => (await readHead(db, conversation)).last_seq > before);
    }
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
});
