-- Events: the logs themselves, in two trees of partitions.
--
-- Why: an event of a conversation with retention lies in a daily partition, which is dropped
-- whole once everything in it has expired; all other events lie in monthly ones, which stay.
-- The day is the server's (UTC), taken under the head's lock, so it rises with seq.
-- Locks: new tables only. Partitions are made by ensure_partitions (0014), never here,
-- because a migration must not depend on the day it runs.

create table events (
  conversation uuid not null,
  id           uuid not null,
  sender       uuid not null,
  seq          bigint not null,
  -- Events that count as unread, from the log's beginning up to and including this one.
  counted      bigint not null,
  -- Whole milliseconds.
  at           timestamptz not null,
  -- At this moment the event is gone for readers; its body follows within minutes.
  expires_at   timestamptz,
  day          date not null,
  kind         smallint not null, -- 1 message, 2 membership, 3 notice
  reason       smallint,          -- why the body is gone: 1 deleted, 2 expired
  kept         boolean not null,
  counts       boolean not null,
  -- Keyed hash of the body, 16 bytes: a retry is recognised after the body is gone too.
  digest       bytea not null,
  body         bytea,
  check ((body is null) = (reason is not null))
) partition by list (kept);

-- Bodies are ciphertext: compressing them is lost work.
alter table events alter column body set storage external;

create table events_kept partition of events for values in (true) partition by range (day);
create table events_expiring partition of events for values in (false) partition by range (day);

-- What every partition is made like. Unique indexes live on the partitions, because on the
-- tree they would have to contain the day. (id, conversation) and not id alone: two people who
-- use each other's ids in two conversations then cannot deadlock.
create table events_template (like events including all);
create unique index on events_template (conversation, seq);
create unique index on events_template (id, conversation);
create index on events_template (expires_at) where expires_at is not null and body is not null;
