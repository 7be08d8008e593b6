/** A connection may end in the packet that says it is ready: it had left the pool, and nobody listened to it yet. */
import { expect, test } from "bun:test";
import { openDatabase } from "../../../src/platform/postgres.ts";
import { createTestDatabase } from "../../support/postgres.ts";
import { waitUntil } from "../../support/wait.ts";

/** The first is met within two seconds where nobody listens. */
const CUTTING_MS = 5_000;

const CUT =
  "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";

test("openDatabase() outlives connections that are ended while they are taken", async () => {
  await using database = await createTestDatabase();
  await using db = openDatabase(database.url);
  await using other = openDatabase(database.url, { poolSize: 1 });
  const uncaught: unknown[] = [];
  const note = (error: unknown) => void uncaught.push(error);
  process.on("uncaughtException", note);
  try {
    const until = performance.now() + CUTTING_MS;
    const repeat = async (work: () => Promise<unknown>) => {
      while (performance.now() < until) await work().catch(() => {}); // what is cut off fails, and no more
    };
    const write = () => db.transaction((tx) => tx.query("select 1"));
    const read = () => db.query("select 1");
    await Promise.all([
      ...Array.from({ length: 6 }, () => repeat(write)),
      repeat(read),
      repeat(() => other.query(CUT)),
    ]);
  } finally {
    process.off("uncaughtException", note);
  }
  expect(uncaught).toEqual([]);
  await waitUntil("the database answers", async () => (await db.query("select 1").catch(() => [])).length === 1);
}, 60_000);
