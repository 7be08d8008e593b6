-- Deleted for me: messages that one account does not want to see any more, whoever else does.
--
-- Why numbers of their own: a device that was away asks for what was hidden after the number it knows. The
-- row of hidden_heads is locked until the commit, so numbers become visible in their order, and it
-- outlives the rows it counted, so no number is given twice.
-- Locks: new tables, and a short lock on accounts for the foreign keys.

create table hidden_heads (
  account uuid primary key references accounts (id) on delete cascade,
  last    bigint not null
);

create table hidden_messages (
  account      uuid not null references accounts (id) on delete cascade,
  conversation uuid not null references conversations (id),
  -- The message's place and id.
  seq          bigint not null,
  message      uuid not null,
  -- Rises from one hidden message of an account to the next.
  number       bigint not null,
  primary key (account, conversation, seq)
);
create unique index hidden_messages_number on hidden_messages (account, number);
create index hidden_messages_place on hidden_messages (conversation, seq);

-- Hides a message for an account; gives its number, also where it was hidden before, and whether it was.
create function hide_message(p_account uuid, p_conversation uuid, p_seq bigint, p_message uuid)
returns table (o_number bigint, o_known boolean)
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_number bigint;
begin
  insert into hidden_heads (account, last) values (p_account, 0)
  on conflict (account) do update set last = hidden_heads.last;
  -- From here on every statement sees what was committed under that lock.
  select h.number into v_number from hidden_messages h
  where h.account = p_account and h.conversation = p_conversation and h.seq = p_seq;
  if found then
    return query select v_number, true;
    return;
  end if;
  update hidden_heads h set last = h.last + 1 where h.account = p_account returning h.last into v_number;
  insert into hidden_messages (account, conversation, seq, message, number)
  values (p_account, p_conversation, p_seq, p_message, v_number);
  return query select v_number, false;
end $$;
