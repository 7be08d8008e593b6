/** sql/schema.sql says what the migrations amount to. */
import { expect, test } from "bun:test";
import { readFile } from "node:fs/promises";
import { describeSchema, SCHEMA_FILE } from "../../scripts/schema.ts";
import { createTestDatabase } from "../support/postgres.ts";

/** Another major version of Postgres words some definitions differently. */
const WRITTEN_BY = 18;

test("describeSchema() gives what sql/schema.sql holds: run `npm run schema` after a migration", async () => {
  await using database = await createTestDatabase();
  const [row] = await database.db.query<{ version: string }>("select current_setting('server_version_num') as version");
  const described = await describeSchema(database.db);
  expect(described).toContain("create table conversations (");
  if (Math.floor(Number(row?.version) / 10_000) === WRITTEN_BY)
    expect(described).toBe(await readFile(SCHEMA_FILE, "utf8"));
});
