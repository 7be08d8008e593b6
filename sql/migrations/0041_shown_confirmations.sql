-- Which messages somebody who blocks another had confirmed one by one when the block began.
--
-- Why: 0039 keeps the cursors, and a dm of the relay has confirmations beyond them. Those that the blocker makes
-- during the block must not show, and those from before must stay, though the cursor may pass them meanwhile.
-- Of a block that lasts already what is confirmed by now has been shown, and stays.
-- Locks: withheld for a moment; the new column needs no rewrite.

alter table withheld add column shown_confirmed bigint[];
update withheld w
set shown_confirmed = (select array_agg(f.seq) from confirmations f where f.conversation = w.conversation and f.account = w.reader)
where w.to_seq is null;

-- As in 0039, and keeps what the blocker has confirmed.
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
    insert into withheld (conversation, reader, sender, from_seq, shown_delivered, shown_read, shown_confirmed)
    select v_id, p_blocker, p_blocked, v_seq + 1, m.delivered_seq, m.read_seq,
           (select array_agg(f.seq) from confirmations f where f.conversation = v_id and f.account = p_blocker)
    from members m where m.conversation = v_id and m.account = p_blocker and m.left_seq is null;
    return query select 0, v_id, v_seq;
  end loop;
end $$;
