-- Leaving for good: which accounts are being removed, and the names that are not given away at once.
--
-- Why conversations lose a foreign key: who began a conversation may be gone while the others go on.
-- New tables; conversations is locked for a moment, and no row of it is read or written.
-- Locks at run time: FOR NO KEY UPDATE on one head at a time, waited for at most 2 s (55P03).
-- Needs READ COMMITTED.

-- The row goes with the account's row, which goes last: so what a killed server left behind is found again.
create table departures (
  account  uuid primary key references accounts on delete cascade,
  asked_at timestamptz not null
);

-- So that nobody is taken for somebody who has just left.
create table retired_names (
  -- A keyed hash of the folded user name: the name itself is gone.
  name_hash bytea primary key,
  free_at   timestamptz not null
);
create index retired_names_free on retired_names (free_at);

alter table conversations drop constraint conversations_created_by_fkey;
alter table conversations alter column created_by drop not null;

-- Ends somebody's membership for good, in a dm too, with an event. o_status: 0 stored, 10 no member.
create function depart_conversation(p_conversation uuid, p_account uuid, p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head    conversations;
  v_at      timestamptz;
  v_expires timestamptz;
  v_seq     bigint;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_seq := v_head.last_seq + 1;
  update members m set left_seq = v_seq
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
  if not found then
    return query select 10, 0::bigint, 0, 0::double precision, null::double precision;
    return;
  end if;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);
  if v_head.kind <> 1 then perform hand_over_ownership(p_conversation); end if;
  update conversations c
  set last_seq = v_seq, members_version = c.members_version + 1, last_activity = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_account, 2,
          v_at, v_expires, false, v_head.counted, p_digest, p_body);
  return query select 0, v_seq, v_head.members_version + 1, unix_ms(v_at), unix_ms(v_expires);
end $$;

-- Removes what is left of somebody in a conversation that they have left, but their places in the log. Of one
-- that nobody is left in only a number stays: who left it before still has cursors that name it.
create function forget_member(p_conversation uuid, p_account uuid) returns void
language plpgsql volatile set lock_timeout = '2s' as $$
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  delete from withheld w where w.conversation = p_conversation and (w.reader = p_account or w.sender = p_account);
  delete from confirmations f where f.conversation = p_conversation and f.account = p_account;
  delete from device_cursors d where d.conversation = p_conversation and d.account = p_account;
  -- dm_key is made from the two ids; nobody can ask for a dm with somebody who is gone.
  update conversations c set created_by = nullif(c.created_by, p_account), dm_key = null where c.id = p_conversation;
  if not exists (select from members m where m.conversation = p_conversation and m.left_seq is null) then
    update conversations c set name = null, data_key = null, created_by = null, purged_seq = c.last_seq
    where c.id = p_conversation;
  end if;
  delete from members m where m.conversation = p_conversation and m.account = p_account;
end $$;
