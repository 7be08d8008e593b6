-- Who administered which account, how and when. Rows are added and, after a year, removed; nothing changes
-- them in between. New table only: nothing is locked that anybody uses.

create table audit_log (
  id         bigint generated always as identity primary key,
  at         timestamptz not null default clock_timestamp(),
  -- cli: somebody with access to the server's machine, by the name the machine knows them by; account: an
  -- administrator, by the account's id.
  actor_kind text not null check (actor_kind in ('cli', 'account')),
  actor      text not null,
  action     text not null,
  -- Without references: what was done to an account is known after it has gone, and nothing but its id is kept.
  account    uuid,
  session    uuid
);
create index audit_log_account on audit_log (account, id) where account is not null;
create index audit_log_at on audit_log (at);

create function keep_audit_log() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' then
    if old.at < now() - interval '365 days' then
      return old;
    end if;
  end if;
  raise exception 'Leave the audit log as it is: % is refused', lower(tg_op) using errcode = 'insufficient_privilege';
end;
$$;

create trigger audit_log_rows before update or delete on audit_log for each row execute function keep_audit_log();
create trigger audit_log_whole before truncate on audit_log for each statement execute function keep_audit_log();
