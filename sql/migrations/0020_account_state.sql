-- What the list of sessions and administration need: where a device runs and when its session was last
-- seen, an account's role, and whether it is disabled.
-- No row is rewritten. Each table is locked for a moment; the check on the role reads accounts once.

alter table devices add column platform text;

-- The day (UTC) on which the session was last used; absent until the day after an older version made the row.
alter table sessions add column seen_on date;

alter table accounts
  add column role text not null default 'user' constraint accounts_role check (role in ('user', 'admin')),
  -- A disabled account has no live session and gets no new one.
  add column disabled_at timestamptz;
