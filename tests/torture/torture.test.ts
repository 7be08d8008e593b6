/**
 * The log under torture: several processes, each with its lanes, and everything that may go wrong.
 * Twins in a batch, across batches and across processes; members who come and go; killed backends;
 * heads that are held beyond the lock timeout; frozen processes; one crash of the server. Then
 * the checker compares what the processes were told with what the database holds.
 *
 * TORTURE_SECONDS sets how long it runs (20 unless set).
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { type Database, DatabaseFault } from "../../src/platform/postgres.ts";
import type { ConversationId } from "../../src/protocol/mod.ts";
import {
  createAccounts,
  createConversation,
  createLogDatabase,
  holdHead,
  upTo,
} from "../integration/event_log_support.ts";
import { check } from "../support/history/checker.ts";
import type { Entry } from "../support/history/entry.ts";
import type { FinalRead, StoredLog } from "../support/history/history.ts";
import { crashDatabaseServer, MAY_END_SERVER, type TestDatabase } from "../support/postgres.ts";
import { waitUntil } from "../support/wait.ts";
import { type Answer, historyOf } from "./answers.ts";
import type { Orders } from "./worker.ts";

const SECONDS = Number(process.env.TORTURE_SECONDS ?? 20);
const PROCESSES = 3;

let database: TestDatabase;

beforeAll(async () => {
  database = await createLogDatabase();
});

afterAll(() => database[Symbol.asyncDispose]());

/** How often each thing was done to them. */
const done = { kills: 0, holds: 0, freezes: 0, crashes: 0 };

test(
  `the log is whole after ${SECONDS} s of torture [P1] [P2] [P3]`,
  async () => {
    const { db } = database;
    const [owner, ...people] = await createAccounts(db, 1 + PROCESSES * 3 + 2 + 6);
    if (owner === undefined) throw new Error("Make people first");
    const [senders, racers, guests] = [people.slice(0, PROCESSES * 3), people.slice(-8, -6), people.slice(-6)];
    const conversations = await Promise.all(
      upTo(8).map((n) =>
        createConversation(db, [owner, ...senders, ...racers], { retentionSeconds: n % 2 === 0 ? 3_600 : null }),
      ),
    );
    const children = upTo(PROCESSES).map((index) => {
      const own = senders.slice((index - 1) * 3, index * 3);
      const shared = { url: database.url, seconds: SECONDS, base: Date.now(), conversations, owner, racers, guests };
      const orders: Orders = { ...shared, process: index, senders: own };
      return Bun.spawn([process.execPath, join(import.meta.dir, "worker.ts"), JSON.stringify(orders)], {
        stdout: "pipe",
        stderr: "inherit",
      });
    });
    let answers: Answer[];
    try {
      const outputs = children.map((child) => new Response(child.stdout).text());
      await torment(db, conversations, children);
      answers = (await Promise.all(outputs)).flatMap((text) =>
        text
          .split("\n")
          .filter(Boolean)
          .map((line): Answer => JSON.parse(line)),
      );
      expect(await Promise.all(children.map((child) => child.exited))).toEqual([0, 0, 0]);
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
    const tally: Record<string, number> = {};
    for (const { status } of answers) tally[status] = (tally[status] ?? 0) + 1;
    const history = historyOf(answers);
    history.finish(await readAll(db));
    const { violations, counts } = check(history);
    console.log("torture:", JSON.stringify({ events: counts.stored, answers: tally, ...done }));
    expect(violations).toEqual([]);
    expect(await wrongBooks(db)).toEqual([]);
    // A run in which little happened shows nothing. How much happens depends on the machine, so a
    // small part of what a busy one manages is asked for.
    expect(counts.stored).toBeGreaterThan(SECONDS * 20);
    const changes = history.final?.logs.flatMap((log) => log.entries.filter(({ kind }) => kind === "membership"));
    expect(changes?.length).toBeGreaterThan(10);
    for (const status of ["known", "not_member", "busy"])
      expect([status, (tally[status] ?? 0) > 0]).toEqual([status, true]);
    expect(done.kills).toBeGreaterThan(SECONDS / 2);
    expect(done.holds).toBeGreaterThan(2);
    const [row] = await db.query<{ deadlocks: number }>(
      "select deadlocks from pg_stat_database where datname = current_database()",
    );
    expect(row?.deadlocks).toBe(0);
  },
  (SECONDS + 160) * 1_000,
);

/** Does all of it to the processes and the database, again and again, until the time is over. */
async function torment(
  db: Database,
  conversations: readonly ConversationId[],
  children: readonly { kill(signal: NodeJS.Signals): void }[],
) {
  const end = performance.now() + SECONDS * 1_000;
  const again = async (pace: number, deed: () => Promise<void>) => {
    while (performance.now() < end) {
      // The deeds hit each other too, and the crash hits all of them.
      await deed().catch((error) => {
        if (!(error instanceof DatabaseFault)) throw error;
      });
      await after(Math.random() * pace); // nothing is waited for: this is how often it happens
    }
  };
  const pick = <T>(items: readonly T[]) => items[Math.floor(Math.random() * items.length)] as T;
  await Promise.all([
    again(500, () => kill(db)),
    again(300, () => hold(db, pick(conversations))),
    again(2_000, () => freeze(pick(children))),
    after(SECONDS * 500).then(() => (MAY_END_SERVER ? crash(db) : undefined)),
  ]);
}

async function kill(db: Database): Promise<void> {
  const rows = await db.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'sotto%' and application_name <> 'sotto holder'
       and pid <> pg_backend_pid() and random() < 0.4`,
  );
  done.kills += rows.length;
}

/** Holds a head, often for longer than the lock timeout, every third time for longer than the deadline. */
async function hold(db: Database, conversation: ConversationId): Promise<void> {
  await using _holder = await holdHead(db, conversation);
  await after(done.holds % 3 === 0 ? 2_000 : Math.random() * 500);
  done.holds++;
}

async function freeze(child: { kill(signal: NodeJS.Signals): void }): Promise<void> {
  child.kill("SIGSTOP");
  await after(Math.random() * 1_500);
  child.kill("SIGCONT");
  done.freezes++;
}

async function crash(db: Database): Promise<void> {
  done.crashes++;
  await crashDatabaseServer();
  await waitUntil(
    "the server is back",
    () =>
      db.query("select 1").then(
        () => true,
        () => false,
      ),
    30_000,
  );
}

type Member = StoredLog["members"][number] & { readonly conversation: ConversationId };

/** The logs with digests in the place of bodies: that is what the processes wrote down. */
async function readAll(db: Database): Promise<Omit<FinalRead, "at">> {
  await using reader = await db.connect("checker", { queryTimeoutMs: 30_000 });
  const heads = await reader.query<{ id: ConversationId; last_seq: number }>("select id, last_seq from conversations");
  const events = await reader.query<Omit<Entry, "kind"> & { readonly stored: number }>(
    `select conversation, seq, id, sender, kind as stored, unix_ms(at) as "createdAt", encode(digest, 'hex') as body
     from events order by conversation, seq`,
  );
  const members = await reader.query<Member>(
    "select conversation, account, joined_seq as joined, left_seq as left from members",
  );
  const logs = heads.map(({ id, last_seq }): StoredLog => {
    const own = members.filter(({ conversation }) => conversation === id);
    return {
      ...{ conversation: id, isDm: false, lastSeq: last_seq, purged: 0, retentionMs: null, members: own, cursors: [] },
      entries: events.filter(({ conversation }) => conversation === id).map((event) => toEntry(event, own)),
    };
  });
  return { date: Date.now(), logs };
}

/** A change of members is about whoever came or went with it: that every membership begins and ends with one is judged. */
function toEntry({ stored, ...event }: Omit<Entry, "kind"> & { stored: number }, members: readonly Member[]): Entry {
  if (stored !== 2) return { ...event, kind: "message" };
  const about = members.filter(({ joined, left }) => joined === event.seq || left === event.seq);
  return { ...event, kind: "membership", change: { change: "joined", accounts: about.map(({ account }) => account) } };
}

/** What only the tables know: times and counts that never fall, and heads that agree with their logs. */
async function wrongBooks(db: Database): Promise<object[]> {
  await using reader = await db.connect("checker", { queryTimeoutMs: 30_000 });
  const entries = await reader.query(
    `select e.* from (
       select conversation, seq, at < lag(at) over w as fell,
              counted <> coalesce(lag(counted) over w, 0) + counts::int as miscounted
       from events window w as (partition by conversation order by seq)) e
     where e.fell or e.miscounted`,
  );
  const heads = await reader.query(
    `select c.id from conversations c
     where c.counted <> (select max(e.counted) from events e where e.conversation = c.id)
        or c.members_version <> (select count(*) from events e where e.conversation = c.id and e.kind = 2)`,
  );
  return [...entries, ...heads] as object[];
}
