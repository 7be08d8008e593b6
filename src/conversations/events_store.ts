/** Reading the log. Writing it is `event_log_store.ts`. */
import type { Sql } from "../platform/postgres.ts";
import type { AccountId, ConversationId, DeviceId, MessageId } from "../protocol/mod.ts";

/** One row of the log, of a message as it is now; `body` is `null` where it is gone. */
export interface EventRow {
  readonly conversationId: ConversationId;
  readonly seq: number;
  readonly id: MessageId;
  readonly senderId: AccountId;
  readonly kind: number;
  readonly at: number;
  readonly expiresAt: number | null;
  readonly body: Uint8Array | null;
  readonly expired: boolean;
  /** The newest edit that the reader may see: whose body it is, and when (ms). */
  readonly edit: { readonly id: MessageId; readonly at: number } | null;
  /** Whether the reader does not want to see it. */
  readonly hidden: boolean;
}

/** Asks for what a device has not been sent of one conversation. */
export interface PageRequest {
  readonly deviceId: DeviceId;
  readonly accountId: AccountId;
  readonly conversationId: ConversationId;
  /** The seq before the page, or `null` for the device's acknowledged cursor. */
  readonly after: number | null;
  /** When the entry at `after` was stored (ms), to leave older partitions unread; `null` if unknown. */
  readonly afterAt: number | null;
}

/** One page, and where it stands in the member's interval. */
export interface PageRows {
  /** The cursor the page starts from, once the member's interval and the purge mark are applied. */
  readonly after: number;
  /** The last seq that this member may see now. */
  readonly end: number;
  /** Set where entries after the asked cursor are gone or not this member's: nothing below it will come. */
  readonly truncatedBefore: number | null;
  /** Set where the membership has ended. */
  readonly leftSeq: number | null;
  readonly rows: readonly EventRow[];
}

interface PageSqlRow extends EventSqlRow {
  ord: number;
  wanted: number;
  start: number;
  top: number;
  left_seq: number | null;
}

/** A row of events as the statements of this slice select it; `seq` is null where a page is empty. */
export interface EventSqlRow {
  conversation: ConversationId;
  seq: number | null;
  id: MessageId;
  sender: AccountId;
  kind: number;
  at: Date;
  expires_at: Date | null;
  body: Uint8Array | null;
  expired: boolean;
  edit_id: MessageId | null;
  edit_at: Date | null;
  hidden: boolean;
}

/*
 * For each request: the device's cursor unless one is given, the member's interval that goes
 * beyond it (the last one where none does), and the entries in between, bounded in number and
 * in bytes. Indexes: device_cursors' key, members' key, events (conversation, seq) in the
 * partitions from the cursor's day on; the day before is read too, for a clock that stepped back;
 * for each entry the keys of edits and hidden_messages.
 */
const READ_PAGES = `
select r.ord::int, w.wanted, s.start, s.top, i.left_seq,
       r.conversation, e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, e.expired, e.edit_id, e.edit_at, e.hidden,
       case when e.expired or e.hidden or (e.kind in (1, 4, 5, 6) and e.sender <> r.account and h.seqs @> e.seq)
            then null else e.body end as body
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::timestamptz[])
     with ordinality r(device, account, conversation, after, after_at, ord)
join conversations c on c.id = r.conversation
left join device_cursors d on d.device = r.device and d.conversation = r.conversation
cross join lateral (
  select range_agg(int8range(w.from_seq, w.to_seq, '[]')) as seqs from withheld w
  where w.conversation = r.conversation and w.reader = r.account) h
cross join lateral (
  select m.joined_seq, m.left_seq from members m
  where m.conversation = r.conversation and m.account = r.account
  order by (m.left_seq is null or m.left_seq - 1 > coalesce(r.after, d.acked_seq, 0)) desc,
           case when m.left_seq is null or m.left_seq - 1 > coalesce(r.after, d.acked_seq, 0)
                then m.joined_seq else - m.joined_seq end
  limit 1) i
cross join lateral (select coalesce(r.after, d.acked_seq, i.joined_seq - 1) as wanted) w
cross join lateral (
  select coalesce(i.left_seq - 1, c.last_seq) as top,
         least(greatest(w.wanted, i.joined_seq - 1, c.purged_seq), coalesce(i.left_seq - 1, c.last_seq)) as start) s
left join lateral (
  select p.* from (
    select x.*, sum(octet_length(coalesce(x.body, ''))) over (order by x.seq) - octet_length(coalesce(x.body, '')) as before
    from (select e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, coalesce(n.body, e.body) as body,
                 n.id as edit_id, n.at as edit_at, m.seq is not null as hidden,
                 coalesce(e.expires_at <= clock_timestamp(), false) as expired
          from (select e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, e.body from events e
                where e.conversation = r.conversation and e.seq > s.start and e.seq <= s.top
                  and e.day >= coalesce((coalesce(r.after_at, case when r.after is null then d.acked_day::timestamptz end)
                                         at time zone 'utc')::date - 1, '-infinity'::date)
                order by e.seq limit $6) e
          left join lateral newest_edit(
            r.conversation, e.seq, int8multirange(int8range(i.joined_seq, greatest(s.top + 1, i.joined_seq))),
            case when e.sender <> r.account then h.seqs end) d on e.kind = 1 and e.body is not null
          left join lateral edit_at(d.kept, d.day, r.conversation, d.seq) n on true
          left join hidden_messages m
            on m.account = r.account and m.conversation = r.conversation and m.seq = e.seq) x) p
  where p.before = 0 or p.before < $7) e on true
order by r.ord, e.seq`;

/** Reads one page for each request; `null` where the account never was a member. */
export async function readPages(
  sql: Sql,
  requests: readonly PageRequest[],
  limits: { readonly events: number; readonly bytes: number },
): Promise<readonly (PageRows | null)[]> {
  const rows = await sql.query<PageSqlRow>(
    READ_PAGES,
    [
      requests.map((r) => r.deviceId),
      requests.map((r) => r.accountId),
      requests.map((r) => r.conversationId),
      requests.map((r) => r.after),
      requests.map((r) => (r.afterAt === null ? null : new Date(r.afterAt).toISOString())),
      limits.events,
      limits.bytes,
    ],
    "read_pages",
  );
  const pages: (PageRows | null)[] = requests.map(() => null);
  for (const group of groupByOrd(rows)) {
    const [first] = group;
    if (first === undefined) continue;
    pages[first.ord - 1] = {
      after: first.start,
      end: first.top,
      truncatedBefore: first.start > first.wanted ? first.start + 1 : null,
      leftSeq: first.left_seq,
      rows: group.flatMap((row) => (row.seq === null ? [] : [toEventRow(row, row.seq)])),
    };
  }
  return pages;
}

function groupByOrd(rows: readonly PageSqlRow[]): PageSqlRow[][] {
  const groups: PageSqlRow[][] = [];
  for (const row of rows) {
    const last = groups.at(-1);
    if (last?.[0]?.ord === row.ord) last.push(row);
    else groups.push([row]);
  }
  return groups;
}

/** Names a selected row as the slice does. */
export function toEventRow(row: EventSqlRow, seq: number): EventRow {
  return {
    conversationId: row.conversation,
    seq,
    id: row.id,
    senderId: row.sender,
    kind: row.kind,
    at: row.at.getTime(),
    expiresAt: row.expires_at?.getTime() ?? null,
    body: row.body,
    expired: row.expired,
    edit: row.edit_id === null || row.edit_at === null ? null : { id: row.edit_id, at: row.edit_at.getTime() },
    hidden: row.hidden,
  };
}

/** Which way a history page goes. */
export interface HistoryRequest {
  /** `null`: nobody in particular, who sees what is public. */
  readonly accountId: AccountId | null;
  readonly conversationId: ConversationId;
  /** Whether what was before the caller came counts too, where a channel shares it. */
  readonly shared: boolean;
  readonly direction: "after" | "before";
  /** The page holds what is beyond this seq, exclusive. */
  readonly seq: number;
  readonly limit: number;
  /** Bytes of bodies; one entry always fits. */
  readonly bytes: number;
}

/** A page of entries in rising order. */
export interface HistoryRows {
  readonly rows: readonly EventRow[];
  /** Whether there is more beyond the page. */
  readonly more: boolean;
}

/** Everything, in a channel that shares it with the caller; else entries in one of the caller's intervals. */
const VISIBLE = `(r.shared or exists (select 1 from members m where m.conversation = $1 and m.account = $2
  and m.joined_seq <= e.seq and (m.left_seq is null or e.seq < m.left_seq)))`;

/** One entry more than the limit is looked at; it and those beyond the bytes are only counted. */
function historyStatement(beyond: ">" | "<", order: "asc" | "desc"): string {
  return `
with reader as materialized (
  select s.*, greatest(c.purged_seq + 1, case when not s.shared then lower(s.seen) end) as first
  from conversations c,
       (select seen_seqs($1, $2) as seen, withheld_seqs($1, $2) as withheld, $6 and is_shared_with($1, $2) as shared) s
  where c.id = $1)
select p.conversation, p.seq, p.id, p.sender, p.kind, p.at, p.expires_at, p.expired, p.edit_id, p.edit_at, p.hidden, p.found,
       case when p.expired or p.hidden or (p.kind in (1, 4, 5, 6) and p.sender <> $2 and p.withheld @> p.seq)
            then null else p.body end as body
from (
  select x.*, count(*) over () as found, row_number() over (order by x.seq ${order}) as place,
         sum(octet_length(coalesce(x.body, ''))) over (order by x.seq ${order}) - octet_length(coalesce(x.body, '')) as before
  from (
    select e.conversation, e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, coalesce(n.body, e.body) as body,
           n.id as edit_id, n.at as edit_at, h.seq is not null as hidden, r.withheld,
           coalesce(e.expires_at <= clock_timestamp(), false) as expired
    from reader r
    cross join lateral (
      select e.conversation, e.seq, e.id, e.sender, e.kind, e.at, e.expires_at, e.body from events e
      where e.conversation = $1 and e.seq >= r.first and e.seq ${beyond} $3 and ${VISIBLE}
      order by e.seq ${order} limit $4 + 1) e
    left join lateral newest_edit($1, e.seq, r.seen, case when e.sender <> $2 then r.withheld end) d
      on e.kind = 1 and e.body is not null
    left join lateral edit_at(d.kept, d.day, $1, d.seq) n on true
    left join hidden_messages h on h.account = $2 and h.conversation = $1 and h.seq = e.seq) x) p
where p.place <= $4 and (p.before = 0 or p.before < $5) order by p.seq`;
}

const HISTORY = { after: historyStatement(">", "asc"), before: historyStatement("<", "desc") } as const;

/** Lists entries that the caller may see. Indexes: as for pages of a device. */
export async function listHistory(sql: Sql, request: HistoryRequest): Promise<HistoryRows> {
  const rows = await sql.query<EventSqlRow & { seq: number; found: number }>(HISTORY[request.direction], [
    request.conversationId,
    request.accountId,
    request.seq,
    request.limit,
    request.bytes,
    request.shared,
  ]);
  return { rows: rows.map((row) => toEventRow(row, row.seq)), more: (rows[0]?.found ?? 0) > rows.length };
}

/** A conversation that has something for a device. */
export interface BehindRow {
  readonly conversationId: ConversationId;
  /** The highest seq there is for the device: the head, or the seq at which the member left. */
  readonly top: number;
}

interface BehindSqlRow {
  ord: number;
  conversation: ConversationId;
  top: number;
}

/*
 * What goes beyond the device's acknowledged cursor. An ended membership goes to left_seq, so
 * that the end itself is told until it is acknowledged.
 */
const LIST_BEHIND = `
select r.ord::int, b.conversation, b.top
from unnest($1::uuid[], $2::uuid[], $3::uuid[]) with ordinality r(device, account, beyond, ord)
cross join lateral (
  select distinct on (m.conversation) m.conversation, coalesce(m.left_seq, c.last_seq) as top
  from members m
  join conversations c on c.id = m.conversation
  left join device_cursors d on d.device = r.device and d.conversation = m.conversation
  where m.account = r.account and (r.beyond is null or m.conversation > r.beyond)
    and not exists (
      select 1 from withheld w where w.conversation = m.conversation and w.reader = m.account and w.from_seq = 1 and w.to_seq is null)
    and coalesce(m.left_seq, c.last_seq) > coalesce(d.acked_seq, m.joined_seq - 1)
  order by m.conversation, m.joined_seq desc
  limit $4) b
order by r.ord, b.conversation`;

/** Asks which conversations have something for a device; `beyond` pages by conversation id. */
export interface BehindRequest {
  readonly deviceId: DeviceId;
  readonly accountId: AccountId;
  readonly beyond: ConversationId | null;
}

/** Lists, for each request, up to `limit` conversations with something for the device. */
export async function listBehind(sql: Sql, requests: readonly BehindRequest[], limit: number): Promise<BehindRow[][]> {
  const rows = await sql.query<BehindSqlRow>(
    LIST_BEHIND,
    [requests.map((r) => r.deviceId), requests.map((r) => r.accountId), requests.map((r) => r.beyond), limit],
    "list_behind",
  );
  const lists: BehindRow[][] = requests.map(() => []);
  for (const row of rows) lists[row.ord - 1]?.push({ conversationId: row.conversation, top: row.top });
  return lists;
}

/*
 * A device that is new starts where the account stands: what any device acknowledged, and the
 * end of what it left. Pinned once, so that another device's later acknowledgements move nothing here.
 */
const PIN_DEVICES = `
with fresh as (
  insert into device_sync (device, account, pinned_at)
  select device, account, clock_timestamp() from unnest($1::uuid[], $2::uuid[]) r(device, account)
  on conflict do nothing returning device, account)
insert into device_cursors (device, conversation, account, acked_seq)
select distinct on (f.device, m.conversation) f.device, m.conversation, f.account,
       coalesce(m.left_seq, greatest(m.delivered_seq, m.joined_seq - 1))
from fresh f join members m on m.account = f.account
order by f.device, m.conversation, m.joined_seq desc
on conflict do nothing`;

/** Gives devices that never connected their first cursors. */
export async function pinDevices(
  sql: Sql,
  devices: readonly { deviceId: DeviceId; accountId: AccountId }[],
): Promise<void> {
  const unique = [...new Map(devices.map((one) => [one.deviceId, one])).values()];
  await sql.query(PIN_DEVICES, [unique.map((d) => d.deviceId), unique.map((d) => d.accountId)], "pin_devices");
}
