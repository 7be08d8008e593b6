-- Which message id an Idempotency-Key of POST /messages stands for, for 24 hours.
-- New table only: nothing is locked that anybody uses.

create table relay_requests (
  sender     uuid not null references accounts on delete cascade,
  -- SHA-256 of the header's value, so that its length is bounded.
  key_hash   bytea not null,
  -- SHA-256 of recipient and body: the same key with another body is refused.
  digest     bytea not null,
  message    uuid not null,
  created_at timestamptz not null,
  primary key (sender, key_hash)
);
create index relay_requests_age on relay_requests (sender, created_at);
