-- create_channel and change_channel_members: who is in a channel, and since which number.
--
-- Why apart from 0013: there each change is an entry of the log, which every member is sent. In a channel of 10,000
-- that is 10,000 frames for each who comes. So here a membership begins and ends at the next number, whatever is said
-- there; the log does not say who came and went, and nothing here depends on how many members there are.
-- Needs READ COMMITTED. Locks: FOR NO KEY UPDATE on the head, waited for at most 2 s (55P03), and then the channel's row.

-- create_conversation for a channel. A slug that is taken violates channels_slug_unique (23505).
create function create_channel(
  p_conversation uuid, p_encryption smallint, p_name text, p_creator uuid, p_others uuid[], p_retention int,
  p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea,
  p_slug text, p_public boolean, p_shared boolean, p_open_posting boolean)
returns table (o_status int, o_conversation uuid, o_seq bigint, o_version int, o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_made record;
begin
  select * into v_made from create_conversation(p_conversation, 3::smallint, p_encryption, p_name, p_creator, p_others,
    p_retention, null, p_data_key, p_id, p_digest, p_body);
  if v_made.o_status = 0 then
    insert into channels (conversation, slug, public, shared, open_posting, members)
    select p_conversation, p_slug, p_public, p_shared, p_open_posting, count(*) from members m where m.conversation = p_conversation;
    if not p_open_posting then
      update members m set can_send = false where m.conversation = p_conversation and m.role = 3;
    end if;
  end if;
  return query select v_made.o_status, v_made.o_conversation, v_made.o_seq, v_made.o_version, v_made.o_at, v_made.o_expires;
end $$;

-- p_change: 1 an owner or admin adds, 2 somebody leaves, or is removed as in 0013, 3 somebody joins a public channel.
-- When the last owner goes, the admin of longest standing becomes owner; a subscriber never does.
-- When the last member goes, o_deserted, the channel is public no more and its slug is free.
--
-- o_status: 0 done, and nothing written; 14 done, with an entry at o_seq; 1 is a member already (p_change 3);
-- 15 no channel; 4, 8, 9, 10, 11 as in 0013. o_seq: where the membership begins or ends. o_can_send: of who is now a member.
--
-- The entry: who left at the next number was told that number as the end, and their devices have it behind them. If
-- nothing was said since, who comes again must not find a message there, so their coming is written there.
create function change_channel_members(
  p_conversation uuid, p_actor uuid, p_change smallint, p_account uuid, p_limit int,
  p_id uuid, p_digest bytea, p_body bytea)
returns table (o_status int, o_seq bigint, o_version int, o_can_send boolean, o_deserted boolean,
  o_at double precision, o_expires double precision)
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
declare
  v_head    conversations;
  v_channel channels;
  v_actor   smallint;
  v_member  smallint;
  v_refused int;
  v_entry   boolean := false;
  v_send    boolean := false;
  v_seq     bigint;
  v_at      timestamptz;
  v_expires timestamptz;
begin
  perform 1 from channels h where h.conversation = p_conversation;
  if not found then
    return query select 15, 0::bigint, 0, false, false, 0::double precision, null::double precision;
    return;
  end if;
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  select * into v_channel from channels h where h.conversation = p_conversation;
  select m.role into v_actor from members m
  where m.conversation = p_conversation and m.account = p_actor and m.left_seq is null;
  select m.role into v_member from members m
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
  v_seq := v_head.last_seq + 1;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);

  v_refused := case
    when p_change = 3 and v_member is not null then 1
    when p_change = 3 and not v_channel.public then 4
    when p_change <> 3 and v_actor is null then 4
    when p_change = 1 and v_actor = 3 then 8
    when p_change = 1 and v_member is not null then 9
    when p_change = 2 and p_account <> p_actor and v_actor = 3 then 8
    when p_change = 2 and v_member is null then 10
    when p_change = 2 and p_account <> p_actor and v_actor = 2 and v_member <> 3 then 8
    when p_change <> 2 and v_channel.members >= p_limit then 11
    else 0 end;
  if v_refused <> 0 then
    return query select v_refused, v_head.last_seq, v_head.members_version, false, false, 0::double precision, null::double precision;
    return;
  end if;

  if p_change = 2 then
    update members m set left_seq = v_seq
    where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
    if v_member = 1 then perform hand_over_channel(p_conversation); end if;
    update channels h
    set members = h.members - 1, public = h.public and h.members > 1, slug = case when h.members > 1 then h.slug end
    where h.conversation = p_conversation;
  else
    v_send := v_channel.open_posting;
    v_entry := exists (select from members m
                       where m.conversation = p_conversation and m.account = p_account and m.left_seq = v_seq);
    -- An empty interval at this number holds nothing.
    delete from members m where m.conversation = p_conversation and m.account = p_account and m.joined_seq = v_seq;
    insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, can_send)
    values (p_conversation, p_account, v_seq, v_seq - 1, v_seq - 1, v_head.counted, v_at, 3, v_send);
    update channels h set members = h.members + 1 where h.conversation = p_conversation;
  end if;
  update conversations c
  set members_version = c.members_version + 1,
      last_seq = case when v_entry then v_seq else c.last_seq end,
      last_activity = case when v_entry then v_at else c.last_activity end
  where c.id = p_conversation;
  if v_entry then
    insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
    values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_actor, 2,
            v_at, v_expires, false, v_head.counted, p_digest, p_body);
  end if;
  return query select case when v_entry then 14 else 0 end, v_seq, v_head.members_version + 1, v_send,
    p_change = 2 and v_channel.members = 1, unix_ms(v_at), unix_ms(v_expires);
end $$;

-- Gives a channel without owner the admin of longest standing. The caller holds the head.
create function hand_over_channel(p_conversation uuid) returns void language sql volatile as $$
  update members set role = 1
  where (conversation, account, joined_seq) = (
      select m.conversation, m.account, m.joined_seq from members m
      where m.conversation = p_conversation and m.left_seq is null and m.role = 2
      order by m.joined_seq, m.account limit 1)
    and not exists (select from members m where m.conversation = p_conversation and m.left_seq is null and m.role = 1)
$$;
