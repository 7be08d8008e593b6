-- The end of a group or channel: everybody's membership closes with one event, and what was said goes.
--
-- Why in two steps: the end is one short transaction under the head's lock, whatever the log's length; from
-- then on nobody reads it (left_seq, purged_seq). The bodies go after it in short steps, by whoever ended it
-- and, where that was cut off, by the keeper of the retention: endings says what is left to do.
-- Locks: a new table, conversations for a moment. At run time FOR NO KEY UPDATE on one head, waited for at
-- most 2 s (55P03), and one row of endings. Needs READ COMMITTED.

alter table conversations add column ended_at timestamptz;

create table endings (
  conversation uuid primary key references conversations (id),
  -- Bodies up to here are gone.
  emptied_seq  bigint not null
);

-- Ends a conversation. o_status: 0 ended, 4 no such conversation for this actor, 8 a dm,
-- 14 the actor is not its owner. o_left: whose membership ended.
create function end_conversation(p_conversation uuid, p_actor uuid, p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_seq bigint, o_version int, o_at double precision, o_left uuid[])
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head conversations;
  v_role smallint;
  v_at   timestamptz;
  v_left uuid[];
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  select m.role into v_role from members m
  where m.conversation = p_conversation and m.account = p_actor and m.left_seq is null;
  if v_role is null or v_head.kind = 1 or v_role <> 1 then
    return query select case when v_role is null then 4 when v_head.kind = 1 then 8 else 14 end,
      0::bigint, 0, null::double precision, null::uuid[];
    return;
  end if;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  with closed as (
    update members m set left_seq = v_head.last_seq + 1
    where m.conversation = p_conversation and m.left_seq is null returning m.account)
  select array_agg(account) into v_left from closed;
  update conversations c
  set last_seq = v_head.last_seq + 1, purged_seq = v_head.last_seq + 1, members_version = c.members_version + 1,
      last_activity = v_at, name = null, ended_at = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_head.last_seq + 1, p_id,
          p_actor, 2, v_at, v_at + make_interval(secs => v_head.retention_seconds), false, v_head.counted, p_digest, p_body);
  insert into endings (conversation, emptied_seq) values (p_conversation, 0);
  return query select 0, v_head.last_seq + 1, v_head.members_version + 1, unix_ms(v_at), v_left;
end $$;

-- Ends a conversation that the last member has left; nobody is told, for nobody is there.
create function end_deserted(p_conversation uuid) returns void
language plpgsql volatile set lock_timeout = '2s' as $$
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  update conversations c set purged_seq = c.last_seq, name = null, ended_at = c.last_activity
  where c.id = p_conversation and c.kind <> 1 and c.ended_at is null
    and not exists (select from members m where m.conversation = p_conversation and m.left_seq is null);
  if found then
    insert into endings (conversation, emptied_seq) values (p_conversation, 0);
  end if;
end $$;

-- Removes the bodies of the next p_places places of an ended log; true once none is left. Two who do it at
-- once take turns.
create function empty_ended(p_conversation uuid, p_places int) returns boolean
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_from bigint;
  v_last bigint := (select c.last_seq from conversations c where c.id = p_conversation);
begin
  perform 1 from conversations c where c.id = p_conversation for no key update; -- first, as everybody does
  select e.emptied_seq into v_from from endings e where e.conversation = p_conversation for update;
  if not found then return true; end if;
  update events e set body = null, reason = 1
  where e.conversation = p_conversation and e.seq > v_from and e.seq <= v_from + p_places and e.body is not null;
  delete from edits d where d.conversation = p_conversation and d.target_seq > v_from and d.target_seq <= v_from + p_places;
  delete from reactions r where r.conversation = p_conversation and r.target_seq > v_from and r.target_seq <= v_from + p_places;
  delete from hidden_messages h where h.conversation = p_conversation and h.seq > v_from and h.seq <= v_from + p_places;
  if v_from + p_places < v_last then
    update endings e set emptied_seq = v_from + p_places where e.conversation = p_conversation;
    return false;
  end if;
  delete from endings e where e.conversation = p_conversation;
  update conversations c set data_key = null where c.id = p_conversation;
  return true;
end $$;
