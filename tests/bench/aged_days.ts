/**
 * Days of messages that lie back, as the log would have written them: in the partition of their day, in the order in
 * which they came, with the indexes that every partition has, vacuumed as autovacuum leaves them.
 */
import type { Connection, Database } from "../../src/platform/postgres.ts";
import type { Pair } from "./people.ts";

/** One day to write. */
export interface AgedDay {
  /** How many days it lies back. */
  readonly daysAgo: number;
  readonly rows: number;
  /** Days after which its messages end. */
  readonly lifeDays: number;
}

/** What a partition takes on disk. */
export interface PartitionBytes {
  readonly table: number;
  readonly indexes: number;
}

const DAY_MS = 86_400_000;
const STATEMENT_MS = 5 * 60_000;

/*
 * Rounds of one message in each conversation, spread over 20 hours of the day. $1 conversations, $2 their senders,
 * $3 the day, $4 its first number, $5 rounds, $6 days of life, $7 the body; %s the partition.
 */
const WRITE_ROUNDS = `
insert into %s (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
select false, $3::date, p.conversation, $4::bigint + n, i.id, p.sender, 1, t.at, t.at + $6::float8 * interval '1 day', true,
       $4::bigint + n, uuid_send(i.id), $7::bytea
from (select n, lpad(to_hex(unix_ms(at)::bigint), 12, '0') || '7' as id_begins, at
      from (select n, date_trunc('milliseconds', $3::timestamp at time zone 'utc' + n * interval '20 hours' / $5::int) as at
            from generate_series(0, $5::int - 1) n) r offset 0) t
cross join unnest($1::uuid[], $2::uuid[]) p(conversation, sender)
cross join lateral (select (t.id_begins || substr(gen_random_uuid()::text, 16))::uuid as id offset 0) i`;

/**
 * Gives the dms of pairs an end for their messages, and a past: the days, oldest first, which everybody has
 * read and acknowledged. Gives the names of the partitions.
 */
export async function writeAgedDays(
  db: Database,
  pairs: readonly Pair[],
  days: readonly AgedDay[],
  body: Uint8Array,
): Promise<string[]> {
  const oldest = Math.max(...days.map(({ daysAgo }) => daysAgo));
  await using sql = await db.connect("bench", { queryTimeoutMs: STATEMENT_MS });
  await sql.query("select ensure_partitions(now() - make_interval(days => $1))", [oldest - 1]);
  const conversations = pairs.map(({ conversationId }) => conversationId);
  const senders = pairs.map(({ people }) => people[0].id);
  await moveFirstEvents(sql, conversations, oldest);
  let next = 2;
  const written = days.map(async ({ daysAgo, rows, lifeDays }) => {
    const day = new Date(Date.now() - daysAgo * DAY_MS).toISOString().slice(0, 10);
    const name = `events_d${day.replaceAll("-", "")}`;
    const rounds = Math.ceil(rows / pairs.length);
    const values = [conversations, senders, day, next, rounds, lifeDays, body];
    next += rounds;
    await using own = await db.connect(`bench ${name}`, { queryTimeoutMs: STATEMENT_MS });
    await withoutIndexes(own, name, () => own.query(WRITE_ROUNDS.replace("%s", name), values));
    await own.query(`vacuum analyze ${name}`);
    return name;
  });
  const names = await Promise.all(written);
  await setHeads(sql, conversations, next - 1);
  await sql.query("vacuum analyze conversations, members, device_cursors");
  await sql.query("checkpoint");
  return names;
}

/** What a partition takes now: nothing once it is gone. */
export async function partitionBytes(sql: Connection, name: string): Promise<PartitionBytes> {
  const [row] = await sql.query<{ whole: number | null; indexes: number | null }>(
    "select pg_total_relation_size(to_regclass($1)) as whole, pg_indexes_size(to_regclass($1)) as indexes",
    [name],
  );
  const indexes = row?.indexes ?? 0;
  return { table: (row?.whole ?? 0) - indexes, indexes };
}

/** The first event of each came before all the days. */
async function moveFirstEvents(sql: Connection, conversations: readonly string[], days: number): Promise<void> {
  await sql.query(
    `update events set kept = false, day = current_date - $2::int, at = at - make_interval(days => $2),
            expires_at = at - make_interval(days => $2 - 1)
     where conversation = any ($1::uuid[])`,
    [conversations, days],
  );
}

/** Fills a table; row by row its indexes would take three times as long. */
async function withoutIndexes(sql: Connection, table: string, fill: () => Promise<unknown>): Promise<void> {
  const indexes = await sql.query<{ name: string; definition: string }>(
    "select indexname as name, indexdef as definition from pg_indexes where tablename = $1",
    [table],
  );
  for (const { name } of indexes) await sql.query(`drop index ${name}`);
  await fill();
  for (const { definition } of indexes) await sql.query(definition);
}

async function setHeads(sql: Connection, conversations: readonly string[], seq: number): Promise<void> {
  await sql.query(
    "update conversations set retention_seconds = 30 * 86400, last_seq = $2, counted = $2 where id = any ($1::uuid[])",
    [conversations, seq],
  );
  await sql.query(
    "update members set delivered_seq = $2, read_seq = $2, counted_read = $2 where conversation = any ($1::uuid[])",
    [conversations, seq],
  );
  await sql.query(
    `insert into device_cursors (device, conversation, account, acked_seq, acked_day)
     select d.id, m.conversation, m.account, $2, current_date
     from members m join devices d on d.account = m.account where m.conversation = any ($1::uuid[])`,
    [conversations, seq],
  );
}
