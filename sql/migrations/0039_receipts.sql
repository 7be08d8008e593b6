-- Whether somebody gives and gets read marks, what they chose to be seen as, and how far somebody who blocks
-- another seemed to be when the block began.
--
-- Why chosen_status: profiles.status said `offline` of whoever never said anything too, so nobody could be
-- seen as online without saying so first. Null is now who leaves it to their sockets; what was `offline`
-- becomes that. `status` is no longer read, and can go once no older version runs: those still write it.
-- Why the cursors on withheld: status of messages is derived from cursors, and those of who blocks go on
-- moving. For the blocked they stand still, as they would for somebody who is away.
-- Locks: profiles is rewritten row by row where something was chosen; the new columns need no rewrite.

alter table profiles
  add column read_receipts boolean not null default true,
  add column chosen_status text check (chosen_status in ('online', 'away', 'offline', 'dnd')),
  alter column status set default 'offline',
  alter column last_seen_to set default 'contacts',
  alter column findable set default true;
update profiles set chosen_status = status where status <> 'offline';

-- How far the reader seemed to be; null: up to where the block begins.
alter table withheld add column shown_delivered bigint, add column shown_read bigint;

-- As in 0024, and keeps how far the blocker is.
create or replace function block_account(p_blocker uuid, p_blocked uuid, p_at timestamptz, p_most int)
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
    insert into withheld (conversation, reader, sender, from_seq, shown_delivered, shown_read)
    select v_id, p_blocker, p_blocked, v_seq + 1, m.delivered_seq, m.read_seq
    from members m where m.conversation = v_id and m.account = p_blocker and m.left_seq is null;
    return query select 0, v_id, v_seq;
  end loop;
end $$;
