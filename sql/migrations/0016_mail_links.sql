-- Links that are mailed: to sign in, to choose a new password, to verify an address.
-- A new table, and two columns whose defaults are constants: accounts is locked for an instant only.

alter table accounts
  add column email_verified_at timestamptz,
  -- One more with each change of the password, so that a sign-in notices one that overtook it.
  add column password_version integer not null default 1;

create table mail_links (
  -- SHA-256 of the token: whoever reads the table cannot use the links.
  hash       bytea primary key,
  account    uuid not null references accounts on delete cascade,
  purpose    text not null check (purpose in ('sign_in', 'reset_password', 'verify_email')),
  -- Where it was sent; verifying makes it the account's.
  email      text not null,
  created_at timestamptz not null,
  expires_at timestamptz not null
);
create index mail_links_of_account on mail_links (account, purpose, created_at);
create index mail_links_expiry on mail_links (expires_at);
