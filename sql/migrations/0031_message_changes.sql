-- Edits, deletions and reactions: entries of the log that change what a message is.
--
-- An edit leaves the message's own row as it is: which version somebody is shown depends on which edits
-- they may see. Which entries are a message's edits stands in edits; what reactions it has, in reactions.
-- Events of kind 4 are edits, 5 deletions, 6 reactions. None of them counts as unread.
-- Locks: new tables only. At run time see change_message.

create table edits (
  conversation uuid not null references conversations (id),
  -- The message, and the entry that edits it.
  target_seq   bigint not null,
  seq          bigint not null,
  -- Where that entry lies: its partition.
  day          date not null,
  kept         boolean not null,
  primary key (conversation, target_seq, seq)
);

create table reactions (
  conversation uuid not null references conversations (id),
  target_seq   bigint not null,
  account      uuid not null references accounts (id) on delete cascade,
  emoji        text not null,
  -- False: it was taken back. The row stays, so that its entry is found when it is superseded.
  present      boolean not null,
  -- The entry that says so; of one person, message and emoji the body of no other entry is kept.
  seq          bigint not null,
  day          date not null,
  kept         boolean not null,
  -- The message's own end.
  expires_at   timestamptz,
  primary key (conversation, target_seq, account, emoji)
) with (fillfactor = 80);
create index reactions_account on reactions (account, conversation);
create index reactions_expiry on reactions (expires_at) where expires_at is not null;

-- What somebody may see of a log by membership alone.
create function seen_seqs(p_conversation uuid, p_account uuid) returns int8multirange language sql stable as $$
  select range_agg(int8range(m.joined_seq, m.left_seq)) from members m
  where m.conversation = p_conversation and m.account = p_account
$$;

-- The newest edit of a message among those that lie in p_seen and not in p_withheld, if there is one. Planned
-- as a part of the statement that asks, if what it is given are columns. Index: edits' key.
create function newest_edit(p_conversation uuid, p_target bigint, p_seen int8multirange, p_withheld int8multirange)
returns table (seq bigint, day date, kept boolean) language sql stable rows 1 as $$
  select d.seq, d.day, d.kept from edits d
  where d.conversation = p_conversation and d.target_seq = p_target
    and p_seen @> d.seq and (p_withheld @> d.seq) is not true
  order by d.seq desc limit 1
$$;

-- What an edit says; its body may be gone. A function of its own so that who asks for a page, where hardly any message is edited,
-- does not plan a second search through all partitions. Nothing for null. Index: events (conversation, seq).
create function edit_at(p_kept boolean, p_day date, p_conversation uuid, p_seq bigint)
returns table (id uuid, at timestamptz, body bytea)
language plpgsql stable strict rows 1 set enable_seqscan = off as $$
begin
  return query select e.id, e.at, e.body from events e
  where e.kept = p_kept and e.day = p_day and e.conversation = p_conversation and e.seq = p_seq;
end $$;

-- Edits (p_kind 4), deletes (5) or reacts to (6) a message, with one event; p_target and p_day are its place. A reaction says p_emoji and
-- whether it is to be there.
--
-- Why a function: as with append_events the head is locked first, everything is decided by later
-- statements, and no node holds a head across a round trip. Needs READ COMMITTED.
-- Locks: FOR NO KEY UPDATE on one head, waited for at most 2 s (55P03). Plans without sequential scans: see 0012.
--
-- o_status: 0 stored, 1 known (the same call was stored before), 2 conflict (the id is another event's),
-- 4 no such message for this actor, 5 id more than 24 h from this clock and not stored, 8 forbidden,
-- 12 the message is gone, 13 nothing to change (o_seq: what says so, or the message), 14 too many reactions.
create function change_message(
  p_conversation uuid, p_actor uuid, p_target bigint, p_day date, p_kind smallint, p_emoji text, p_present boolean,
  p_most int, p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head    conversations;
  v_known   events;
  v_target  events;
  v_old     reactions;
  v_now     timestamptz;
  v_at      timestamptz;
  v_day     date;
  v_kept    boolean;
  v_expires timestamptz;
  v_seq     bigint;
  v_refused int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_kept := v_head.retention_seconds is null;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from events e
  where e.id = p_id
    and e.day >= (least(v_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1;
  if v_known.id is not null then
    if v_known.conversation = p_conversation and v_known.sender = p_actor and v_known.kind = p_kind and v_known.digest = p_digest then
      return query select 1, v_known.seq, v_head.members_version, unix_ms(v_known.at), unix_ms(v_known.expires_at);
    else
      return query select 2, 0::bigint, 0, null::double precision, null::double precision;
    end if;
    return;
  end if;

  select * into v_target from events e
  where e.day = p_day and e.conversation = p_conversation and e.seq = p_target;
  v_refused := change_refusal(v_head, v_target, p_actor, p_kind, v_now);
  if v_refused = 0 and p_kind = 6 then
    select * into v_old from reactions r
    where r.conversation = p_conversation and r.target_seq = p_target and r.account = p_actor and r.emoji = p_emoji;
    if coalesce(v_old.present, false) = p_present then
      v_refused := 13;
    elsif v_old.seq is null and p_most <= (
        select count(*) from reactions r
        where r.conversation = p_conversation and r.target_seq = p_target and r.account = p_actor) then
      v_refused := 14;
    end if;
  end if;
  if v_refused = 0 and (p_id < lowest_id_at(v_now - interval '24 hours')
                     or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond')) then
    v_refused := 5;
  end if;
  if v_refused <> 0 then
    return query select v_refused, coalesce(v_old.seq, p_target), v_head.members_version,
      unix_ms(v_target.at), unix_ms(v_target.expires_at);
    return;
  end if;

  v_seq := v_head.last_seq + 1;
  v_at := greatest(v_now, v_head.last_activity);
  v_day := (v_at at time zone 'utc')::date;
  -- What changes a message ends with it; that it was deleted is known as long as anything else of that time.
  v_expires := case when p_kind = 5 then v_at + make_interval(secs => v_head.retention_seconds) else v_target.expires_at end;
  update conversations c set last_seq = v_seq, last_activity = v_at where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_kept, v_day, p_conversation, v_seq, p_id, p_actor, p_kind, v_at, v_expires, false, v_head.counted, p_digest, p_body);
  if p_kind = 4 then
    insert into edits (conversation, target_seq, seq, day, kept) values (p_conversation, p_target, v_seq, v_day, v_kept);
  elsif p_kind = 5 then
    -- Its tree is its own: the retention may have changed since it was stored.
    perform erase_message(p_conversation, p_target, p_day, v_target.kept);
  else
    insert into reactions (conversation, target_seq, account, emoji, present, seq, day, kept, expires_at)
    values (p_conversation, p_target, p_actor, p_emoji, p_present, v_seq, v_day, v_kept, v_target.expires_at)
    on conflict (conversation, target_seq, account, emoji)
      do update set present = excluded.present, seq = excluded.seq, day = excluded.day, kept = excluded.kept;
    update events e set body = null, reason = 1
    where e.kept = v_old.kept and e.day = v_old.day and e.conversation = p_conversation and e.seq = v_old.seq and e.body is not null;
  end if;
  return query select 0, v_seq, v_head.members_version, unix_ms(v_at), unix_ms(v_expires);
end $$;

-- Why somebody may not change a message, or 0. The caller holds the head.
create function change_refusal(p_head conversations, p_target events, p_actor uuid, p_kind smallint, p_now timestamptz)
returns int language plpgsql stable as $$
declare
  v_member members;
begin
  select * into v_member from members m
  where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null;
  if v_member.account is null or p_target.kind is distinct from 1
     or (seen_seqs(p_head.id, p_actor) @> p_target.seq) is not true
     or (p_target.sender <> p_actor and withheld_seqs(p_head.id, p_actor) @> p_target.seq) then
    return 4;
  end if;
  if p_kind = 5 then
    if p_target.sender <> p_actor and (p_head.kind = 1 or v_member.role = 3) then return 8; end if;
    if p_target.body is null or p_target.expires_at <= p_now then return 13; end if;
    return 0;
  end if;
  if not v_member.can_send or (p_kind = 4 and p_target.sender <> p_actor) then return 8; end if;
  if p_target.body is null or p_target.expires_at <= p_now then return 12; end if;
  return 0;
end $$;

-- Removes what a message says, in every version, and what reactions it has. The caller holds the head.
create function erase_message(p_conversation uuid, p_target bigint, p_day date, p_kept boolean) returns void
language plpgsql volatile set enable_seqscan = off as $$
begin
  update events e set body = null, reason = 1
  where e.kept = p_kept and e.day = p_day and e.conversation = p_conversation and e.seq = p_target and e.body is not null;
  with gone as (
    delete from edits d where d.conversation = p_conversation and d.target_seq = p_target returning d.kept, d.day, d.seq)
  update events e set body = null, reason = 1 from gone g
  where e.kept = g.kept and e.day = g.day and e.conversation = p_conversation and e.seq = g.seq and e.body is not null;
  with gone as (
    delete from reactions r where r.conversation = p_conversation and r.target_seq = p_target returning r.kept, r.day, r.seq)
  update events e set body = null, reason = 1 from gone g
  where e.kept = g.kept and e.day = g.day and e.conversation = p_conversation and e.seq = g.seq and e.body is not null;
end $$;

-- Removes at most p_limit reactions to messages that expired; gives how many.
create function expire_reactions(p_now timestamptz, p_limit int) returns int
language plpgsql volatile set lock_timeout = '1s' set enable_seqscan = off as $$
declare
  v_done int;
begin
  -- By reactions_expiry. Rows that are locked are left for the next run.
  with due as (
    select r.ctid from reactions r where r.expires_at <= p_now order by r.expires_at limit p_limit for update skip locked)
  delete from reactions r where r.ctid = any (array(select ctid from due));
  get diagnostics v_done = row_count;
  return v_done;
end $$;

-- As in 0014; what belongs to entries that are gone goes too.
create or replace function raise_purged(p_partition regclass, p_after uuid, p_limit int) returns uuid
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_ids  uuid[];
  v_tops bigint[];
begin
  execute format(
    'select array_agg(s.conversation order by s.conversation), array_agg(s.top order by s.conversation)
     from (select conversation, max(seq) as top from %s where conversation > $1
           group by conversation order by conversation limit $2) s', p_partition)
    into v_ids, v_tops using p_after, p_limit;
  if v_ids is null then return null; end if;
  perform 1 from conversations c where c.id = any (v_ids) order by c.id for no key update;
  update conversations c set purged_seq = s.top
  from unnest(v_ids, v_tops) s (id, top) where c.id = s.id and c.purged_seq < s.top;
  delete from confirmations f using unnest(v_ids, v_tops) s (id, top)
  where f.conversation = s.id and f.seq <= s.top;
  delete from edits d using unnest(v_ids, v_tops) s (id, top)
  where d.conversation = s.id and d.target_seq <= s.top;
  delete from reactions r using unnest(v_ids, v_tops) s (id, top)
  where r.conversation = s.id and r.target_seq <= s.top;
  delete from hidden_messages h using unnest(v_ids, v_tops) s (id, top)
  where h.conversation = s.id and h.seq <= s.top;
  return v_ids[cardinality(v_ids)];
end $$;
