-- What a blocked person says in a dm is nobody's but the sender's own: the other is never given it.
--
-- Why as intervals of seq: a block and its end lock the dm's head, as every append does, so each
-- message is on one side of them, whatever nodes believe; and sending takes exactly the same steps, and
-- so the same time, whether the sender is blocked or not. members_version rises with each, so a node
-- that delivers by an older head is told by its next append and looks again.
-- Locks: a new table. At run time: FOR NO KEY UPDATE on the dms of the pair, in id order, and one
-- advisory lock for the pair, which the creation of a dm takes too. Each is waited for at most 2 s (55P03).
-- Needs READ COMMITTED.

create table withheld (
  conversation uuid not null references conversations (id),
  -- Who is not given the messages, and whose they are.
  reader       uuid not null,
  sender       uuid not null,
  -- The messages from here to there, both included; to_seq is null while the block lasts.
  -- From 1: the sender began the dm, and it is not listed for the reader while the block lasts.
  from_seq     bigint not null,
  to_seq       bigint,
  primary key (conversation, reader, from_seq),
  check (to_seq >= from_seq)
);
create index withheld_reader on withheld (reader);
create index withheld_sender on withheld (sender);

-- What a reader is not given of a conversation; null where nothing is withheld.
create function withheld_seqs(p_conversation uuid, p_reader uuid) returns int8multirange language sql stable as $$
  select range_agg(int8range(w.from_seq, w.to_seq, '[]')) from withheld w
  where w.conversation = p_conversation and w.reader = p_reader
$$;

create function lock_pair(p_one uuid, p_other uuid) returns void language sql volatile as $$
  select pg_advisory_xact_lock(hashtextextended('pair ' || least(p_one, p_other) || ' ' || greatest(p_one, p_other), 0))
$$;

-- The dms that two people have with each other.
create function dms_of_pair(p_one uuid, p_other uuid) returns setof uuid language sql stable as $$
  select c.id from members a
  join members b on b.conversation = a.conversation and b.account = p_other and b.left_seq is null
  join conversations c on c.id = a.conversation and c.kind = 1
  where a.account = p_one and a.left_seq is null
  order by c.id
$$;

-- Blocks somebody; gives the dms that it changed. o_status: 0 done (also where it was so before),
-- 1 more than p_most are blocked. A missing account violates a foreign key (23503).
create function block_account(p_blocker uuid, p_blocked uuid, p_at timestamptz, p_most int)
returns table (o_status int, o_conversation uuid, o_seq bigint)
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_id  uuid;
  v_seq bigint;
begin
  perform lock_pair(p_blocker, p_blocked);
  if (select count(*) from account_blocks b where b.blocker = p_blocker and b.blocked <> p_blocked) >= p_most then
    return query select 1, null::uuid, null::bigint;
    return;
  end if;
  insert into account_blocks (blocker, blocked, created_at) values (p_blocker, p_blocked, p_at) on conflict do nothing;
  if not found then return; end if;
  for v_id in select d from dms_of_pair(p_blocker, p_blocked) d loop
    update conversations c set members_version = c.members_version + 1 where c.id = v_id returning c.last_seq into v_seq;
    insert into withheld (conversation, reader, sender, from_seq) values (v_id, p_blocker, p_blocked, v_seq + 1);
    return query select 0, v_id, v_seq;
  end loop;
end $$;

-- Ends a block; gives the dms that it changed. What was withheld stays withheld.
create function unblock_account(p_blocker uuid, p_blocked uuid)
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
    return query select v_id, v_seq;
  end loop;
end $$;

-- create_conversation for a dm, where one may have blocked the other. o_status as there, and 12: the
-- creator blocks the other, and there is no such dm yet.
create function create_dm(
  p_conversation uuid, p_encryption smallint, p_creator uuid, p_other uuid,
  p_retention int, p_dm_key bytea, p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_conversation uuid, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' as $$
begin
  perform lock_pair(p_creator, p_other);
  if exists (select from account_blocks b where b.blocker = p_creator and b.blocked = p_other)
     and not exists (select from conversations c where c.dm_key = p_dm_key) then
    return query select 12, p_conversation, 0::bigint, 0, 0::double precision, null::double precision;
    return;
  end if;
  return query select * from create_conversation(p_conversation, 1::smallint, p_encryption, null, p_creator,
    array[p_other], p_retention, p_dm_key, p_data_key, p_id, p_digest, p_body);
  insert into withheld (conversation, reader, sender, from_seq)
  select p_conversation, b.blocker, b.blocked, 1 from account_blocks b
  where b.blocker = p_other and b.blocked = p_creator
    and exists (select from conversations c where c.id = p_conversation)
  on conflict do nothing;
end $$;
