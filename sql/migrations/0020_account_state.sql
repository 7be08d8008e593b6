-- What the list of sessions and administration need: where a device runs, when its session was last seen
-- and why it ended, an account's role, and whether it is disabled.
-- No row is rewritten. Each table is locked for a moment; the check on the role reads accounts once.

alter table devices add column platform text;

alter table sessions
  -- The day (UTC) on which the session was last used; absent where an older version made the row.
  add column seen_on date,
  -- Why it ended, where not by sign-out or by its successor: account_disabled.
  add column end_reason text;

alter table accounts
  add column role text not null default 'user' constraint accounts_role check (role in ('user', 'admin')),
  -- A disabled account has no live session and gets no new one.
  add column disabled_at timestamptz;
