-- change_conversation: a new name, another retention, another role of a member, each an entry of the log (kind 7).
--
-- Why a function: as with append_events the head is locked first, everything is decided by later
-- statements, and no node holds a head across a round trip. Needs READ COMMITTED.
-- Every change raises members_version, so that nodes look again.
-- Locks: conversations gets a column, which is a moment; at run time FOR NO KEY UPDATE on one head, waited
-- for at most 2 s (55P03). Plans without sequential scans: see 0012.

-- How long events live where the conversation keeps them: retention_seconds picks the tree of partitions, and
-- a log in both trees would get holes as days are dropped.
alter table conversations add column expire_seconds int check (expire_seconds between 1 and 2592000);

-- As 0012 and 0015, and events of a conversation with expire_seconds live no longer than that says.
create or replace function append_events(
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
    select c.id, c.last_seq, c.counted, c.members_version, c.retention_seconds, c.expire_seconds,
           greatest(v_now, c.last_activity) as at -- the clock may have been set back
    from conversations c where c.id = any (v_locked)),
  known as materialized (
    select e.id, e.conversation, e.seq, e.sender, e.kind, e.digest, e.at, e.expires_at
    from events e where e.id = any (p_id) and e.day >= v_from),
  judged as materialized (
    select r.*, h.last_seq, h.counted, h.members_version, h.retention_seconds, h.expire_seconds, h.at,
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
                 j.at + make_interval(secs => j.expire_seconds),
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

create or replace function append_batch(
  p_heads uuid[], p_last int[], p_last_message int[],
  p_id uuid[], p_sender uuid[], p_head int[], p_place int[], p_counted int[], p_version int[], p_kind smallint[],
  p_expire_after int[], p_counts boolean[], p_offset int[], p_length int[],
  p_digest bytea, p_body bytea, p_wait boolean)
returns table (o_status json, o_seq json, o_version json, o_at json, o_expires json)
language plpgsql volatile set enable_seqscan = off as $$
declare
  v_events int := cardinality(p_id);
  v_heads  int := cardinality(p_heads);
  v_now    timestamptz;
  v_ms     double precision;
  v_day    date;
  v_low    uuid;
  v_high   uuid;
  v_from   date;
  v_newest timestamptz;
  v_plain  boolean := false;
  v_moved  int;
  -- Of each head, as it is under its lock.
  h_id      uuid[];
  h_row     tid[];
  h_seq     bigint[];
  h_counted bigint[];
  h_version int[];
  h_keep    int[];
  h_expire  int[];
begin
  if p_wait then
    select array_agg(c.id), array_agg(c.ctid), array_agg(c.last_seq), array_agg(c.counted), array_agg(c.members_version),
           array_agg(c.retention_seconds), array_agg(c.expire_seconds), max(c.last_activity)
    into h_id, h_row, h_seq, h_counted, h_version, h_keep, h_expire, v_newest
    from (select c.id, c.ctid, c.last_seq, c.counted, c.members_version, c.retention_seconds, c.expire_seconds, c.last_activity
          from conversations c where c.id = any (p_heads) order by c.id for no key update) c;
    v_now  := date_trunc('milliseconds', clock_timestamp());
    v_ms   := unix_ms(v_now);
    v_day  := (v_now at time zone 'utc')::date;
    v_low  := lowest_id_at(v_now - interval '24 hours');
    v_high := lowest_id_at(v_now + interval '24 hours 1 millisecond');
    -- All there, in the order of the node's, no clock that was set back, and all ids of these two days.
    if h_id = p_heads and v_newest <= v_now then
      v_plain := (select bool_and(p_version[i] = h_version[p_head[i]] and p_id[i] >= v_low and p_id[i] < v_high)
                  from generate_series(1, v_events) i);
    end if;
    if v_plain then
      v_from := ((v_now - interval '24 hours') at time zone 'utc')::date - 1;
      perform 1 from events e where e.id = any (p_id) and e.day >= v_from limit 1;
      v_plain := not found;
    end if;
  end if;

  if not v_plain then
    return query
    select json_agg(a.o_status order by a.o_ord), json_agg(a.o_seq order by a.o_ord), json_agg(a.o_version order by a.o_ord),
           json_agg(a.o_at order by a.o_ord), json_agg(a.o_expires order by a.o_ord)
    from append_events(p_id, array(select p_heads[i] from unnest(p_head) i), p_sender, p_version, p_kind,
                       array_replace(p_expire_after, -1, null), p_counts, p_offset, p_length, p_digest, p_body, p_wait) a;
    return;
  end if;

  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  select h_keep[p_head[i]] is null, v_day, p_heads[p_head[i]], h_seq[p_head[i]] + p_place[i], p_id[i], p_sender[i], p_kind[i],
         v_now, v_now + make_interval(secs => least(h_keep[p_head[i]], h_expire[p_head[i]], nullif(p_expire_after[i], -1))),
         p_counts[i], h_counted[p_head[i]] + p_counted[i],
         substr(p_digest, (i - 1) * 16 + 1, 16), substr(p_body, p_offset[i] + 1, p_length[i])
  from generate_series(1, v_events) i;

  -- By place: nobody moves a row that is locked. HOT, see 0010.
  update conversations c
  set last_seq = h_seq[h] + p_place[p_last[h]], counted = h_counted[h] + p_counted[p_last[h]], last_activity = v_now,
      last_message_id = coalesce(p_id[p_last_message[h]], c.last_message_id),
      last_message_at = case when p_last_message[h] = 0 then c.last_message_at else v_now end
  from generate_series(1, v_heads) h
  where c.ctid = h_row[h];
  get diagnostics v_moved = row_count;
  if v_moved <> v_heads then raise exception 'Move every head that is locked: current value is % of %', v_moved, v_heads; end if;

  return query
  select array_to_json(array_fill(0, array[v_events])),
         array_to_json(array(select h_seq[p_head[i]] + p_place[i] from generate_series(1, v_events) i)),
         array_to_json(p_version),
         array_to_json(array_fill(v_ms, array[v_events])),
         array_to_json(array(select v_ms + 1000::double precision * least(h_keep[p_head[i]], h_expire[p_head[i]], nullif(p_expire_after[i], -1))
                             from generate_series(1, v_events) i));
end $$;

-- What an event's id is known as. o_status: 1 the same call was stored before, 2 the id is another event's;
-- no row where it is new. The caller holds the head.
create function known_event(p_conversation uuid, p_actor uuid, p_kind smallint, p_id uuid, p_digest bytea, p_now timestamptz)
returns table (o_status int, o_seq bigint, o_at double precision, o_expires double precision)
language sql stable as $$
  select case when e.conversation = p_conversation and e.sender = p_actor and e.kind = p_kind and e.digest = p_digest
              then 1 else 2 end,
         e.seq, unix_ms(e.at), unix_ms(e.expires_at)
  from events e
  where e.id = p_id and e.day >= (least(p_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1
$$;

-- Changes the name, the retention, or the role of p_account, with one event.
--   name, retention: owners and admins, in groups and channels.
--   role: the owner. Giving somebody the role of owner makes the giver an admin.
-- p_name, p_account: null where not asked for. p_retention: null likewise, 0 for kept, else seconds.
-- o_status: 0 stored, 1 known, 2 conflict (the id is another event's), 4 no such conversation for this actor,
-- 5 id more than 24 h from this clock and not stored, 8 forbidden, 10 not a member, 13 it is so already.
create function change_conversation(
  p_conversation uuid, p_actor uuid, p_name text, p_retention int, p_account uuid, p_role smallint,
  p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head    conversations;
  v_known   record;
  v_now     timestamptz;
  v_at      timestamptz;
  v_status  int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from known_event(p_conversation, p_actor, 7::smallint, p_id, p_digest, v_now);
  if v_known.o_status = 1 then
    return query select 1, v_known.o_seq, v_head.members_version, v_known.o_at, v_known.o_expires;
    return;
  end if;
  v_status := coalesce(v_known.o_status,
    conversation_change_refusal(v_head, p_actor, p_name, p_retention, p_account, p_role),
    case when p_id < lowest_id_at(v_now - interval '24 hours')
           or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond') then 5 end);
  if v_status is not null then
    return query select v_status, 0::bigint, 0, null::double precision, null::double precision;
    return;
  end if;

  if p_account is not null then
    update members m set role = case when m.account = p_account then p_role else 2 end
    where m.conversation = p_conversation and m.left_seq is null
      and (m.account = p_account or (p_role = 1 and m.account = p_actor));
  end if;
  if v_head.retention_seconds is null then
    v_head.expire_seconds := coalesce(nullif(p_retention, 0), case when p_retention is null then v_head.expire_seconds end);
  elsif p_retention is not null then
    v_head.retention_seconds := nullif(p_retention, 0);
  end if;
  v_at := greatest(v_now, v_head.last_activity);
  update conversations c
  set last_seq = c.last_seq + 1, members_version = c.members_version + 1, last_activity = v_at,
      name = coalesce(p_name, c.name), retention_seconds = v_head.retention_seconds, expire_seconds = v_head.expire_seconds
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_head.last_seq + 1, p_id,
          p_actor, 7, v_at, v_at + make_interval(secs => v_head.retention_seconds), false, v_head.counted, p_digest, p_body);
  return query select 0, v_head.last_seq + 1, v_head.members_version + 1, unix_ms(v_at),
    unix_ms(v_at + make_interval(secs => v_head.retention_seconds));
end $$;

-- Why a change may not or need not be made, or null. The caller holds the head.
create function conversation_change_refusal(
  p_head conversations, p_actor uuid, p_name text, p_retention int, p_account uuid, p_role smallint)
returns int language plpgsql stable as $$
declare
  v_own   smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null);
  v_other smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_account and m.left_seq is null);
begin
  if v_own is null then return 4; end if;
  if p_head.kind = 1 then return 8; end if;
  if p_account is null then
    if v_own = 3 then return 8; end if;
    if (p_name is null or p_name is not distinct from p_head.name)
       and (p_retention is null or p_retention = coalesce(p_head.retention_seconds, p_head.expire_seconds, 0)) then
      return 13;
    end if;
    return null;
  end if;
  if v_own <> 1 then return 8; end if;
  if v_other is null then return 10; end if;
  if v_other = p_role then return 13; end if;
  -- Who owns it hands it over by naming the next owner.
  if p_account = p_actor then return 8; end if;
  return null;
end $$;
