-- append_events: one call appends one batch to any number of logs.
--
-- Why a function: the heads are locked by a first statement and everything is decided by a
-- second, whose snapshot is newer than the locks; and no transaction that holds a head is driven
-- in steps by a node, so a frozen node holds nothing. Needs READ COMMITTED.
-- Locks: FOR NO KEY UPDATE on the heads, in id order (foreign-key checks pass it).
--
-- p_wait false: heads that are locked elsewhere are skipped, and their events answered 6.
-- An id may stand at most once in a batch.
--
-- Plans: cached while a day's partition is still empty, a plan would read it from end to end for
-- the rest of the day; hence no sequential scans, and no EXISTS, which may become a hash of a whole
-- table. A bound on the day that is a variable lets a cached plan skip partitions.
-- p_version: the members_version that the node's check rests on; 0 or another than the head's:
-- the member row decides here.
--
-- o_status: 0 stored, 1 known (a twin was stored before; its seq and times are given),
-- 2 the sender's id with another body, 3 not a member or not allowed to send,
-- 4 no such conversation, 5 id more than 24 h from this clock and not stored, 6 busy,
-- 7 an id of another sender or of another conversation. Stored wins over every refusal.
-- o_at, o_expires: milliseconds since the epoch.

-- The smallest UUIDv7 of a moment (RFC 9562 section 5.7).
create function lowest_id_at(p_at timestamptz) returns uuid language sql stable as $$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$$;

-- The moment inside a UUIDv7.
create function time_of_id(p_id uuid) returns timestamptz language sql stable as $$
  select to_timestamp(('x0000' || substr(replace(p_id::text, '-', ''), 1, 12))::bit(64)::bigint / 1000.0)
$$;

-- Milliseconds since the epoch.
create function unix_ms(p_at timestamptz) returns double precision language sql stable as $$
  select (extract(epoch from p_at) * 1000)::double precision
$$;

create function append_events(
  p_id uuid[], p_conversation uuid[], p_sender uuid[], p_version int[], p_kind smallint[],
  p_expire_after int[], p_counts boolean[], p_offset int[], p_length int[],
  p_digest bytea, p_body bytea, p_wait boolean)
returns table (o_ord int, o_status int, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set enable_seqscan = off as $$
declare
  v_locked uuid[];
  v_now    timestamptz;
  v_low    uuid;
  v_high   uuid;
  v_oldest uuid;
  v_from   date;
begin
  if p_wait then
    v_locked := array(select c.id from conversations c where c.id = any (p_conversation)
                      order by c.id for no key update);
  else
    v_locked := array(select c.id from conversations c where c.id = any (p_conversation)
                      order by c.id for no key update skip locked);
  end if;

  -- Not now(): the transaction began before the wait, and times would fall while numbers rise.
  v_now  := date_trunc('milliseconds', clock_timestamp());
  v_low  := lowest_id_at(v_now - interval '24 hours');
  v_high := lowest_id_at(v_now + interval '24 hours 1 millisecond');
  -- What is stored under an id was stored within a day of the id's own time, so this look-up is
  -- exact for old ids too; as a scalar it lets the plan skip older partitions.
  select i into v_oldest from unnest(p_id) i order by i limit 1;
  v_from := (least(v_now - interval '24 hours', time_of_id(v_oldest)) at time zone 'utc')::date - 1;

  return query
  with request as materialized (
    select * from unnest(p_id, p_conversation, p_sender, p_version, p_kind, p_expire_after, p_counts, p_offset, p_length)
      with ordinality t (id, conversation, sender, version, kind, expire_after, counts, off, len, ord)),
  head as materialized (
    select c.id, c.last_seq, c.counted, c.members_version, c.retention_seconds,
           greatest(v_now, c.last_activity) as at -- the clock may have been set back
    from conversations c where c.id = any (v_locked)),
  known as materialized (
    select e.id, e.conversation, e.seq, e.sender, e.kind, e.digest, e.at, e.expires_at
    from events e where e.id = any (p_id) and e.day >= v_from),
  judged as materialized (
    select r.*, h.last_seq, h.counted, h.members_version, h.retention_seconds, h.at,
           k.seq as known_seq, k.at as known_at, k.expires_at as known_expires,
           case
             when k.id is not null and k.sender <> r.sender then 7
             when k.id is not null then case
               when k.kind = r.kind and k.digest = substr(p_digest, (r.ord::int - 1) * 16 + 1, 16) then 1 else 2 end
             when r.id = any (array(select o.id from known o)) then 7
             when h.id is null then case
               when not p_wait and (select true from conversations c where c.id = r.conversation) then 6 else 4 end
             when r.id < v_low or r.id >= v_high then 5
             when r.version <> h.members_version and (
               select m.can_send from members m where m.conversation = r.conversation and m.account = r.sender
                 and m.left_seq is null) is not true then 3
             else 0
           end as status
    from request r
    left join head h on h.id = r.conversation
    left join known k on k.id = r.id and k.conversation = r.conversation),
  fresh as materialized (
    select j.*,
           j.last_seq + row_number() over w as seq,
           j.counted + count(*) filter (where j.counts) over w as new_counted,
           least(j.at + make_interval(secs => j.retention_seconds),
                 j.at + make_interval(secs => j.expire_after)) as expires_at
    from judged j where j.status = 0
    window w as (partition by j.conversation order by j.ord rows unbounded preceding)),
  moved as (
    update conversations c
    set last_seq = s.last_seq, counted = s.counted, last_activity = s.at,
        last_message_id = coalesce(s.last_message_id, c.last_message_id),
        last_message_at = case when s.last_message_id is null then c.last_message_at else s.at end
    from (select f.conversation, max(f.seq) as last_seq, max(f.new_counted) as counted, max(f.at) as at,
                 (array_agg(f.id order by f.seq desc) filter (where f.kind = 1))[1] as last_message_id
          from fresh f group by f.conversation) s
    where c.id = s.conversation),
  stored as (
    insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
    select f.retention_seconds is null, (f.at at time zone 'utc')::date, f.conversation, f.seq, f.id, f.sender, f.kind,
           f.at, f.expires_at, f.counts, f.new_counted,
           substr(p_digest, (f.ord::int - 1) * 16 + 1, 16), substr(p_body, f.off + 1, f.len)
    from fresh f)
  select f.ord::int, 0, f.seq, f.members_version, unix_ms(f.at), unix_ms(f.expires_at) from fresh f
  union all
  select j.ord::int, j.status, j.known_seq, j.members_version, unix_ms(j.known_at), unix_ms(j.known_expires)
  from judged j where j.status <> 0;
end $$;
