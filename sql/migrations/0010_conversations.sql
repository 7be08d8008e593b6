-- Conversations: the head of every log, who is in it, and how far each person and device got.
--
-- Why: the head row decides. Whoever appends to a log or changes its members locks the head,
-- so numbers are dense and a membership begins and ends at a number of the log.
-- Locks: new tables only; a short lock on accounts for the foreign keys.
-- Needs: accounts (0001).

create table conversations (
  id                uuid primary key,
  created_by        uuid not null references accounts (id),
  created_at        timestamptz not null,
  -- The log: its newest number, and the number up to which retention removed everything.
  last_seq          bigint not null default 0,
  purged_seq        bigint not null default 0,
  -- Events that count as unread, from the beginning of the log.
  counted           bigint not null default 0,
  -- The MLS epoch; commits compare and set it.
  epoch             bigint not null default 0,
  -- Time of the newest event; times never fall while numbers rise.
  last_activity     timestamptz not null,
  -- The newest event of kind message; its time gives the partition that holds it.
  last_message_at   timestamptz,
  last_message_id   uuid,
  -- Raised by every change of members; a send says which one it was checked against.
  members_version   int not null default 1,
  -- Seconds that events live; null: kept. Fixed at creation, because it picks the partition tree.
  retention_seconds int check (retention_seconds between 1 and 2592000),
  kind              smallint not null check (kind in (1, 2, 3)),       -- dm, group, channel
  encryption        smallint not null check (encryption in (1, 2, 3)), -- mls, opaque, server
  name              text,
  -- Of a dm: one value for the two people, whoever asks first.
  dm_key            bytea unique,
  -- Of `server` conversations: the wrapped key of the bodies.
  data_key          bytea,
  check (purged_seq <= last_seq)
) with (fillfactor = 50);
-- Every send updates its head. No index covers what a send changes and half of each page is
-- free, so the update is HOT: no index entry, and space comes back without vacuum. Keep it so.

create table members (
  conversation  uuid not null references conversations (id),
  account       uuid not null references accounts (id),
  -- A member sees joined_seq <= seq < left_seq. Both are numbers of membership events.
  joined_seq    bigint not null,
  left_seq      bigint,
  -- Everything up to here was delivered to, or read by, some device of the account.
  delivered_seq bigint not null,
  read_seq      bigint not null,
  -- Events that count as unread, up to read_seq: unread = conversations.counted - counted_read.
  counted_read  bigint not null,
  -- Bounds the partitions in which a first page must look.
  joined_at     timestamptz not null,
  role          smallint not null check (role in (1, 2, 3)), -- owner, admin, member
  can_send      boolean not null default true,
  primary key (conversation, account, joined_seq),
  check (left_seq > joined_seq)
) with (fillfactor = 80);

create unique index members_open on members (conversation, account) where left_seq is null;
-- "The conversations of an account", those it left included.
create index members_account on members (account, conversation);

create table device_cursors (
  device       uuid not null,
  conversation uuid not null references conversations (id),
  account      uuid not null,
  acked_seq    bigint not null,
  -- The day (UTC) of the event at acked_seq: a page after it need not look into older partitions.
  acked_day    date,
  primary key (device, conversation)
) with (fillfactor = 80);
create index device_cursors_account on device_cursors (account);

create table device_sync (
  device    uuid primary key,
  account   uuid not null,
  pinned_at timestamptz not null
);
create index device_sync_account on device_sync (account);

-- Single confirmations above members.delivered_seq; folded in as it advances.
create table confirmations (
  conversation uuid not null references conversations (id),
  account      uuid not null,
  seq          bigint not null,
  primary key (conversation, account, seq)
);
create index confirmations_account on confirmations (account);
