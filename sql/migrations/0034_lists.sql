-- What a person's list of conversations shows beside the conversations: what is unread, their own settings,
-- and since when each entry of the list is as it is.
--
-- Why changed_at: a device that comes back asks for what changed since it last asked. A change of the log
-- raises conversations.last_activity, any other one members.changed_at; no index covers either, so that
-- updates stay HOT. An account's rows are found by members_account, whatever changed.
-- Locks: members for a moment; the rows of people who have read something are written once, in place.
-- A node of the version before leaves counted_read as it is; the next mark puts it right.

alter table members
  add column muted_until timestamptz,
  add column archived    boolean not null default false,
  add column pinned      boolean not null default false,
  -- The last change of this row that its owner's list shows.
  add column changed_at  timestamptz not null default '-infinity';
alter table members alter column changed_at set default clock_timestamp();

create function note_changed_member() returns trigger language plpgsql as $$
begin
  new.changed_at := clock_timestamp();
  return new;
end $$;
-- A trigger, because several functions end memberships.
create trigger members_left before update of left_seq on members
  for each row when (old.left_seq is distinct from new.left_seq) execute function note_changed_member();

-- Events that count as unread, up to and including a seq, whether or not its own row is still there.
-- Index: events (conversation, seq).
create function counted_at(p_conversation uuid, p_seq bigint) returns bigint
language sql stable set enable_seqscan = off as $$
  select coalesce(
    (select e.counted - (e.counts and e.seq > p_seq)::int from events e
     where e.conversation = p_conversation and e.seq >= p_seq order by e.seq limit 1),
    (select c.counted from conversations c where c.id = p_conversation))
$$;

update members m set counted_read = counted_at(m.conversation, m.read_seq)
where m.left_seq is null and m.read_seq > 0
  and exists (select 1 from conversations c where c.id = m.conversation and c.counted > m.counted_read);

-- A moment before which no change is still being made: a list that shows what changed from here on repeats
-- some of it and misses nothing, however late a transaction commits. Ask it before the list, in a statement
-- of its own. Ten seconds more, for a clock that is set back. Transactions of other roles are not seen.
create function settled_at() returns timestamptz language sql volatile as $$
  select least(clock_timestamp(), min(a.xact_start)) - interval '10 seconds'
  from pg_stat_activity a where a.datname = current_database() and a.backend_xid is not null
$$;

-- Takes a dm out of a person's list, with all that is in it now: as if they had only joined after it. The
-- other sees nothing of it, so read_seq, delivered_seq and joined_at stay.
-- o_status: 0 done (also where it was so before), 4 no such conversation for this person, 8 no dm.
create function clear_dm(p_conversation uuid, p_account uuid) returns int
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_head conversations;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  select * into v_head from conversations c where c.id = p_conversation;
  if not exists (select from members m
                 where m.conversation = p_conversation and m.account = p_account and m.left_seq is null) then
    return 4;
  end if;
  if v_head.kind <> 1 then return 8; end if;
  update members m
  set joined_seq = v_head.last_seq + 1, counted_read = v_head.counted, archived = false, changed_at = clock_timestamp()
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null and m.joined_seq <= v_head.last_seq;
  return 0;
end $$;

-- As 0024, and the list of who unblocks shows what it had left out.
create or replace function unblock_account(p_blocker uuid, p_blocked uuid)
returns table (o_conversation uuid, o_seq bigint)
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_id  uuid;
  v_seq bigint;
begin
  perform lock_pair(p_blocker, p_blocked);
  delete from account_blocks b where b.blocker = p_blocker and b.blocked = p_blocked;
  for v_id in select w.conversation from withheld w
              where w.reader = p_blocker and w.sender = p_blocked and w.to_seq is null order by w.conversation loop
    update conversations c set members_version = c.members_version + 1 where c.id = v_id returning c.last_seq into v_seq;
    delete from withheld w
    where w.conversation = v_id and w.reader = p_blocker and w.to_seq is null and w.from_seq > v_seq;
    update withheld w set to_seq = v_seq where w.conversation = v_id and w.reader = p_blocker and w.to_seq is null;
    update members m set changed_at = clock_timestamp()
    where m.conversation = v_id and m.account = p_blocker and m.left_seq is null;
    return query select v_id, v_seq;
  end loop;
end $$;

-- As 0025. What a block withheld does not come up as unread, nor a dm that it hid, when the blocked goes.
create or replace function forget_member(p_conversation uuid, p_account uuid) returns void
language plpgsql volatile set lock_timeout = '2s' as $$
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  update members m
  set counted_read = c.counted, changed_at = clock_timestamp(),
      joined_seq = case when w.hidden then c.last_seq + 1 else m.joined_seq end
  from conversations c,
       (select x.reader, bool_or(x.from_seq = 1 and x.to_seq is null) as hidden from withheld x
        where x.conversation = p_conversation and x.sender = p_account group by x.reader) w
  where c.id = p_conversation and m.conversation = c.id and m.account = w.reader and m.left_seq is null;
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
