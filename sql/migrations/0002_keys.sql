-- Public keys that clients publish as PEM, with every earlier one.
-- New table only: nothing is locked that anybody uses.

create table public_keys (
  account     uuid not null references accounts on delete cascade,
  -- 1, 2, 3 …; the highest is the current one.
  version     integer not null,
  algorithm   text not null,
  -- SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7).
  der         bytea not null,
  -- SHA-256 of the DER.
  fingerprint bytea not null,
  created_at  timestamptz not null,
  primary key (account, version),
  -- A key is used once: one that was replaced may have been replaced for a reason.
  constraint public_keys_once unique (account, fingerprint)
);
