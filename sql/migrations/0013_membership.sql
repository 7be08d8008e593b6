-- create_conversation and change_membership: who is in a conversation, and since which number.
--
-- Why functions: as with append_events the head is locked first, everything is decided by later
-- statements, and no node holds a head across a round trip. A membership begins and ends at the
-- number of its own event, so nobody sends or receives outside of it. Needs READ COMMITTED.
-- Locks: FOR NO KEY UPDATE on one head; shared key locks on accounts by the foreign keys. Each is
-- waited for at most 2 s (55P03). Plans without sequential scans: see 0012.
--
-- o_status: 0 stored, 1 known (the same call was stored before), 2 conflict (the id is another
-- event's or conversation's), 4 no such conversation for this actor, 5 id more than 24 h from this
-- clock and not stored, 8 forbidden, 9 already a member, 10 not a member, 11 too many.
-- o_at, o_expires: milliseconds since the epoch.

-- Opens a conversation with its members and its first event (seq 1, membership "created").
-- A dm exists once per p_dm_key: whoever comes second is given the first one's id, status 1.
create function create_conversation(
  p_conversation uuid, p_kind smallint, p_encryption smallint, p_name text, p_creator uuid, p_others uuid[],
  p_retention int, p_dm_key bytea, p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_conversation uuid, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_at      timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_expires timestamptz := v_at + make_interval(secs => p_retention);
  v_old     conversations;
begin
  -- Waits for a creation of the same dm that is under way.
  insert into conversations (id, kind, encryption, name, created_by, created_at, retention_seconds, dm_key, data_key,
                             last_seq, last_activity)
  values (p_conversation, p_kind, p_encryption, p_name, p_creator, v_at, p_retention, p_dm_key, p_data_key, 1, v_at)
  on conflict do nothing;
  if not found then
    select * into v_old from conversations c where c.dm_key = p_dm_key;
    if v_old.id is null then -- no dm: the same call again, or a foreign id
      select * into v_old from conversations c
      where c.id = p_conversation and c.created_by = p_creator and c.kind = p_kind and c.dm_key is not distinct from p_dm_key;
    end if;
    if v_old.id is null then
      return query select 2, p_conversation, 0::bigint, 0, 0::double precision, null::double precision;
    else
      return query select 1, v_old.id, 1::bigint, v_old.members_version, unix_ms(v_old.created_at),
        unix_ms(v_old.created_at + make_interval(secs => v_old.retention_seconds));
    end if;
    return;
  end if;
  insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role)
  select p_conversation, a.account, 1, 0, 0, 0, v_at, case when a.account = p_creator and p_kind <> 1 then 1 else 3 end
  from (select p_creator as account union select unnest(p_others)) a
  order by a.account; -- one order of the accounts' locks
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (p_retention is null, (v_at at time zone 'utc')::date, p_conversation, 1, p_id, p_creator, 2,
          v_at, v_expires, false, 0, p_digest, p_body);
  return query select 0, p_conversation, 1::bigint, 1, unix_ms(v_at), unix_ms(v_expires);
end $$;

-- Adds (p_change 1) or removes (2) accounts, all or none, with one event. Removing oneself is leaving.
--   dm: nobody changes it. group and channel: owners and admins add; an owner removes anyone, an
--   admin removes members of role 3, anyone leaves. When the last owner goes, the admin of longest
--   standing becomes owner, else the member of longest standing.
-- p_limit: the most members there may be.
create function change_membership(
  p_conversation uuid, p_actor uuid, p_change smallint, p_accounts uuid[], p_can_send boolean,
  p_id uuid, p_digest bytea, p_body bytea, p_limit int)
returns table (o_status int, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head    conversations;
  v_known   events;
  v_now     timestamptz;
  v_at      timestamptz;
  v_expires timestamptz;
  v_seq     bigint;
  v_refused int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from events e
  where e.id = p_id
    and e.day >= (least(v_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1;
  if v_known.id is not null then
    if v_known.conversation = p_conversation and v_known.sender = p_actor and v_known.kind = 2 and v_known.digest = p_digest then
      return query select 1, v_known.seq, v_head.members_version, unix_ms(v_known.at), unix_ms(v_known.expires_at);
    else
      return query select 2, 0::bigint, 0, null::double precision, null::double precision;
    end if;
    return;
  end if;

  v_refused := membership_refusal(v_head, p_actor, p_change, p_accounts, p_limit);
  if v_refused = 0 and (p_id < lowest_id_at(v_now - interval '24 hours')
                     or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond')) then
    v_refused := 5;
  end if;
  if v_refused <> 0 then
    return query select v_refused, 0::bigint, 0, null::double precision, null::double precision;
    return;
  end if;

  v_seq := v_head.last_seq + 1;
  v_at := greatest(v_now, v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);
  if p_change = 1 then
    insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, can_send)
    select p_conversation, a.account, v_seq, v_seq - 1, v_seq - 1, v_head.counted, v_at, 3, p_can_send
    from (select distinct unnest(p_accounts) as account) a
    order by a.account;
  else
    update members m set left_seq = v_seq
    where m.conversation = p_conversation and m.account = any (p_accounts) and m.left_seq is null;
    perform hand_over_ownership(p_conversation);
  end if;
  update conversations c
  set last_seq = v_seq, members_version = c.members_version + 1, last_activity = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_actor, 2,
          v_at, v_expires, false, v_head.counted, p_digest, p_body);
  return query select 0, v_seq, v_head.members_version + 1, unix_ms(v_at), unix_ms(v_expires);
end $$;

-- Why a change may not be made, or 0. The caller holds the head.
create function membership_refusal(p_head conversations, p_actor uuid, p_change smallint, p_accounts uuid[], p_limit int)
returns int language plpgsql stable as $$
declare
  v_role  smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null);
  v_asked int := (select count(distinct a) from unnest(p_accounts) a);
  v_there int := (select count(*) from members m
                  where m.conversation = p_head.id and m.account = any (p_accounts) and m.left_seq is null);
begin
  if v_role is null then return 4; end if;
  if p_head.kind = 1 or v_asked = 0 then return 8; end if;
  if p_change = 1 then
    if v_role = 3 then return 8; end if;
    if v_there > 0 then return 9; end if;
    if v_asked + (select count(*) from members m where m.conversation = p_head.id and m.left_seq is null) > p_limit then
      return 11;
    end if;
    return 0;
  end if;
  if v_asked = 1 and p_accounts[1] = p_actor then return 0; end if;
  if v_role = 3 then return 8; end if;
  if v_there < v_asked then return 10; end if;
  if v_role = 2 and exists (
    select 1 from members m where m.conversation = p_head.id and m.account = any (p_accounts)
      and m.left_seq is null and m.role <> 3 and m.account <> p_actor) then
    return 8;
  end if;
  return 0;
end $$;

-- Gives a conversation without owner a new one. The caller holds the head.
create function hand_over_ownership(p_conversation uuid) returns void language sql volatile as $$
  update members set role = 1
  where (conversation, account, joined_seq) = (
      select m.conversation, m.account, m.joined_seq from members m
      where m.conversation = p_conversation and m.left_seq is null
      order by m.role, m.joined_seq, m.account limit 1)
    and not exists (select 1 from members m where m.conversation = p_conversation and m.left_seq is null and m.role = 1)
$$;
