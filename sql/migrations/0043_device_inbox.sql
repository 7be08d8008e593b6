-- The inbox of each device: what is for it alone and for nobody else's eyes, kept until it says that it has it.
--
-- Why rows outlive their body: whoever retries within the time for which an id is accepted is told what was said
-- before, though the device has acknowledged it meanwhile; and what one sender may put in is counted alike for a
-- device that is here, for one that is away and for one whose owner blocks the sender.
-- Why a block is judged under a lock of the pair, which setting a block takes too: each entry is on one side of it.
-- Why a withheld entry has zeros for a body: nothing that was said is kept, and as much is written as otherwise,
-- so that the time an answer takes does not tell. Hence no compression, which finds nothing in ciphertext anyway.
-- Locks: two new tables. At run time: an advisory lock for the pair, then FOR NO KEY UPDATE on heads in the order of
-- devices, each waited for at most 2 s (55P03). Needs READ COMMITTED.

create table device_inboxes (
  device   uuid primary key references devices on delete cascade,
  last_seq bigint not null default 0
);

create table device_inbox (
  account        uuid not null references accounts on delete cascade,
  device         uuid not null,
  sender         uuid not null references accounts on delete cascade,
  -- Made by the sender, as the id of a message is.
  id             uuid not null,
  sender_session uuid not null,
  -- 1 key_exchange.
  kind           smallint not null,
  -- The place in the device's inbox; null: withheld, and never given.
  seq            bigint,
  digest         bytea not null,
  -- Bytes of the body, which is null once the device has acknowledged it.
  size           integer not null,
  body           bytea,
  at             timestamptz not null,
  expires_at     timestamptz not null,
  primary key (account, device, sender, id)
);
alter table device_inbox alter column body set storage external;
create unique index device_inbox_held on device_inbox (device, seq) where body is not null;
create index device_inbox_sender on device_inbox (sender);
create index device_inbox_expiry on device_inbox (expires_at);

-- Puts one entry into the inboxes of the devices where an account is signed in, or of one session's device, but
-- never of the sender's own. A device that has an entry of this sender and id gets no other.
-- The answer: 0 every one of them has it, 1 there is no such device, 2 one of them has another entry of this id,
-- 3 some have no room, and the others have it, 4 the id is too far from now, and nothing was stored.
-- p_most, p_most_bytes: entries and bytes that a device holds; p_most_of_one, p_most_bytes_of_one: those of one
-- sender, what the device has acknowledged lately among them. Seconds: p_window either way of now for an id, p_keep
-- for an entry. A missing sender violates a foreign key (23503).
create function put_in_inboxes(
  p_sender uuid, p_sender_device uuid, p_sender_session uuid, p_account uuid, p_session uuid,
  p_kind smallint, p_id uuid, p_digest bytea, p_body bytea,
  p_most int, p_most_bytes int, p_most_of_one int, p_most_bytes_of_one int, p_window int, p_keep int)
returns int
language plpgsql volatile set lock_timeout = '2s' as $$
declare
  v_devices  uuid[];
  v_missing  uuid[];
  v_room     uuid[];
  v_size     int := octet_length(p_body);
  v_withheld boolean;
  v_at       timestamptz;
begin
  perform lock_pair(p_sender, p_account);
  select array_agg(s.device order by s.device) into v_devices from sessions s
  where s.account = p_account and s.ended_at is null and s.expires_at > clock_timestamp()
    and s.device <> p_sender_device and (p_session is null or s.id = p_session);
  if v_devices is null then return 1; end if;
  insert into device_inboxes (device) select d from unnest(v_devices) d order by d on conflict do nothing;
  perform 1 from device_inboxes h where h.device = any (v_devices) order by h.device for no key update;
  -- From here on every statement sees what was committed under the locks.
  if exists (
    select from device_inbox x
    where x.account = p_account and x.device = any (v_devices) and x.sender = p_sender and x.id = p_id
      and (x.kind, x.digest) is distinct from (p_kind, p_digest)
  ) then
    return 2;
  end if;
  select array_agg(d) into v_missing from unnest(v_devices) d
  where not exists (
    select from device_inbox x where x.account = p_account and x.device = d and x.sender = p_sender and x.id = p_id);
  if v_missing is null then return 0; end if;
  v_at := date_trunc('milliseconds', clock_timestamp());
  if abs(extract(epoch from v_at - time_of_id(p_id))) > p_window then return 4; end if;
  select array_agg(d) into v_room from unnest(v_missing) d
  where (
    select count(*) < p_most and coalesce(sum(x.size), 0) + v_size <= p_most_bytes
    from device_inbox x where x.device = d and x.seq is not null and x.body is not null
  ) and (
    select count(*) < p_most_of_one and coalesce(sum(x.size), 0) + v_size <= p_most_bytes_of_one
    from device_inbox x where x.account = p_account and x.device = d and x.sender = p_sender
  );
  if v_room is null then return 3; end if;
  v_withheld := exists (select from account_blocks b where b.blocker = p_account and b.blocked = p_sender);
  update device_inboxes h set last_seq = h.last_seq + (not v_withheld)::int where h.device = any (v_room);
  insert into device_inbox
    (account, device, sender, id, sender_session, kind, seq, digest, size, body, at, expires_at)
  select p_account, h.device, p_sender, p_id, p_sender_session, p_kind, case when not v_withheld then h.last_seq end,
         p_digest, v_size, case when v_withheld then decode(repeat('00', v_size), 'hex') else p_body end,
         v_at, v_at + make_interval(secs => p_keep)
  from device_inboxes h where h.device = any (v_room);
  return case when cardinality(v_room) < cardinality(v_missing) then 3 else 0 end;
end $$;

-- What is held for each of some devices beyond a seq, in rising order. Of a device at most p_window entries are
-- given that it has not acknowledged, counting those up to the seq. Index: device_inbox_held.
create function read_inboxes(p_devices uuid[], p_after bigint[], p_window int)
returns table (o_place int, o_seq bigint, o_kind smallint, o_id uuid, o_sender uuid, o_session uuid, o_body bytea, o_at timestamptz)
language sql stable as $$
  select d.place::int, e.seq, e.kind, e.id, e.sender, e.sender_session, e.body, e.at
  from unnest(p_devices, p_after) with ordinality d (device, after, place)
  cross join lateral (
    select x.seq, x.kind, x.id, x.sender, x.sender_session, x.body, x.at from device_inbox x
    where x.device = d.device and x.seq > d.after and x.body is not null and x.expires_at > now()
    order by x.seq
    limit p_window - (
      select count(*) from (
        select from device_inbox y
        where y.device = d.device and y.seq <= d.after and y.body is not null and y.expires_at > now()
        limit p_window) w)
  ) e
  order by d.place, e.seq
$$;
