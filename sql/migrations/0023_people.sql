-- What people say of themselves, the private keys that their clients keep here sealed, and whom they block.
-- New tables; accounts gets a column, which is filled row by row, and two indexes, for which it is read
-- twice: sign-ups wait meanwhile, sign-ins do not.

-- As username_key: NFKC and lower case. Rows from before get what this database can do.
alter table accounts add column display_name_key text;
update accounts set display_name_key = lower(display_name) where display_name is not null;
-- A search is for a prefix, so the order is that of the bytes, whatever the database's language.
create index accounts_by_username on accounts (username_key collate "C", id);
create index accounts_by_display_name on accounts (display_name_key collate "C", id) where display_name_key is not null;

-- Who never said anything has no row: what holds then stands in profiles_store.ts.
create table profiles (
  account      uuid primary key references accounts on delete cascade,
  status       text not null check (status in ('online', 'away', 'offline', 'dnd')),
  last_seen_to text not null check (last_seen_to in ('everybody', 'contacts', 'nobody')),
  findable     boolean not null,
  -- The day (UTC), never the moment; absent where it is shown to nobody.
  last_seen_on date
);

-- Sealed by the client with a key that the server never sees.
create table private_keys (
  account    uuid primary key references accounts on delete cascade,
  -- 1, 2, 3 …: who replaces the blob says which version it read.
  version    bigint not null,
  blob       text not null,
  updated_at timestamptz not null
);

create table account_blocks (
  blocker    uuid not null references accounts on delete cascade,
  blocked    uuid not null references accounts on delete cascade,
  created_at timestamptz not null,
  primary key (blocker, blocked),
  check (blocker <> blocked)
);
create index account_blocks_blocked on account_blocks (blocked);
