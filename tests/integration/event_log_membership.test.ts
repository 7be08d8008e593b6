/** Who is in a conversation: creation, rights, intervals, and a random history against a model. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { EventLog } from "../../src/conversations/event_log.ts";
import {
  changeMembership,
  insertConversation,
  type MembershipChangeRequest,
  type NewConversation,
} from "../../src/conversations/membership_store.ts";
import { type AccountId, type ConversationId, type MessageId, newMessageId, uuidv7 } from "../../src/protocol/mod.ts";
import type { TestDatabase } from "../support/postgres.ts";
import { Chance } from "../support/random.ts";
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
  upTo,
} from "./event_log_support.ts";

const DAY_MS = 24 * 60 * 60 * 1_000;

let database: TestDatabase;
let people: AccountId[];
let ann: AccountId;
let bob: AccountId;
let eve: AccountId;
let zoe: AccountId;

beforeAll(async () => {
  database = await createLogDatabase();
  people = await createAccounts(database.db, 12);
  [ann, bob, eve, zoe] = people as [AccountId, AccountId, AccountId, AccountId];
});

afterAll(() => database[Symbol.asyncDispose]());

function change(
  conversationId: ConversationId,
  actorId: AccountId,
  what: "add" | "remove",
  accountIds: AccountId[],
  changes: Partial<MembershipChangeRequest> = {},
) {
  const event = membershipEvent(`${what} ${accountIds.join()}`);
  return changeMembership(database.db, {
    conversationId,
    actorId,
    change: what,
    accountIds,
    canSend: true,
    event,
    limit: 100,
    ...changes,
  });
}

interface Interval {
  readonly account: AccountId;
  readonly joined_seq: number;
  readonly left_seq: number | null;
  readonly role: number;
}

function readMembers(conversation: ConversationId): Promise<Interval[]> {
  return database.db.query<Interval>(
    "select account, joined_seq, left_seq, role from members where conversation = $1 order by joined_seq, account",
    [conversation],
  );
}

function newDm(creatorId: AccountId, otherId: AccountId): NewConversation {
  const dmKey = new TextEncoder().encode([creatorId, otherId].toSorted().join());
  return {
    ...{ id: uuidv7() as ConversationId, type: "dm", encryption: "opaque", name: null, creatorId, otherIds: [otherId] },
    ...{ retentionSeconds: null, dmKey, dataKey: null, event: membershipEvent("created") },
  };
}

test("insertConversation() stores members and the first event with seq 1", async () => {
  const id = await createConversation(database.db, [ann, bob, eve, ann], { name: "Three", retentionSeconds: 60 });
  const [created, ...rest] = await readLog(database.db, id);
  expect(rest).toEqual([]);
  expect(created).toMatchObject({ seq: 1, sender: ann, kind: 2, body: "created", counted: 0, kept: false });
  expect((created?.expires_at?.getTime() ?? 0) - (created?.at.getTime() ?? 0)).toBe(60_000);
  expect(await readMembers(id)).toEqual(
    [ann, bob, eve]
      .toSorted()
      .map((account) => ({ account, joined_seq: 1, left_seq: null, role: account === ann ? 1 : 3 })),
  );
  expect(await readHead(database.db, id)).toMatchObject({
    last_seq: 1,
    members_version: 1,
    counted: 0,
    last_message_id: null,
  });
});

test("insertConversation() gives both people the same dm, however often and at once they ask", async () => {
  const attempts = upTo(12).map((n) =>
    insertConversation(database.db, n % 2 === 0 ? newDm(ann, bob) : newDm(bob, ann)),
  );
  const outcomes = await Promise.all(attempts);
  const ids = new Set(outcomes.map((outcome) => ("id" in outcome ? outcome.id : "")));
  expect(ids.size).toBe(1);
  expect(outcomes.filter((outcome) => outcome.status === "stored").length).toBe(1);
  expect(outcomes.filter((outcome) => outcome.status === "known").length).toBe(11);
  const [id] = [...ids] as [ConversationId];
  expect((await readMembers(id)).length).toBe(2);
  expect((await readLog(database.db, id)).length).toBe(1);
});

test("insertConversation() knows its own repetition, refuses a foreign id, and refuses people who do not exist", async () => {
  const { dmKey: _, ...rest } = newDm(eve, zoe);
  const group: NewConversation = { ...rest, dmKey: null, type: "group" };
  expect(await insertConversation(database.db, group)).toMatchObject({ status: "stored", id: group.id, seq: 1 });
  expect(await insertConversation(database.db, group)).toMatchObject({ status: "known", id: group.id, seq: 1 });
  expect(await insertConversation(database.db, { ...group, creatorId: ann })).toEqual({ status: "conflict" });
  const nobody = { ...group, id: uuidv7() as ConversationId, otherIds: [uuidv7() as AccountId] };
  expect(await insertConversation(database.db, nobody)).toEqual({ status: "no_account" });
  expect(await readLog(database.db, nobody.id)).toEqual([]);
});

test("changeMembership() opens and closes intervals at the numbers of its events [RES-7]", async () => {
  const id = await createConversation(database.db, [ann, bob]);
  await using log = openLog(database.db);
  await log.append(message(id, ann, "two", { counts: true }));
  expect(await change(id, ann, "add", [eve, zoe])).toMatchObject({ status: "stored", seq: 3, membersVersion: 2 });
  expect(await change(id, ann, "remove", [eve])).toMatchObject({ status: "stored", seq: 4, membersVersion: 3 });
  expect(await change(id, bob, "remove", [bob])).toMatchObject({ status: "stored", seq: 5, membersVersion: 4 });
  expect(await change(id, ann, "add", [eve])).toMatchObject({ status: "stored", seq: 6, membersVersion: 5 });
  const intervals = (await readMembers(id)).map(({ account, joined_seq, left_seq }) => [account, joined_seq, left_seq]);
  expect(intervals.toSorted()).toEqual(
    [
      [ann, 1, null],
      [bob, 1, 5],
      [eve, 3, 4],
      [zoe, 3, null],
      [eve, 6, null],
    ].toSorted(),
  );
  const cursors = await database.db.query(
    "select delivered_seq, read_seq, counted_read from members where conversation = $1 and account = $2 and left_seq is null",
    [id, eve],
  );
  expect(cursors).toEqual([{ delivered_seq: 5, read_seq: 5, counted_read: 1 }]); // nothing before it counts as unread
});

test("changeMembership() refuses what the actor may not do, and changes nothing", async () => {
  const id = await createConversation(database.db, [ann, bob, eve]);
  await database.db.query("update members set role = 2 where conversation = $1 and account = $2", [id, bob]);
  const dm = await insertConversation(database.db, newDm(eve, zoe));
  const dmId = "id" in dm ? dm.id : id;
  const stranger = uuidv7() as AccountId;
  const outcomes = {
    stranger: await change(id, zoe, "add", [zoe]),
    nowhere: await change(uuidv7() as ConversationId, ann, "add", [zoe]),
    memberAdds: await change(id, eve, "add", [zoe]),
    memberRemoves: await change(id, eve, "remove", [bob]),
    adminRemovesOwner: await change(id, bob, "remove", [ann]),
    alreadyThere: await change(id, ann, "add", [zoe, eve]),
    notThere: await change(id, ann, "remove", [eve, zoe]),
    unknown: await change(id, ann, "add", [stranger]),
    tooMany: await change(id, ann, "add", [zoe], { limit: 3 }),
    nobody: await change(id, ann, "add", []),
    dmAdds: await change(dmId, eve, "add", [ann]),
    dmLeaves: await change(dmId, eve, "remove", [eve]),
    oldId: await change(id, ann, "add", [zoe], {
      event: membershipEvent("add", newMessageId(Date.now() - DAY_MS - 5_000)),
    }),
  };
  expect(Object.fromEntries(Object.entries(outcomes).map(([name, { status }]) => [name, status]))).toEqual({
    ...{ stranger: "no_conversation", nowhere: "no_conversation", memberAdds: "forbidden", memberRemoves: "forbidden" },
    ...{
      adminRemovesOwner: "forbidden",
      alreadyThere: "already_member",
      notThere: "not_member",
      unknown: "no_account",
    },
    ...{
      tooMany: "too_many",
      nobody: "forbidden",
      dmAdds: "forbidden",
      dmLeaves: "forbidden",
      oldId: "id_out_of_window",
    },
  });
  expect(await readHead(database.db, id)).toMatchObject({ last_seq: 1, members_version: 1 });
  expect((await readMembers(id)).length).toBe(3);
  expect(await change(id, bob, "remove", [eve])).toMatchObject({ status: "stored" }); // an admin may remove a member
});

test("changeMembership() knows its own repetition, also of one who has left, and refuses a used id", async () => {
  const id = await createConversation(database.db, [ann, bob]);
  const event = membershipEvent("left");
  const first = await change(id, bob, "remove", [bob], { event });
  expect(await change(id, bob, "remove", [bob], { event })).toEqual({ ...first, status: "known" } as typeof first);
  expect(await change(id, ann, "remove", [bob], { event })).toEqual({ status: "conflict" });
  expect(await change(id, bob, "remove", [bob], { event: { ...event, digest: new Uint8Array(16) } })).toEqual({
    status: "conflict",
  });
  const elsewhere = await createConversation(database.db, [ann, bob]);
  expect(await change(elsewhere, bob, "remove", [bob], { event })).toEqual({ status: "conflict" });
  expect((await readHead(database.db, id)).last_seq).toBe(2);
});

test("changeMembership() hands ownership on: to the oldest admin, else the oldest member, else to nobody", async () => {
  const id = await createConversation(database.db, [ann]);
  for (const account of [bob, eve, zoe]) await change(id, ann, "add", [account]);
  await database.db.query("update members set role = 2 where conversation = $1 and account = $2", [id, zoe]);
  const owners = async () =>
    (await readMembers(id)).filter((each) => each.role === 1 && each.left_seq === null).map((each) => each.account);
  await change(id, ann, "remove", [ann]);
  expect(await owners()).toEqual([zoe]);
  await change(id, zoe, "remove", [zoe]);
  expect(await owners()).toEqual([bob]);
  await change(id, bob, "remove", [bob, eve]); // the owner clears the room, himself included
  expect(await owners()).toEqual([]);
  expect((await readMembers(id)).every((each) => each.left_seq !== null)).toBe(true);
});

test("changeMembership() answers busy when the head stays locked", async () => {
  const id = await createConversation(database.db, [ann]);
  await using _holder = await holdHead(database.db, id);
  expect(await change(id, ann, "add", [bob])).toEqual({ status: "busy" });
});

/** What the model keeps of one log entry. */
interface Fact {
  readonly seq: number;
  readonly sender: AccountId;
  readonly apply: (members: Map<AccountId, number>, intervals: string[]) => void;
}

test("random changes and sends from several nodes leave exactly the history that their answers tell [RES-7]", async () => {
  const { db } = database;
  const seed = Number(process.env.SEED ?? Date.now() % 1_000_000);
  const chance = new Chance(seed);
  const id = await createConversation(db, people.slice(0, 4));
  const logs: EventLog[] = [openLog(db), openLog(db)];
  const facts: Fact[] = [];

  async function act(log: EventLog): Promise<void> {
    const actor = chance.pick(people);
    if (chance.happens(0.7)) {
      const version = chance.happens(0.5) ? 0 : -1; // never the head's: the member row decides
      const outcome = await log.append(message(id, actor, `from ${actor}`, { membersVersion: version }));
      if ("seq" in outcome) facts.push({ seq: outcome.seq, sender: actor, apply: () => {} });
      else expect(outcome.status).toBe("not_member");
      return;
    }
    const what = chance.happens(0.6) ? "add" : "remove";
    // The first stays, else all might leave and the rest of the run would show nothing.
    const accounts = chance.happens(0.3) ? [actor] : [...new Set([chance.pick(people), chance.pick(people)])];
    if (what === "remove" && accounts.includes(ann)) return;
    const outcome = await change(id, actor, what, accounts);
    if (!("seq" in outcome)) return;
    const { seq } = outcome;
    facts.push({
      seq,
      sender: actor,
      apply: (members, intervals) => {
        for (const account of accounts) {
          if (what === "add") {
            expect(members.has(account)).toBe(false);
            members.set(account, seq);
          } else {
            expect(members.has(account)).toBe(true);
            intervals.push(`${account} ${members.get(account)} ${seq}`);
            members.delete(account);
          }
        }
      },
    });
  }

  await Promise.all(
    upTo(8).map(async (worker) => {
      for (const _ of upTo(60)) await act(logs[worker % 2] as EventLog);
    }),
  );
  for (const log of logs) await log[Symbol.asyncDispose]();

  // The answers, put in the order of their numbers, must make sense one after the other.
  const members = new Map<AccountId, number>(people.slice(0, 4).map((account) => [account, 1]));
  const intervals: string[] = [];
  facts.sort((a, b) => a.seq - b.seq);
  expect(facts.map((fact) => fact.seq)).toEqual(upTo(facts.length + 1).slice(1));
  for (const fact of facts) {
    expect([seed, fact.seq, members.has(fact.sender)]).toEqual([seed, fact.seq, true]);
    fact.apply(members, intervals);
  }
  for (const [account, joined] of members) intervals.push(`${account} ${joined} null`);
  const stored = (await readMembers(id)).map(
    ({ account, joined_seq, left_seq }) => `${account} ${joined_seq} ${left_seq}`,
  );
  expect(stored.toSorted()).toEqual(intervals.toSorted());
  expect(facts.length).toBeGreaterThan(50);
  const events = await readLog(db, id);
  expect(events.slice(1).map((event) => [event.seq, event.sender])).toEqual(
    facts.map((fact) => [fact.seq, fact.sender]),
  );
  expect(new Set(events.map((event): MessageId => event.id)).size).toBe(events.length);
}, 120_000);
