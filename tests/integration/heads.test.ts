/** What a node knows of conversations, while members change. */
import { expect, test } from "bun:test";
import { Heads } from "../../src/conversations/heads.ts";
import { changeMembership } from "../../src/conversations/membership_store.ts";
import type { Sql } from "../../src/platform/postgres.ts";
import { createAccounts, createConversation, createLogDatabase, membershipEvent } from "./event_log_support.ts";

test("apply() takes a change over without a look, or forgets what it cannot follow", async () => {
  await using database = await createLogDatabase();
  const [ann, ben, cem] = await createAccounts(database.db, 3);
  if (ann === undefined || ben === undefined || cem === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  let loads = 0;
  const counting: Sql = {
    query: (text, values, name) => {
      loads++;
      return database.db.query(text, values, name);
    },
  };
  const heads = new Heads(counting);
  const before = await heads.get(conversation);
  const member = { role: "member", joinedSeq: 2, canSend: false } as const;
  heads.apply(conversation, { membersVersion: 2, accountId: ben, member });
  const after = await heads.get(conversation);
  expect([...(after?.members.keys() ?? [])]).toEqual([ann, ben]);
  expect([before?.membersVersion, after?.membersVersion, loads]).toEqual([1, 2, 1]);
  heads.apply(conversation, { membersVersion: 3, accountId: ben, member: null });
  expect((await heads.get(conversation))?.members.has(ben)).toBe(false);
  expect(loads).toBe(1);
  // One in between was made elsewhere: this node does not know it.
  heads.apply(conversation, { membersVersion: 5, accountId: cem, member });
  expect((await heads.get(conversation))?.members.has(cem)).toBe(false);
  expect(loads).toBe(2);
  // The owner has gone, and who follows is not said.
  heads.apply(conversation, { membersVersion: 2, accountId: ann, member: null });
  await heads.get(conversation);
  expect(loads).toBe(3);
});

test("atLeast() is not content with a load that began before the change", async () => {
  await using database = await createLogDatabase();
  const [ann, ben] = await createAccounts(database.db, 2);
  if (ann === undefined || ben === undefined) throw new Error("There is nobody");
  const conversation = await createConversation(database.db, [ann]);
  // The first load has been answered by the database, and the answer is held back on its way.
  const gate = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  let loads = 0;
  const slow: Sql = {
    query: async (text, values, name) => {
      const rows = await database.db.query(text, values, name);
      if (++loads === 1) {
        answered.resolve();
        await gate.promise;
      }
      return rows as never;
    },
  };
  const heads = new Heads(slow);
  const first = heads.get(conversation);
  await answered.promise;
  const event = membershipEvent("joined");
  const outcome = await changeMembership(database.db, {
    ...{ conversationId: conversation, actorId: ann, change: "add" as const, accountIds: [ben] },
    ...{ canSend: true, event, limit: 10 },
  });
  heads.forget(conversation, 2);
  const wanted = heads.atLeast(conversation, 2);
  gate.resolve();
  expect(outcome.status).toBe("stored");
  expect((await first)?.members.has(ben)).toBe(true);
  expect((await wanted)?.membersVersion).toBe(2);
  expect(loads).toBe(2);
});
