/**
 * `npm run schema`: writes sql/schema.sql, what all migrations together amount to, as the catalogue of
 * a migrated database describes it. A test fails when the file is not what it would be; it is for reading,
 * and nothing runs it. Partitions are left out, because they come and go with the days.
 */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startEmbeddedPostgres } from "../src/platform/embedded_postgres.ts";
import { migrate } from "../src/platform/migrate.ts";
import { openDatabase, type Sql } from "../src/platform/postgres.ts";

const ROOT = join(import.meta.dir, "..");

/** Where the schema is written down. */
export const SCHEMA_FILE = join(ROOT, "sql/schema.sql");

const TABLES = `
select c.relname as name, pg_get_partkeydef(c.oid) as partition_key,
  array(select format('  %I %s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
               case when a.attnotnull then ' not null' else '' end,
               coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
                 || case a.attidentity when 'a' then ' generated always as identity' else '' end)
        from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped order by a.attnum) as columns,
  array(select format('  constraint %I %s', k.conname, pg_get_constraintdef(k.oid))
        from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n' order by k.contype desc, k.conname) as constraints
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
order by c.relname`;

const INDEXES = `
select pg_get_indexdef(i.indexrelid) as definition
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace and not t.relispartition
  and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)
order by c.relname`;

const FUNCTIONS = `
select pg_get_functiondef(p.oid) as definition
from pg_proc p where p.pronamespace = 'public'::regnamespace order by p.proname, p.oid`;

const TRIGGERS = `
select pg_get_triggerdef(g.oid) as definition
from pg_trigger g join pg_class t on t.oid = g.tgrelid
where t.relnamespace = 'public'::regnamespace and not t.relispartition and not g.tgisinternal
order by t.relname, g.tgname`;

/** Writes a migrated database's schema as SQL, in one order whatever the order of its making. */
export async function describeSchema(sql: Sql): Promise<string> {
  const tables = await sql.query<{
    name: string;
    partition_key: string | null;
    columns: string[];
    constraints: string[];
  }>(TABLES);
  const indexes = await sql.query<{ definition: string }>(INDEXES);
  const triggers = await sql.query<{ definition: string }>(TRIGGERS);
  const functions = await sql.query<{ definition: string }>(FUNCTIONS);
  const parts = [
    "-- Written by `npm run schema` from the migrations; do not edit. Partitions are left out.",
    ...tables.map(({ name, partition_key: key, columns, constraints }) => {
      const lines = [...columns, ...constraints].join(",\n");
      return `create table ${name} (\n${lines}\n)${key === null ? "" : ` partition by ${key}`};`;
    }),
    ...indexes.map(({ definition }) => `${definition};`),
    ...functions.map(({ definition }) => `${definition.trim()};`),
    ...triggers.map(({ definition }) => `${definition};`),
  ];
  return `${parts.join("\n\n")}\n`;
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "sotto-schema-"));
  await chmod(folder, 0o711); // root's Postgres runs as somebody else
  const server = await startEmbeddedPostgres({ dataDir: folder });
  try {
    await using database = openDatabase(server.url, { poolSize: 1 });
    await migrate(database, join(ROOT, "sql/migrations"));
    await writeFile(SCHEMA_FILE, await describeSchema(database));
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
  console.log("Wrote sql/schema.sql");
}

if (import.meta.main) await main();
