-- Reports: what somebody chose to show administrators of somebody else.
--
-- Why one sealed body a report: all that anybody said is in it, so nothing readable is at rest, and with the row
-- its key is gone. Why both accounts cascade: who leaves takes their words along, as reporter and as reported.
-- Locks: a new table; accounts for a moment, for the foreign keys; audit_log for a moment, for a column without a value.

create table reports (
  -- Made by the reporter, as the id of a message is.
  id         uuid primary key,
  -- What administrators call it, and the order of their lists.
  number     bigint generated always as identity,
  reporter   uuid not null references accounts (id) on delete cascade,
  reported   uuid not null references accounts (id) on delete cascade,
  reason     text not null check (reason in ('spam', 'abuse', 'illegal', 'impersonation', 'other')),
  created_at timestamptz not null,
  -- The report's own key, wrapped, and under it what was said and what the server knows of it.
  data_key   bytea not null,
  body       bytea not null,
  closed_at  timestamptz,
  outcome    text check (outcome in ('dismissed', 'warned', 'disabled')),
  -- What the administrator wrote, sealed.
  closing    bytea,
  check (reporter <> reported),
  check ((closed_at is null) = (outcome is null)),
  check (closing is null or closed_at is not null)
);
create unique index reports_number on reports (number);
create index reports_open on reports (number) where closed_at is null;
create index reports_closed on reports (closed_at) where closed_at is not null;
create index reports_created on reports (created_at) where closed_at is null;
create index reports_reporter on reports (reporter);
create index reports_reported on reports (reported);

-- Without a reference: what was done about a report is known after it has gone.
alter table audit_log add column report uuid;
