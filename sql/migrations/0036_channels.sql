-- Channels: what one has beside the conversation that it is.
--
-- Why a table of its own: the head of a log is rewritten by every send and stays small, and dms and groups have none of it.
-- Locks: a new table; conversations and members for a moment (triggers, and a check that is relaxed: no row is read or written).

create table channels (
  conversation uuid primary key references conversations (id),
  -- Its name in addresses; null: it has none. Collated by bytes, so that its index finds beginnings and gives an order.
  slug         text collate "C" constraint channels_slug_unique unique check (slug ~ '^[a-z0-9-]{3,50}$'),
  -- Anybody may find, read and join it. Its text is readable by the server then, and by who comes late.
  public       boolean not null,
  -- Who comes late reads what was before them.
  shared       boolean not null,
  -- Every member posts, and not owners and admins alone.
  open_posting boolean not null,
  -- Present members; changed under the head's lock, because counting 10,000 at every look would be too much.
  members      int not null,
  check (not public or (shared and slug is not null))
);

-- members.can_send is what an append is judged by (0012), so it follows the role.
create function follow_role() returns trigger language plpgsql as $$
declare
  v_open boolean;
begin
  select h.open_posting into v_open from channels h where h.conversation = new.conversation;
  if found then new.can_send := v_open or new.role <> 3; end if;
  return new;
end $$;
create trigger members_role before update of role on members
  for each row when (old.role is distinct from new.role) execute function follow_role();

-- Who ends a conversation (0035) need not know of channels.
create function end_channel() returns trigger language plpgsql as $$
begin
  update channels h set public = false, slug = null, members = 0 where h.conversation = new.id;
  return null;
end $$;
create trigger conversations_ended after update of ended_at on conversations
  for each row when (old.ended_at is null and new.ended_at is not null) execute function end_channel();

-- Whether somebody is given a channel's log from the beginning; null for p_account: nobody in particular.
create function is_shared_with(p_conversation uuid, p_account uuid) returns boolean language sql stable as $$
  select coalesce((
    select h.shared and (h.public or exists (
      select from members m where m.conversation = p_conversation and m.account = p_account and m.left_seq is null))
    from channels h where h.conversation = p_conversation), false)
$$;

-- As in 0031; a channel that is shared is seen from its beginning.
create or replace function seen_seqs(p_conversation uuid, p_account uuid) returns int8multirange language sql stable as $$
  select case when is_shared_with(p_conversation, p_account) then int8multirange(int8range(1, null))
              else (select range_agg(int8range(m.joined_seq, m.left_seq)) from members m
                    where m.conversation = p_conversation and m.account = p_account) end
$$;

-- Who joins a channel and leaves it before anything was said has seen nothing: an empty interval (0037).
alter table members drop constraint members_check;
alter table members add constraint members_check check (left_seq >= joined_seq) not valid;
