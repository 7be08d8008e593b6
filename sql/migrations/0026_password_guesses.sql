-- How many wrong passwords were tried for a name or by a device, kept where it outlives a restart.
-- A new table only: nothing is locked that anybody uses.

create table password_guesses (
  -- A keyed hash: names that nobody has are counted like others, and none of them can be read here.
  subject    bytea primary key,
  -- A token bucket as one number: when every guess so far will have been paid for by the time that passed.
  paid_until timestamptz not null
);
create index password_guesses_paid on password_guesses (paid_until);
