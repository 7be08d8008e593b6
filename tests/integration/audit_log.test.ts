/** The audit log: added to and nothing else, whatever statement comes; kept a year; shown in pages. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  type AdministrationDeps,
  createUser,
  disableUser,
  listAudit,
  purgeAudit,
} from "../../src/administration/mod.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createPasswordHasher } from "../../src/platform/password_hash.ts";
import { createTestDatabase, type TestDatabase } from "../support/postgres.ts";

let database: TestDatabase;
let deps: AdministrationDeps;
beforeAll(async () => {
  database = await createTestDatabase();
  const passwords = createPasswordHasher({ algorithm: "argon2id", concurrency: 1, queue: 10 });
  deps = { db: database.db, clock: systemClock, passwords };
});
afterAll(() => database[Symbol.asyncDispose]());

const actor = { kind: "cli", name: "operator" } as const;
let made = 0;
const somebody = () => createUser(deps, { actor, username: `person_${++made}`, admin: false });
const rows = async () => (await database.db.query<{ n: number }>("select count(*) as n from audit_log"))[0]?.n ?? 0;

describe("the log", () => {
  test("says who did what to whom and when", async () => {
    const { id, username } = await somebody();
    await disableUser(deps, { actor: { kind: "account", id }, user: username });
    const { entries } = await listAudit(deps, { before: null, account: id, limit: 10 });
    const [newest] = entries;
    expect(entries.map(({ action }) => action)).toEqual(["disable", "create_user"]);
    expect(newest as object).toMatchObject({ actorKind: "account", actor: id, account: id, username, session: null });
    expect(Math.abs((newest?.at.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  test.each([
    "update audit_log set actor = 'somebody else'",
    "update audit_log set at = now() - interval '2 years'",
    "delete from audit_log",
    "truncate audit_log",
    "truncate audit_log cascade",
  ])("stays as it is against: %s", async (statement) => {
    await somebody();
    const before = await database.db.query("select * from audit_log order by id");
    await expect(database.db.query(statement)).rejects.toMatchObject({ code: "42501" });
    expect(await database.db.query("select * from audit_log order by id")).toEqual(before);
  });

  test("outlives the account, and then shows its id only", async () => {
    const { id } = await somebody();
    await database.db.query("delete from accounts where id = $1", [id]);
    const { entries } = await listAudit(deps, { before: null, account: id, limit: 10 });
    expect(entries).toMatchObject([{ action: "create_user", account: id, username: null }] as never);
  });

  test("holds nothing of what was refused", async () => {
    const { username } = await somebody();
    const before = await rows();
    await expect(createUser(deps, { actor, username, admin: true })).rejects.toMatchObject({ code: "username_taken" });
    await expect(disableUser(deps, { actor, user: "nobody_at_all" })).rejects.toMatchObject({ code: "user_not_found" });
    expect(await rows()).toBe(before);
  });

  test("is shown in pages, newest first, each entry once", async () => {
    for (let i = 0; i < 5; i++) await somebody();
    const seen: number[] = [];
    let before: number | null = null;
    do {
      const page: Awaited<ReturnType<typeof listAudit>> = await listAudit(deps, { before, account: null, limit: 2 });
      expect(page.entries.length).toBeLessThanOrEqual(2);
      seen.push(...page.entries.map(({ id }) => id));
      before = page.next;
    } while (before !== null);
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => b - a));
    expect(seen).toHaveLength(await rows());
  });

  test("loses what is older than a year, and only that", async () => {
    const { db } = database;
    await db.query(
      "insert into audit_log (at, actor_kind, actor, action) values (now() - interval '367 days', 'cli', 'x', 'old')",
    );
    await db.query(
      "insert into audit_log (at, actor_kind, actor, action) values (now() - interval '364 days', 'cli', 'x', 'young')",
    );
    const before = await rows();
    expect(await purgeAudit(deps)).toBe(1);
    expect(await purgeAudit(deps)).toBe(0);
    expect(await rows()).toBe(before - 1);
    expect(await db.query("select 1 from audit_log where action = 'young'")).toHaveLength(1);
  });

  test("a clock that runs two years ahead removes nothing", async () => {
    const before = await rows();
    const ahead = { now: () => Date.now() + 2 * 366 * 86_400_000 };
    await expect(purgeAudit({ db: database.db, clock: ahead })).rejects.toMatchObject({ code: "42501" });
    expect(await rows()).toBe(before);
  });
});
