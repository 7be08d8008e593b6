-- Accounts, their devices and sessions, and the one-time tickets of sockets.
-- New tables only: nothing is locked that anybody uses.

create table accounts (
  id            uuid primary key,
  username      text not null,
  -- NFKC and lower case, so that a name is unique without regard to case.
  username_key  text not null constraint accounts_username_unique unique,
  email         text,
  email_key     text constraint accounts_email_unique unique,
  display_name  text,
  password_hash text not null,
  created_at    timestamptz not null,
  updated_at    timestamptz not null
);

-- Whose a device is stays known after its sessions have gone, so nobody else can take its id.
create table devices (
  id         uuid primary key,
  account    uuid not null references accounts on delete cascade,
  name       text,
  created_at timestamptz not null
);
create index devices_of_account on devices (account);

-- One row is one sign-in and its family of refresh tokens, of which only hashes are kept.
create table sessions (
  id             uuid primary key,
  account        uuid not null references accounts on delete cascade,
  device         uuid not null references devices on delete cascade,
  created_at     timestamptz not null,
  -- How often the refresh token was rotated; a token carries the number it was made with.
  generation     integer not null,
  refresh_hash   bytea not null,
  -- The token before, for an answer that was lost on its way, and whether it was already forgiven once.
  previous_hash  bytea,
  rotated_at     timestamptz not null,
  forgiven       boolean not null default false,
  -- Moves with each rotation, never beyond the limit.
  expires_at     timestamptz not null,
  expires_latest timestamptz not null,
  ended_at       timestamptz,
  check (expires_at <= expires_latest)
);
-- One live session a device.
create unique index sessions_live_device on sessions (device) where ended_at is null;
-- The live sessions of an account, oldest first.
create index sessions_live_account on sessions (account, created_at) where ended_at is null;
create index sessions_ended on sessions (ended_at) where ended_at is not null;
create index sessions_expiry on sessions (expires_at) where ended_at is null;

create table socket_tickets (
  hash             bytea primary key,
  session          uuid not null references sessions on delete cascade,
  expires_at       timestamptz not null,
  -- When the access token ends that asked for the ticket; the socket ends then too.
  token_expires_at timestamptz not null
);
create index socket_tickets_session on socket_tickets (session);
create index socket_tickets_expiry on socket_tickets (expires_at);
