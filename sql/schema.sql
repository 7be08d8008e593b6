-- Written by `npm run schema` from the migrations; do not edit. Partitions are left out.

create table account_blocks (
  blocker uuid not null,
  blocked uuid not null,
  created_at timestamp with time zone not null,
  constraint account_blocks_pkey PRIMARY KEY (blocker, blocked),
  constraint account_blocks_blocked_fkey FOREIGN KEY (blocked) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint account_blocks_blocker_fkey FOREIGN KEY (blocker) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint account_blocks_check CHECK ((blocker <> blocked))
);

create table accounts (
  id uuid not null,
  username text not null,
  username_key text not null,
  email text,
  email_key text,
  display_name text,
  password_hash text not null,
  created_at timestamp with time zone not null,
  updated_at timestamp with time zone not null,
  email_verified_at timestamp with time zone,
  password_version integer not null default 1,
  role text not null default 'user'::text,
  disabled_at timestamp with time zone,
  display_name_key text,
  constraint accounts_email_unique UNIQUE (email_key),
  constraint accounts_username_unique UNIQUE (username_key),
  constraint accounts_pkey PRIMARY KEY (id),
  constraint accounts_role CHECK ((role = ANY (ARRAY['user'::text, 'admin'::text])))
);

create table audit_log (
  id bigint not null generated always as identity,
  at timestamp with time zone not null default clock_timestamp(),
  actor_kind text not null,
  actor text not null,
  action text not null,
  account uuid,
  session uuid,
  report uuid,
  constraint audit_log_pkey PRIMARY KEY (id),
  constraint audit_log_actor_kind_check CHECK ((actor_kind = ANY (ARRAY['cli'::text, 'account'::text])))
);

create table channels (
  conversation uuid not null,
  slug text,
  public boolean not null,
  shared boolean not null,
  open_posting boolean not null,
  members integer not null,
  constraint channels_slug_unique UNIQUE (slug),
  constraint channels_pkey PRIMARY KEY (conversation),
  constraint channels_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id),
  constraint channels_check CHECK (((NOT public) OR (shared AND (slug IS NOT NULL)))),
  constraint channels_slug_check CHECK ((slug ~ '^[a-z0-9-]{3,50}$'::text))
);

create table confirmations (
  conversation uuid not null,
  account uuid not null,
  seq bigint not null,
  constraint confirmations_pkey PRIMARY KEY (conversation, account, seq),
  constraint confirmations_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table conversations (
  id uuid not null,
  created_by uuid,
  created_at timestamp with time zone not null,
  last_seq bigint not null default 0,
  purged_seq bigint not null default 0,
  counted bigint not null default 0,
  epoch bigint not null default 0,
  last_activity timestamp with time zone not null,
  last_message_at timestamp with time zone,
  last_message_id uuid,
  members_version integer not null default 1,
  retention_seconds integer,
  kind smallint not null,
  encryption smallint not null,
  name text,
  dm_key bytea,
  data_key bytea,
  expire_seconds integer,
  ended_at timestamp with time zone,
  constraint conversations_dm_key_key UNIQUE (dm_key),
  constraint conversations_pkey PRIMARY KEY (id),
  constraint conversations_check CHECK ((purged_seq <= last_seq)),
  constraint conversations_encryption_check CHECK ((encryption = ANY (ARRAY[1, 2, 3]))),
  constraint conversations_expire_seconds_check CHECK (((expire_seconds >= 1) AND (expire_seconds <= 2592000))),
  constraint conversations_kind_check CHECK ((kind = ANY (ARRAY[1, 2, 3]))),
  constraint conversations_retention_seconds_check CHECK (((retention_seconds >= 1) AND (retention_seconds <= 2592000)))
);

create table departures (
  account uuid not null,
  asked_at timestamp with time zone not null,
  constraint departures_pkey PRIMARY KEY (account),
  constraint departures_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE
);

create table device_cursors (
  device uuid not null,
  conversation uuid not null,
  account uuid not null,
  acked_seq bigint not null,
  acked_day date,
  constraint device_cursors_pkey PRIMARY KEY (device, conversation),
  constraint device_cursors_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table device_inbox (
  account uuid not null,
  device uuid not null,
  sender uuid not null,
  id uuid not null,
  sender_session uuid not null,
  kind smallint not null,
  seq bigint,
  digest bytea not null,
  size integer not null,
  body bytea,
  at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint device_inbox_pkey PRIMARY KEY (account, device, sender, id),
  constraint device_inbox_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint device_inbox_sender_fkey FOREIGN KEY (sender) REFERENCES accounts(id) ON DELETE CASCADE
);

create table device_inboxes (
  device uuid not null,
  last_seq bigint not null default 0,
  constraint device_inboxes_pkey PRIMARY KEY (device),
  constraint device_inboxes_device_fkey FOREIGN KEY (device) REFERENCES devices(id) ON DELETE CASCADE
);

create table device_sync (
  device uuid not null,
  account uuid not null,
  pinned_at timestamp with time zone not null,
  constraint device_sync_pkey PRIMARY KEY (device)
);

create table devices (
  id uuid not null,
  account uuid not null,
  name text,
  created_at timestamp with time zone not null,
  platform text,
  constraint devices_pkey PRIMARY KEY (id),
  constraint devices_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE
);

create table edits (
  conversation uuid not null,
  target_seq bigint not null,
  seq bigint not null,
  day date not null,
  kept boolean not null,
  constraint edits_pkey PRIMARY KEY (conversation, target_seq, seq),
  constraint edits_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table endings (
  conversation uuid not null,
  emptied_seq bigint not null,
  constraint endings_pkey PRIMARY KEY (conversation),
  constraint endings_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table events (
  conversation uuid not null,
  id uuid not null,
  sender uuid not null,
  seq bigint not null,
  counted bigint not null,
  at timestamp with time zone not null,
  expires_at timestamp with time zone,
  day date not null,
  kind smallint not null,
  reason smallint,
  kept boolean not null,
  counts boolean not null,
  digest bytea not null,
  body bytea,
  constraint events_check CHECK (((body IS NULL) = (reason IS NOT NULL)))
) partition by LIST (kept);

create table events_template (
  conversation uuid not null,
  id uuid not null,
  sender uuid not null,
  seq bigint not null,
  counted bigint not null,
  at timestamp with time zone not null,
  expires_at timestamp with time zone,
  day date not null,
  kind smallint not null,
  reason smallint,
  kept boolean not null,
  counts boolean not null,
  digest bytea not null,
  body bytea,
  constraint events_check CHECK (((body IS NULL) = (reason IS NOT NULL)))
);

create table hidden_heads (
  account uuid not null,
  last bigint not null,
  constraint hidden_heads_pkey PRIMARY KEY (account),
  constraint hidden_heads_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE
);

create table hidden_messages (
  account uuid not null,
  conversation uuid not null,
  seq bigint not null,
  message uuid not null,
  number bigint not null,
  constraint hidden_messages_pkey PRIMARY KEY (account, conversation, seq),
  constraint hidden_messages_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint hidden_messages_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table mail_links (
  hash bytea not null,
  account uuid not null,
  purpose text not null,
  email text not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  constraint mail_links_pkey PRIMARY KEY (hash),
  constraint mail_links_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint mail_links_purpose_check CHECK ((purpose = ANY (ARRAY['sign_in'::text, 'reset_password'::text, 'verify_email'::text])))
);

create table members (
  conversation uuid not null,
  account uuid not null,
  joined_seq bigint not null,
  left_seq bigint,
  delivered_seq bigint not null,
  read_seq bigint not null,
  counted_read bigint not null,
  joined_at timestamp with time zone not null,
  role smallint not null,
  can_send boolean not null default true,
  muted_until timestamp with time zone,
  archived boolean not null default false,
  pinned boolean not null default false,
  changed_at timestamp with time zone not null default clock_timestamp(),
  constraint members_pkey PRIMARY KEY (conversation, account, joined_seq),
  constraint members_account_fkey FOREIGN KEY (account) REFERENCES accounts(id),
  constraint members_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id),
  constraint members_check CHECK ((left_seq >= joined_seq)) NOT VALID,
  constraint members_role_check CHECK ((role = ANY (ARRAY[1, 2, 3])))
);

create table password_guesses (
  subject bytea not null,
  paid_until timestamp with time zone not null,
  constraint password_guesses_pkey PRIMARY KEY (subject)
);

create table private_keys (
  account uuid not null,
  version bigint not null,
  blob text not null,
  updated_at timestamp with time zone not null,
  constraint private_keys_pkey PRIMARY KEY (account),
  constraint private_keys_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE
);

create table profiles (
  account uuid not null,
  status text not null default 'offline'::text,
  last_seen_to text not null default 'contacts'::text,
  findable boolean not null default true,
  last_seen_on date,
  read_receipts boolean not null default true,
  chosen_status text,
  constraint profiles_pkey PRIMARY KEY (account),
  constraint profiles_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint profiles_chosen_status_check CHECK ((chosen_status = ANY (ARRAY['online'::text, 'away'::text, 'offline'::text, 'dnd'::text]))),
  constraint profiles_last_seen_to_check CHECK ((last_seen_to = ANY (ARRAY['everybody'::text, 'contacts'::text, 'nobody'::text]))),
  constraint profiles_status_check CHECK ((status = ANY (ARRAY['online'::text, 'away'::text, 'offline'::text, 'dnd'::text])))
);

create table public_keys (
  account uuid not null,
  version integer not null,
  algorithm text not null,
  der bytea not null,
  fingerprint bytea not null,
  created_at timestamp with time zone not null,
  constraint public_keys_once UNIQUE (account, fingerprint),
  constraint public_keys_pkey PRIMARY KEY (account, version),
  constraint public_keys_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE
);

create table reactions (
  conversation uuid not null,
  target_seq bigint not null,
  account uuid not null,
  emoji text not null,
  present boolean not null,
  seq bigint not null,
  day date not null,
  kept boolean not null,
  expires_at timestamp with time zone,
  constraint reactions_pkey PRIMARY KEY (conversation, target_seq, account, emoji),
  constraint reactions_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint reactions_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id)
);

create table relay_requests (
  sender uuid not null,
  key_hash bytea not null,
  digest bytea not null,
  message uuid not null,
  created_at timestamp with time zone not null,
  constraint relay_requests_pkey PRIMARY KEY (sender, key_hash),
  constraint relay_requests_sender_fkey FOREIGN KEY (sender) REFERENCES accounts(id) ON DELETE CASCADE
);

create table reports (
  id uuid not null,
  number bigint not null generated always as identity,
  reporter uuid not null,
  reported uuid not null,
  reason text not null,
  created_at timestamp with time zone not null,
  data_key bytea not null,
  body bytea not null,
  closed_at timestamp with time zone,
  outcome text,
  closing bytea,
  constraint reports_pkey PRIMARY KEY (id),
  constraint reports_reported_fkey FOREIGN KEY (reported) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint reports_reporter_fkey FOREIGN KEY (reporter) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint reports_check CHECK ((reporter <> reported)),
  constraint reports_check1 CHECK (((closed_at IS NULL) = (outcome IS NULL))),
  constraint reports_check2 CHECK (((closing IS NULL) OR (closed_at IS NOT NULL))),
  constraint reports_outcome_check CHECK ((outcome = ANY (ARRAY['dismissed'::text, 'warned'::text, 'disabled'::text]))),
  constraint reports_reason_check CHECK ((reason = ANY (ARRAY['spam'::text, 'abuse'::text, 'illegal'::text, 'impersonation'::text, 'other'::text])))
);

create table retired_names (
  name_hash bytea not null,
  free_at timestamp with time zone not null,
  constraint retired_names_pkey PRIMARY KEY (name_hash)
);

create table schema_migrations (
  version integer not null,
  name text not null,
  checksum text not null,
  applied_at timestamp with time zone not null default now(),
  constraint schema_migrations_pkey PRIMARY KEY (version)
);

create table sessions (
  id uuid not null,
  account uuid not null,
  device uuid not null,
  created_at timestamp with time zone not null,
  generation integer not null,
  refresh_hash bytea not null,
  previous_hash bytea,
  rotated_at timestamp with time zone not null,
  forgiven boolean not null default false,
  expires_at timestamp with time zone not null,
  expires_latest timestamp with time zone not null,
  ended_at timestamp with time zone,
  seen_on date,
  end_reason text,
  constraint sessions_pkey PRIMARY KEY (id),
  constraint sessions_account_fkey FOREIGN KEY (account) REFERENCES accounts(id) ON DELETE CASCADE,
  constraint sessions_device_fkey FOREIGN KEY (device) REFERENCES devices(id) ON DELETE CASCADE,
  constraint sessions_check CHECK ((expires_at <= expires_latest))
);

create table socket_tickets (
  hash bytea not null,
  session uuid not null,
  expires_at timestamp with time zone not null,
  token_expires_at timestamp with time zone not null,
  constraint socket_tickets_pkey PRIMARY KEY (hash),
  constraint socket_tickets_session_fkey FOREIGN KEY (session) REFERENCES sessions(id) ON DELETE CASCADE
);

create table withheld (
  conversation uuid not null,
  reader uuid not null,
  sender uuid not null,
  from_seq bigint not null,
  to_seq bigint,
  shown_delivered bigint,
  shown_read bigint,
  shown_confirmed bigint[],
  constraint withheld_pkey PRIMARY KEY (conversation, reader, from_seq),
  constraint withheld_conversation_fkey FOREIGN KEY (conversation) REFERENCES conversations(id),
  constraint withheld_check CHECK ((to_seq >= from_seq))
);

CREATE INDEX account_blocks_blocked ON public.account_blocks USING btree (blocked);

CREATE INDEX accounts_by_display_name ON public.accounts USING btree (display_name_key COLLATE "C", id) WHERE (display_name_key IS NOT NULL);

CREATE INDEX accounts_by_username ON public.accounts USING btree (username_key COLLATE "C", id);

CREATE INDEX audit_log_account ON public.audit_log USING btree (account, id) WHERE (account IS NOT NULL);

CREATE INDEX audit_log_at ON public.audit_log USING btree (at);

CREATE INDEX confirmations_account ON public.confirmations USING btree (account);

CREATE INDEX device_cursors_account ON public.device_cursors USING btree (account);

CREATE INDEX device_inbox_expiry ON public.device_inbox USING btree (expires_at);

CREATE UNIQUE INDEX device_inbox_held ON public.device_inbox USING btree (device, seq) WHERE (body IS NOT NULL);

CREATE INDEX device_inbox_sender ON public.device_inbox USING btree (sender);

CREATE INDEX device_sync_account ON public.device_sync USING btree (account);

CREATE INDEX devices_of_account ON public.devices USING btree (account);

CREATE UNIQUE INDEX events_template_conversation_seq_idx ON public.events_template USING btree (conversation, seq);

CREATE INDEX events_template_expires_at_idx ON public.events_template USING btree (expires_at) WHERE ((expires_at IS NOT NULL) AND (body IS NOT NULL));

CREATE UNIQUE INDEX events_template_id_conversation_idx ON public.events_template USING btree (id, conversation);

CREATE UNIQUE INDEX hidden_messages_number ON public.hidden_messages USING btree (account, number);

CREATE INDEX hidden_messages_place ON public.hidden_messages USING btree (conversation, seq);

CREATE INDEX mail_links_expiry ON public.mail_links USING btree (expires_at);

CREATE INDEX mail_links_of_account ON public.mail_links USING btree (account, purpose, created_at);

CREATE INDEX members_account ON public.members USING btree (account, conversation);

CREATE UNIQUE INDEX members_open ON public.members USING btree (conversation, account) WHERE (left_seq IS NULL);

CREATE INDEX password_guesses_paid ON public.password_guesses USING btree (paid_until);

CREATE INDEX reactions_account ON public.reactions USING btree (account, conversation);

CREATE INDEX reactions_expiry ON public.reactions USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX relay_requests_age ON public.relay_requests USING btree (sender, created_at);

CREATE INDEX reports_closed ON public.reports USING btree (closed_at) WHERE (closed_at IS NOT NULL);

CREATE INDEX reports_created ON public.reports USING btree (created_at) WHERE (closed_at IS NULL);

CREATE UNIQUE INDEX reports_number ON public.reports USING btree (number);

CREATE INDEX reports_open ON public.reports USING btree (number) WHERE (closed_at IS NULL);

CREATE INDEX reports_reported ON public.reports USING btree (reported);

CREATE INDEX reports_reporter ON public.reports USING btree (reporter);

CREATE INDEX retired_names_free ON public.retired_names USING btree (free_at);

CREATE INDEX sessions_ended ON public.sessions USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX sessions_expiry ON public.sessions USING btree (expires_at) WHERE (ended_at IS NULL);

CREATE INDEX sessions_live_account ON public.sessions USING btree (account, created_at) WHERE (ended_at IS NULL);

CREATE UNIQUE INDEX sessions_live_device ON public.sessions USING btree (device) WHERE (ended_at IS NULL);

CREATE INDEX socket_tickets_expiry ON public.socket_tickets USING btree (expires_at);

CREATE INDEX socket_tickets_session ON public.socket_tickets USING btree (session);

CREATE INDEX withheld_reader ON public.withheld USING btree (reader);

CREATE INDEX withheld_sender ON public.withheld USING btree (sender);

CREATE OR REPLACE FUNCTION public.append_batch(p_heads uuid[], p_last integer[], p_last_message integer[], p_id uuid[], p_sender uuid[], p_head integer[], p_place integer[], p_counted integer[], p_version integer[], p_kind smallint[], p_expire_after integer[], p_counts boolean[], p_offset integer[], p_length integer[], p_digest bytea, p_body bytea, p_wait boolean)
 RETURNS TABLE(o_status json, o_seq json, o_version json, o_at json, o_expires json)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_events int := cardinality(p_id);
  v_heads  int := cardinality(p_heads);
  v_now    timestamptz;
  v_ms     double precision;
  v_day    date;
  v_low    uuid;
  v_high   uuid;
  v_from   date;
  v_newest timestamptz;
  v_plain  boolean := false;
  v_moved  int;
  -- Of each head, as it is under its lock.
  h_id      uuid[];
  h_row     tid[];
  h_seq     bigint[];
  h_counted bigint[];
  h_version int[];
  h_keep    int[];
  h_expire  int[];
begin
  if p_wait then
    select array_agg(c.id), array_agg(c.ctid), array_agg(c.last_seq), array_agg(c.counted), array_agg(c.members_version),
           array_agg(c.retention_seconds), array_agg(c.expire_seconds), max(c.last_activity)
    into h_id, h_row, h_seq, h_counted, h_version, h_keep, h_expire, v_newest
    from (select c.id, c.ctid, c.last_seq, c.counted, c.members_version, c.retention_seconds, c.expire_seconds, c.last_activity
          from conversations c where c.id = any (p_heads) order by c.id for no key update) c;
    v_now  := date_trunc('milliseconds', clock_timestamp());
    v_ms   := unix_ms(v_now);
    v_day  := (v_now at time zone 'utc')::date;
    v_low  := lowest_id_at(v_now - interval '24 hours');
    v_high := lowest_id_at(v_now + interval '24 hours 1 millisecond');
    -- All there, in the order of the node's, no clock that was set back, and all ids of these two days.
    if h_id = p_heads and v_newest <= v_now then
      v_plain := (select bool_and(p_version[i] = h_version[p_head[i]] and p_id[i] >= v_low and p_id[i] < v_high)
                  from generate_series(1, v_events) i);
    end if;
    if v_plain then
      v_from := ((v_now - interval '24 hours') at time zone 'utc')::date - 1;
      perform 1 from events e where e.id = any (p_id) and e.day >= v_from limit 1;
      v_plain := not found;
    end if;
  end if;

  if not v_plain then
    return query
    select json_agg(a.o_status order by a.o_ord), json_agg(a.o_seq order by a.o_ord), json_agg(a.o_version order by a.o_ord),
           json_agg(a.o_at order by a.o_ord), json_agg(a.o_expires order by a.o_ord)
    from append_events(p_id, array(select p_heads[i] from unnest(p_head) i), p_sender, p_version, p_kind,
                       array_replace(p_expire_after, -1, null), p_counts, p_offset, p_length, p_digest, p_body, p_wait) a;
    return;
  end if;

  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  select h_keep[p_head[i]] is null, v_day, p_heads[p_head[i]], h_seq[p_head[i]] + p_place[i], p_id[i], p_sender[i], p_kind[i],
         v_now, v_now + make_interval(secs => least(h_keep[p_head[i]], h_expire[p_head[i]], nullif(p_expire_after[i], -1))),
         p_counts[i], h_counted[p_head[i]] + p_counted[i],
         substr(p_digest, (i - 1) * 16 + 1, 16), substr(p_body, p_offset[i] + 1, p_length[i])
  from generate_series(1, v_events) i;

  -- By place: nobody moves a row that is locked. HOT, see 0010.
  update conversations c
  set last_seq = h_seq[h] + p_place[p_last[h]], counted = h_counted[h] + p_counted[p_last[h]], last_activity = v_now,
      last_message_id = coalesce(p_id[p_last_message[h]], c.last_message_id),
      last_message_at = case when p_last_message[h] = 0 then c.last_message_at else v_now end
  from generate_series(1, v_heads) h
  where c.ctid = h_row[h];
  get diagnostics v_moved = row_count;
  if v_moved <> v_heads then raise exception 'Move every head that is locked: current value is % of %', v_moved, v_heads; end if;

  return query
  select array_to_json(array_fill(0, array[v_events])),
         array_to_json(array(select h_seq[p_head[i]] + p_place[i] from generate_series(1, v_events) i)),
         array_to_json(p_version),
         array_to_json(array_fill(v_ms, array[v_events])),
         array_to_json(array(select v_ms + 1000::double precision * least(h_keep[p_head[i]], h_expire[p_head[i]], nullif(p_expire_after[i], -1))
                             from generate_series(1, v_events) i));
end $function$;

CREATE OR REPLACE FUNCTION public.append_events(p_id uuid[], p_conversation uuid[], p_sender uuid[], p_version integer[], p_kind smallint[], p_expire_after integer[], p_counts boolean[], p_offset integer[], p_length integer[], p_digest bytea, p_body bytea, p_wait boolean)
 RETURNS TABLE(o_ord integer, o_status integer, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_locked uuid[];
  v_now    timestamptz;
  v_low    uuid;
  v_high   uuid;
  v_oldest uuid;
  v_from   date;
begin
  if p_wait then
    v_locked := array(select c.id from conversations c where c.id = any (p_conversation)
                      order by c.id for no key update);
  else
    v_locked := array(select c.id from conversations c where c.id = any (p_conversation)
                      order by c.id for no key update skip locked);
  end if;

  -- Not now(): the transaction began before the wait, and times would fall while numbers rise.
  v_now  := date_trunc('milliseconds', clock_timestamp());
  v_low  := lowest_id_at(v_now - interval '24 hours');
  v_high := lowest_id_at(v_now + interval '24 hours 1 millisecond');
  -- What is stored under an id was stored within a day of the id's own time, so this look-up is
  -- exact for old ids too; as a scalar it lets the plan skip older partitions.
  select i into v_oldest from unnest(p_id) i order by i limit 1;
  v_from := (least(v_now - interval '24 hours', time_of_id(v_oldest)) at time zone 'utc')::date - 1;

  return query
  with request as materialized (
    select * from unnest(p_id, p_conversation, p_sender, p_version, p_kind, p_expire_after, p_counts, p_offset, p_length)
      with ordinality t (id, conversation, sender, version, kind, expire_after, counts, off, len, ord)),
  head as materialized (
    select c.id, c.last_seq, c.counted, c.members_version, c.retention_seconds, c.expire_seconds,
           greatest(v_now, c.last_activity) as at -- the clock may have been set back
    from conversations c where c.id = any (v_locked)),
  known as materialized (
    select e.id, e.conversation, e.seq, e.sender, e.kind, e.digest, e.at, e.expires_at
    from events e where e.id = any (p_id) and e.day >= v_from),
  judged as materialized (
    select r.*, h.last_seq, h.counted, h.members_version, h.retention_seconds, h.expire_seconds, h.at,
           k.seq as known_seq, k.at as known_at, k.expires_at as known_expires,
           case
             when k.id is not null and k.sender <> r.sender then 7
             when k.id is not null then case
               when k.kind = r.kind and k.digest = substr(p_digest, (r.ord::int - 1) * 16 + 1, 16) then 1 else 2 end
             when r.id = any (array(select o.id from known o)) then 7
             when h.id is null then case
               when not p_wait and (select true from conversations c where c.id = r.conversation) then 6 else 4 end
             when r.id < v_low or r.id >= v_high then 5
             when r.version <> h.members_version and (
               select m.can_send from members m where m.conversation = r.conversation and m.account = r.sender
                 and m.left_seq is null) is not true then 3
             else 0
           end as status
    from request r
    left join head h on h.id = r.conversation
    left join known k on k.id = r.id and k.conversation = r.conversation),
  fresh as materialized (
    select j.*,
           j.last_seq + row_number() over w as seq,
           j.counted + count(*) filter (where j.counts) over w as new_counted,
           least(j.at + make_interval(secs => j.retention_seconds),
                 j.at + make_interval(secs => j.expire_seconds),
                 j.at + make_interval(secs => j.expire_after)) as expires_at
    from judged j where j.status = 0
    window w as (partition by j.conversation order by j.ord rows unbounded preceding)),
  moved as (
    update conversations c
    set last_seq = s.last_seq, counted = s.counted, last_activity = s.at,
        last_message_id = coalesce(s.last_message_id, c.last_message_id),
        last_message_at = case when s.last_message_id is null then c.last_message_at else s.at end
    from (select f.conversation, max(f.seq) as last_seq, max(f.new_counted) as counted, max(f.at) as at,
                 (array_agg(f.id order by f.seq desc) filter (where f.kind = 1))[1] as last_message_id
          from fresh f group by f.conversation) s
    where c.id = s.conversation),
  stored as (
    insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
    select f.retention_seconds is null, (f.at at time zone 'utc')::date, f.conversation, f.seq, f.id, f.sender, f.kind,
           f.at, f.expires_at, f.counts, f.new_counted,
           substr(p_digest, (f.ord::int - 1) * 16 + 1, 16), substr(p_body, f.off + 1, f.len)
    from fresh f)
  select f.ord::int, 0, f.seq, f.members_version, unix_ms(f.at), unix_ms(f.expires_at) from fresh f
  union all
  select j.ord::int, j.status, j.known_seq, j.members_version, unix_ms(j.known_at), unix_ms(j.known_expires)
  from judged j where j.status <> 0;
end $function$;

CREATE OR REPLACE FUNCTION public.block_account(p_blocker uuid, p_blocked uuid, p_at timestamp with time zone, p_most integer)
 RETURNS TABLE(o_status integer, o_conversation uuid, o_seq bigint)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_id  uuid;
  v_seq bigint;
begin
  perform lock_pair(p_blocker, p_blocked);
  if (select count(*) from account_blocks b where b.blocker = p_blocker and b.blocked <> p_blocked) >= p_most then
    return query select 1, null::uuid, null::bigint;
    return;
  end if;
  insert into account_blocks (blocker, blocked, created_at) values (p_blocker, p_blocked, p_at) on conflict do nothing;
  if not found then return; end if;
  for v_id in select d from dms_of_pair(p_blocker, p_blocked) d loop
    update conversations c set members_version = c.members_version + 1 where c.id = v_id returning c.last_seq into v_seq;
    insert into withheld (conversation, reader, sender, from_seq, shown_delivered, shown_read, shown_confirmed)
    select v_id, p_blocker, p_blocked, v_seq + 1, m.delivered_seq, m.read_seq,
           (select array_agg(f.seq) from confirmations f where f.conversation = v_id and f.account = p_blocker)
    from members m where m.conversation = v_id and m.account = p_blocker and m.left_seq is null;
    return query select 0, v_id, v_seq;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.change_channel_members(p_conversation uuid, p_actor uuid, p_change smallint, p_account uuid, p_limit integer, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_can_send boolean, o_deserted boolean, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head    conversations;
  v_channel channels;
  v_actor   smallint;
  v_member  smallint;
  v_refused int;
  v_entry   boolean := false;
  v_send    boolean := false;
  v_seq     bigint;
  v_at      timestamptz;
  v_expires timestamptz;
begin
  perform 1 from channels h where h.conversation = p_conversation;
  if not found then
    return query select 15, 0::bigint, 0, false, false, 0::double precision, null::double precision;
    return;
  end if;
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  select * into v_channel from channels h where h.conversation = p_conversation;
  select m.role into v_actor from members m
  where m.conversation = p_conversation and m.account = p_actor and m.left_seq is null;
  select m.role into v_member from members m
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
  v_seq := v_head.last_seq + 1;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);

  v_refused := case
    when p_change = 3 and v_member is not null then 1
    when p_change = 3 and not v_channel.public then 4
    when p_change <> 3 and v_actor is null then 4
    when p_change = 1 and v_actor = 3 then 8
    when p_change = 1 and v_member is not null then 9
    when p_change = 2 and p_account <> p_actor and v_actor = 3 then 8
    when p_change = 2 and v_member is null then 10
    when p_change = 2 and p_account <> p_actor and v_actor = 2 and v_member <> 3 then 8
    when p_change <> 2 and v_channel.members >= p_limit then 11
    else 0 end;
  if v_refused <> 0 then
    return query select v_refused, v_head.last_seq, v_head.members_version, false, false, 0::double precision, null::double precision;
    return;
  end if;

  if p_change = 2 then
    update members m set left_seq = v_seq
    where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
    if v_member = 1 then perform hand_over_channel(p_conversation); end if;
    update channels h
    set members = h.members - 1, public = h.public and h.members > 1, slug = case when h.members > 1 then h.slug end
    where h.conversation = p_conversation;
  else
    v_send := v_channel.open_posting;
    v_entry := exists (select from members m
                       where m.conversation = p_conversation and m.account = p_account and m.left_seq = v_seq);
    -- An empty interval at this number holds nothing.
    delete from members m where m.conversation = p_conversation and m.account = p_account and m.joined_seq = v_seq;
    insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, can_send)
    values (p_conversation, p_account, v_seq, v_seq - 1, v_seq - 1, v_head.counted, v_at, 3, v_send);
    update channels h set members = h.members + 1 where h.conversation = p_conversation;
  end if;
  update conversations c
  set members_version = c.members_version + 1,
      last_seq = case when v_entry then v_seq else c.last_seq end,
      last_activity = case when v_entry then v_at else c.last_activity end
  where c.id = p_conversation;
  if v_entry then
    insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
    values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_actor, 2,
            v_at, v_expires, false, v_head.counted, p_digest, p_body);
  end if;
  return query select case when v_entry then 14 else 0 end, v_seq, v_head.members_version + 1, v_send,
    p_change = 2 and v_channel.members = 1, unix_ms(v_at), unix_ms(v_expires);
end $function$;

CREATE OR REPLACE FUNCTION public.change_conversation(p_conversation uuid, p_actor uuid, p_name text, p_retention integer, p_account uuid, p_role smallint, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head    conversations;
  v_known   record;
  v_now     timestamptz;
  v_at      timestamptz;
  v_status  int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from known_event(p_conversation, p_actor, 7::smallint, p_id, p_digest, v_now);
  if v_known.o_status = 1 then
    return query select 1, v_known.o_seq, v_head.members_version, v_known.o_at, v_known.o_expires;
    return;
  end if;
  v_status := coalesce(v_known.o_status,
    conversation_change_refusal(v_head, p_actor, p_name, p_retention, p_account, p_role),
    case when p_id < lowest_id_at(v_now - interval '24 hours')
           or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond') then 5 end);
  if v_status is not null then
    return query select v_status, 0::bigint, 0, null::double precision, null::double precision;
    return;
  end if;

  if p_account is not null then
    update members m set role = case when m.account = p_account then p_role else 2 end
    where m.conversation = p_conversation and m.left_seq is null
      and (m.account = p_account or (p_role = 1 and m.account = p_actor));
  end if;
  if v_head.retention_seconds is null then
    v_head.expire_seconds := coalesce(nullif(p_retention, 0), case when p_retention is null then v_head.expire_seconds end);
  elsif p_retention is not null then
    v_head.retention_seconds := nullif(p_retention, 0);
  end if;
  v_at := greatest(v_now, v_head.last_activity);
  update conversations c
  set last_seq = c.last_seq + 1, members_version = c.members_version + 1, last_activity = v_at,
      name = coalesce(p_name, c.name), retention_seconds = v_head.retention_seconds, expire_seconds = v_head.expire_seconds
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_head.last_seq + 1, p_id,
          p_actor, 7, v_at, v_at + make_interval(secs => v_head.retention_seconds), false, v_head.counted, p_digest, p_body);
  return query select 0, v_head.last_seq + 1, v_head.members_version + 1, unix_ms(v_at),
    unix_ms(v_at + make_interval(secs => v_head.retention_seconds));
end $function$;

CREATE OR REPLACE FUNCTION public.change_membership(p_conversation uuid, p_actor uuid, p_change smallint, p_accounts uuid[], p_can_send boolean, p_id uuid, p_digest bytea, p_body bytea, p_limit integer)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head    conversations;
  v_known   events;
  v_now     timestamptz;
  v_at      timestamptz;
  v_expires timestamptz;
  v_seq     bigint;
  v_refused int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from events e
  where e.id = p_id
    and e.day >= (least(v_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1;
  if v_known.id is not null then
    if v_known.conversation = p_conversation and v_known.sender = p_actor and v_known.kind = 2 and v_known.digest = p_digest then
      return query select 1, v_known.seq, v_head.members_version, unix_ms(v_known.at), unix_ms(v_known.expires_at);
    else
      return query select 2, 0::bigint, 0, null::double precision, null::double precision;
    end if;
    return;
  end if;

  v_refused := membership_refusal(v_head, p_actor, p_change, p_accounts, p_limit);
  if v_refused = 0 and (p_id < lowest_id_at(v_now - interval '24 hours')
                     or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond')) then
    v_refused := 5;
  end if;
  if v_refused <> 0 then
    return query select v_refused, 0::bigint, 0, null::double precision, null::double precision;
    return;
  end if;

  v_seq := v_head.last_seq + 1;
  v_at := greatest(v_now, v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);
  if p_change = 1 then
    insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role, can_send)
    select p_conversation, a.account, v_seq, v_seq - 1, v_seq - 1, v_head.counted, v_at, 3, p_can_send
    from (select distinct unnest(p_accounts) as account) a
    order by a.account;
  else
    update members m set left_seq = v_seq
    where m.conversation = p_conversation and m.account = any (p_accounts) and m.left_seq is null;
    perform hand_over_ownership(p_conversation);
  end if;
  update conversations c
  set last_seq = v_seq, members_version = c.members_version + 1, last_activity = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_actor, 2,
          v_at, v_expires, false, v_head.counted, p_digest, p_body);
  return query select 0, v_seq, v_head.members_version + 1, unix_ms(v_at), unix_ms(v_expires);
end $function$;

CREATE OR REPLACE FUNCTION public.change_message(p_conversation uuid, p_actor uuid, p_target bigint, p_day date, p_kind smallint, p_emoji text, p_present boolean, p_most integer, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head    conversations;
  v_known   events;
  v_target  events;
  v_old     reactions;
  v_now     timestamptz;
  v_at      timestamptz;
  v_day     date;
  v_kept    boolean;
  v_expires timestamptz;
  v_seq     bigint;
  v_refused int;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_kept := v_head.retention_seconds is null;
  v_now := date_trunc('milliseconds', clock_timestamp());
  select * into v_known from events e
  where e.id = p_id
    and e.day >= (least(v_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1;
  if v_known.id is not null then
    if v_known.conversation = p_conversation and v_known.sender = p_actor and v_known.kind = p_kind and v_known.digest = p_digest then
      return query select 1, v_known.seq, v_head.members_version, unix_ms(v_known.at), unix_ms(v_known.expires_at);
    else
      return query select 2, 0::bigint, 0, null::double precision, null::double precision;
    end if;
    return;
  end if;

  select * into v_target from events e
  where e.day = p_day and e.conversation = p_conversation and e.seq = p_target;
  v_refused := change_refusal(v_head, v_target, p_actor, p_kind, v_now);
  if v_refused = 0 and p_kind = 6 then
    select * into v_old from reactions r
    where r.conversation = p_conversation and r.target_seq = p_target and r.account = p_actor and r.emoji = p_emoji;
    if coalesce(v_old.present, false) = p_present then
      v_refused := 13;
    elsif v_old.seq is null and p_most <= (
        select count(*) from reactions r
        where r.conversation = p_conversation and r.target_seq = p_target and r.account = p_actor) then
      v_refused := 14;
    end if;
  end if;
  if v_refused = 0 and (p_id < lowest_id_at(v_now - interval '24 hours')
                     or p_id >= lowest_id_at(v_now + interval '24 hours 1 millisecond')) then
    v_refused := 5;
  end if;
  if v_refused <> 0 then
    return query select v_refused, coalesce(v_old.seq, p_target), v_head.members_version,
      unix_ms(v_target.at), unix_ms(v_target.expires_at);
    return;
  end if;

  v_seq := v_head.last_seq + 1;
  v_at := greatest(v_now, v_head.last_activity);
  v_day := (v_at at time zone 'utc')::date;
  -- What changes a message ends with it; that it was deleted is known as long as anything else of that time.
  v_expires := case when p_kind = 5 then v_at + make_interval(secs => v_head.retention_seconds) else v_target.expires_at end;
  update conversations c set last_seq = v_seq, last_activity = v_at where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_kept, v_day, p_conversation, v_seq, p_id, p_actor, p_kind, v_at, v_expires, false, v_head.counted, p_digest, p_body);
  if p_kind = 4 then
    insert into edits (conversation, target_seq, seq, day, kept) values (p_conversation, p_target, v_seq, v_day, v_kept);
  elsif p_kind = 5 then
    -- Its tree is its own: the retention may have changed since it was stored.
    perform erase_message(p_conversation, p_target, p_day, v_target.kept);
  else
    insert into reactions (conversation, target_seq, account, emoji, present, seq, day, kept, expires_at)
    values (p_conversation, p_target, p_actor, p_emoji, p_present, v_seq, v_day, v_kept, v_target.expires_at)
    on conflict (conversation, target_seq, account, emoji)
      do update set present = excluded.present, seq = excluded.seq, day = excluded.day, kept = excluded.kept;
    update events e set body = null, reason = 1
    where e.kept = v_old.kept and e.day = v_old.day and e.conversation = p_conversation and e.seq = v_old.seq and e.body is not null;
  end if;
  return query select 0, v_seq, v_head.members_version, unix_ms(v_at), unix_ms(v_expires);
end $function$;

CREATE OR REPLACE FUNCTION public.change_refusal(p_head conversations, p_target events, p_actor uuid, p_kind smallint, p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_member members;
begin
  select * into v_member from members m
  where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null;
  if v_member.account is null or p_target.kind is distinct from 1
     or (seen_seqs(p_head.id, p_actor) @> p_target.seq) is not true
     or (p_target.sender <> p_actor and withheld_seqs(p_head.id, p_actor) @> p_target.seq) then
    return 4;
  end if;
  if p_kind = 5 then
    if p_target.sender <> p_actor and (p_head.kind = 1 or v_member.role = 3) then return 8; end if;
    if p_target.body is null or p_target.expires_at <= p_now then return 13; end if;
    return 0;
  end if;
  if not v_member.can_send or (p_kind = 4 and p_target.sender <> p_actor) then return 8; end if;
  if p_target.body is null or p_target.expires_at <= p_now then return 12; end if;
  return 0;
end $function$;

CREATE OR REPLACE FUNCTION public.clear_dm(p_conversation uuid, p_account uuid)
 RETURNS integer
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_head conversations;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  select * into v_head from conversations c where c.id = p_conversation;
  if not exists (select from members m
                 where m.conversation = p_conversation and m.account = p_account and m.left_seq is null) then
    return 4;
  end if;
  if v_head.kind <> 1 then return 8; end if;
  update members m
  set joined_seq = v_head.last_seq + 1, counted_read = v_head.counted, archived = false, changed_at = clock_timestamp()
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null and m.joined_seq <= v_head.last_seq;
  return 0;
end $function$;

CREATE OR REPLACE FUNCTION public.conversation_change_refusal(p_head conversations, p_actor uuid, p_name text, p_retention integer, p_account uuid, p_role smallint)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_own   smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null);
  v_other smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_account and m.left_seq is null);
begin
  if v_own is null then return 4; end if;
  if p_head.kind = 1 then return 8; end if;
  if p_account is null then
    if v_own = 3 then return 8; end if;
    if (p_name is null or p_name is not distinct from p_head.name)
       and (p_retention is null or p_retention = coalesce(p_head.retention_seconds, p_head.expire_seconds, 0)) then
      return 13;
    end if;
    return null;
  end if;
  if v_own <> 1 then return 8; end if;
  if v_other is null then return 10; end if;
  if v_other = p_role then return 13; end if;
  -- Who owns it hands it over by naming the next owner.
  if p_account = p_actor then return 8; end if;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.counted_at(p_conversation uuid, p_seq bigint)
 RETURNS bigint
 LANGUAGE sql
 STABLE
 SET enable_seqscan TO 'off'
AS $function$
  select coalesce(
    (select e.counted - (e.counts and e.seq > p_seq)::int from events e
     where e.conversation = p_conversation and e.seq >= p_seq order by e.seq limit 1),
    (select c.counted from conversations c where c.id = p_conversation))
$function$;

CREATE OR REPLACE FUNCTION public.create_channel(p_conversation uuid, p_encryption smallint, p_name text, p_creator uuid, p_others uuid[], p_retention integer, p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea, p_slug text, p_public boolean, p_shared boolean, p_open_posting boolean)
 RETURNS TABLE(o_status integer, o_conversation uuid, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_made record;
begin
  select * into v_made from create_conversation(p_conversation, 3::smallint, p_encryption, p_name, p_creator, p_others,
    p_retention, null, p_data_key, p_id, p_digest, p_body);
  if v_made.o_status = 0 then
    insert into channels (conversation, slug, public, shared, open_posting, members)
    select p_conversation, p_slug, p_public, p_shared, p_open_posting, count(*) from members m where m.conversation = p_conversation;
    if not p_open_posting then
      update members m set can_send = false where m.conversation = p_conversation and m.role = 3;
    end if;
  end if;
  return query select v_made.o_status, v_made.o_conversation, v_made.o_seq, v_made.o_version, v_made.o_at, v_made.o_expires;
end $function$;

CREATE OR REPLACE FUNCTION public.create_conversation(p_conversation uuid, p_kind smallint, p_encryption smallint, p_name text, p_creator uuid, p_others uuid[], p_retention integer, p_dm_key bytea, p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_conversation uuid, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_at      timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_expires timestamptz := v_at + make_interval(secs => p_retention);
  v_old     conversations;
begin
  -- Waits for a creation of the same dm that is under way.
  insert into conversations (id, kind, encryption, name, created_by, created_at, retention_seconds, dm_key, data_key,
                             last_seq, last_activity)
  values (p_conversation, p_kind, p_encryption, p_name, p_creator, v_at, p_retention, p_dm_key, p_data_key, 1, v_at)
  on conflict do nothing;
  if not found then
    select * into v_old from conversations c where c.dm_key = p_dm_key;
    if v_old.id is null then -- no dm: the same call again, or a foreign id
      select * into v_old from conversations c
      where c.id = p_conversation and c.created_by = p_creator and c.kind = p_kind and c.dm_key is not distinct from p_dm_key;
    end if;
    if v_old.id is null then
      return query select 2, p_conversation, 0::bigint, 0, 0::double precision, null::double precision;
    else
      return query select 1, v_old.id, 1::bigint, v_old.members_version, unix_ms(v_old.created_at),
        unix_ms(v_old.created_at + make_interval(secs => v_old.retention_seconds));
    end if;
    return;
  end if;
  insert into members (conversation, account, joined_seq, delivered_seq, read_seq, counted_read, joined_at, role)
  select p_conversation, a.account, 1, 0, 0, 0, v_at, case when a.account = p_creator and p_kind <> 1 then 1 else 3 end
  from (select p_creator as account union select unnest(p_others)) a
  order by a.account; -- one order of the accounts' locks
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (p_retention is null, (v_at at time zone 'utc')::date, p_conversation, 1, p_id, p_creator, 2,
          v_at, v_expires, false, 0, p_digest, p_body);
  return query select 0, p_conversation, 1::bigint, 1, unix_ms(v_at), unix_ms(v_expires);
end $function$;

CREATE OR REPLACE FUNCTION public.create_dm(p_conversation uuid, p_encryption smallint, p_creator uuid, p_other uuid, p_retention integer, p_dm_key bytea, p_data_key bytea, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_conversation uuid, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
begin
  perform lock_pair(p_creator, p_other);
  if exists (select from account_blocks b where b.blocker = p_creator and b.blocked = p_other)
     and not exists (select from conversations c where c.dm_key = p_dm_key) then
    return query select 12, p_conversation, 0::bigint, 0, 0::double precision, null::double precision;
    return;
  end if;
  return query select * from create_conversation(p_conversation, 1::smallint, p_encryption, null, p_creator,
    array[p_other], p_retention, p_dm_key, p_data_key, p_id, p_digest, p_body);
  insert into withheld (conversation, reader, sender, from_seq)
  select p_conversation, b.blocker, b.blocked, 1 from account_blocks b
  where b.blocker = p_other and b.blocked = p_creator
    and exists (select from conversations c where c.id = p_conversation)
  on conflict do nothing;
end $function$;

CREATE OR REPLACE FUNCTION public.depart_conversation(p_conversation uuid, p_account uuid, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_at double precision, o_expires double precision)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head    conversations;
  v_at      timestamptz;
  v_expires timestamptz;
  v_seq     bigint;
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  v_seq := v_head.last_seq + 1;
  update members m set left_seq = v_seq
  where m.conversation = p_conversation and m.account = p_account and m.left_seq is null;
  if not found then
    return query select 10, 0::bigint, 0, 0::double precision, null::double precision;
    return;
  end if;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  v_expires := v_at + make_interval(secs => v_head.retention_seconds);
  if v_head.kind <> 1 then perform hand_over_ownership(p_conversation); end if;
  update conversations c
  set last_seq = v_seq, members_version = c.members_version + 1, last_activity = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_seq, p_id, p_account, 2,
          v_at, v_expires, false, v_head.counted, p_digest, p_body);
  return query select 0, v_seq, v_head.members_version + 1, unix_ms(v_at), unix_ms(v_expires);
end $function$;

CREATE OR REPLACE FUNCTION public.dms_of_pair(p_one uuid, p_other uuid)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE
AS $function$
  select c.id from members a
  join members b on b.conversation = a.conversation and b.account = p_other and b.left_seq is null
  join conversations c on c.id = a.conversation and c.kind = 1
  where a.account = p_one and a.left_seq is null
  order by c.id
$function$;

CREATE OR REPLACE FUNCTION public.edit_at(p_kept boolean, p_day date, p_conversation uuid, p_seq bigint)
 RETURNS TABLE(id uuid, at timestamp with time zone, body bytea)
 LANGUAGE plpgsql
 STABLE STRICT ROWS 1
 SET enable_seqscan TO 'off'
AS $function$
begin
  return query select e.id, e.at, e.body from events e
  where e.kept = p_kept and e.day = p_day and e.conversation = p_conversation and e.seq = p_seq;
end $function$;

CREATE OR REPLACE FUNCTION public.empty_ended(p_conversation uuid, p_places integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_from bigint;
  v_last bigint := (select c.last_seq from conversations c where c.id = p_conversation);
begin
  perform 1 from conversations c where c.id = p_conversation for no key update; -- first, as everybody does
  select e.emptied_seq into v_from from endings e where e.conversation = p_conversation for update;
  if not found then return true; end if;
  update events e set body = null, reason = 1
  where e.conversation = p_conversation and e.seq > v_from and e.seq <= v_from + p_places and e.body is not null;
  delete from edits d where d.conversation = p_conversation and d.target_seq > v_from and d.target_seq <= v_from + p_places;
  delete from reactions r where r.conversation = p_conversation and r.target_seq > v_from and r.target_seq <= v_from + p_places;
  delete from hidden_messages h where h.conversation = p_conversation and h.seq > v_from and h.seq <= v_from + p_places;
  if v_from + p_places < v_last then
    update endings e set emptied_seq = v_from + p_places where e.conversation = p_conversation;
    return false;
  end if;
  delete from endings e where e.conversation = p_conversation;
  update conversations c set data_key = null where c.id = p_conversation;
  return true;
end $function$;

CREATE OR REPLACE FUNCTION public.end_channel()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  update channels h set public = false, slug = null, members = 0 where h.conversation = new.id;
  return null;
end $function$;

CREATE OR REPLACE FUNCTION public.end_conversation(p_conversation uuid, p_actor uuid, p_id uuid, p_digest bytea, p_body bytea)
 RETURNS TABLE(o_status integer, o_seq bigint, o_version integer, o_at double precision, o_left uuid[])
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_head conversations;
  v_role smallint;
  v_at   timestamptz;
  v_left uuid[];
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  -- From here on every statement sees what was committed under the lock.
  select * into v_head from conversations c where c.id = p_conversation;
  select m.role into v_role from members m
  where m.conversation = p_conversation and m.account = p_actor and m.left_seq is null;
  if v_role is null or v_head.kind = 1 or v_role <> 1 then
    return query select case when v_role is null then 4 when v_head.kind = 1 then 8 else 14 end,
      0::bigint, 0, null::double precision, null::uuid[];
    return;
  end if;
  v_at := greatest(date_trunc('milliseconds', clock_timestamp()), v_head.last_activity);
  with closed as (
    update members m set left_seq = v_head.last_seq + 1
    where m.conversation = p_conversation and m.left_seq is null returning m.account)
  select array_agg(account) into v_left from closed;
  update conversations c
  set last_seq = v_head.last_seq + 1, purged_seq = v_head.last_seq + 1, members_version = c.members_version + 1,
      last_activity = v_at, name = null, ended_at = v_at
  where c.id = p_conversation;
  insert into events (kept, day, conversation, seq, id, sender, kind, at, expires_at, counts, counted, digest, body)
  values (v_head.retention_seconds is null, (v_at at time zone 'utc')::date, p_conversation, v_head.last_seq + 1, p_id,
          p_actor, 2, v_at, v_at + make_interval(secs => v_head.retention_seconds), false, v_head.counted, p_digest, p_body);
  insert into endings (conversation, emptied_seq) values (p_conversation, 0);
  return query select 0, v_head.last_seq + 1, v_head.members_version + 1, unix_ms(v_at), v_left;
end $function$;

CREATE OR REPLACE FUNCTION public.end_deserted(p_conversation uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  update conversations c set purged_seq = c.last_seq, name = null, ended_at = c.last_activity
  where c.id = p_conversation and c.kind <> 1 and c.ended_at is null
    and not exists (select from members m where m.conversation = p_conversation and m.left_seq is null);
  if found then
    insert into endings (conversation, emptied_seq) values (p_conversation, 0);
  end if;
end $function$;

CREATE OR REPLACE FUNCTION public.ensure_partitions(p_now timestamp with time zone)
 RETURNS integer
 LANGUAGE plpgsql
 SET lock_timeout TO '3s'
AS $function$
declare
  v_made int := 0;
  v_part record;
begin
  if not exists (select 1 from missing_partitions(p_now)) then return 0; end if;
  perform pg_advisory_xact_lock(hashtextextended('sotto.partitions', 0));
  -- Asked again, because another node may have been quicker.
  for v_part in select * from missing_partitions(p_now) loop
    execute format('create table %I (like events_template including all)', v_part.name);
    execute format('alter table %I attach partition %I for values from (%L) to (%L)',
                   v_part.tree, v_part.name, v_part.low, v_part.high);
    v_made := v_made + 1;
  end loop;
  return v_made;
end $function$;

CREATE OR REPLACE FUNCTION public.erase_message(p_conversation uuid, p_target bigint, p_day date, p_kept boolean)
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
AS $function$
begin
  update events e set body = null, reason = 1
  where e.kept = p_kept and e.day = p_day and e.conversation = p_conversation and e.seq = p_target and e.body is not null;
  with gone as (
    delete from edits d where d.conversation = p_conversation and d.target_seq = p_target returning d.kept, d.day, d.seq)
  update events e set body = null, reason = 1 from gone g
  where e.kept = g.kept and e.day = g.day and e.conversation = p_conversation and e.seq = g.seq and e.body is not null;
  with gone as (
    delete from reactions r where r.conversation = p_conversation and r.target_seq = p_target returning r.kept, r.day, r.seq)
  update events e set body = null, reason = 1 from gone g
  where e.kept = g.kept and e.day = g.day and e.conversation = p_conversation and e.seq = g.seq and e.body is not null;
end $function$;

CREATE OR REPLACE FUNCTION public.expire_bodies(p_now timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET lock_timeout TO '1s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_left int := p_limit;
  v_done int;
  v_part regclass;
begin
  for v_part in select t.relid from pg_partition_tree('events') t where t.isleaf order by t.relid::regclass::text loop
    -- By the partial index on expires_at.
    execute format(
      'with due as (select ctid from %1$s where expires_at <= $1 and expires_at is not null and body is not null
                    order by expires_at limit $2 for update skip locked)
       update %1$s set body = null, reason = 2 where ctid = any (array(select ctid from due))', v_part)
      using p_now, v_left;
    get diagnostics v_done = row_count;
    v_left := v_left - v_done;
    exit when v_left <= 0;
  end loop;
  return p_limit - v_left;
end $function$;

CREATE OR REPLACE FUNCTION public.expire_reactions(p_now timestamp with time zone, p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET lock_timeout TO '1s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_done int;
begin
  -- By reactions_expiry. Rows that are locked are left for the next run.
  with due as (
    select r.ctid from reactions r where r.expires_at <= p_now order by r.expires_at limit p_limit for update skip locked)
  delete from reactions r where r.ctid = any (array(select ctid from due));
  get diagnostics v_done = row_count;
  return v_done;
end $function$;

CREATE OR REPLACE FUNCTION public.follow_role()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
declare
  v_open boolean;
begin
  select h.open_posting into v_open from channels h where h.conversation = new.conversation;
  if found then new.can_send := v_open or new.role <> 3; end if;
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.forget_member(p_conversation uuid, p_account uuid)
 RETURNS void
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
begin
  perform 1 from conversations c where c.id = p_conversation for no key update;
  update members m
  set counted_read = c.counted, changed_at = clock_timestamp(),
      joined_seq = case when w.hidden then c.last_seq + 1 else m.joined_seq end
  from conversations c,
       (select x.reader, bool_or(x.from_seq = 1 and x.to_seq is null) as hidden from withheld x
        where x.conversation = p_conversation and x.sender = p_account group by x.reader) w
  where c.id = p_conversation and m.conversation = c.id and m.account = w.reader and m.left_seq is null;
  delete from withheld w where w.conversation = p_conversation and (w.reader = p_account or w.sender = p_account);
  delete from confirmations f where f.conversation = p_conversation and f.account = p_account;
  delete from device_cursors d where d.conversation = p_conversation and d.account = p_account;
  -- dm_key is made from the two ids; nobody can ask for a dm with somebody who is gone.
  update conversations c set created_by = nullif(c.created_by, p_account), dm_key = null where c.id = p_conversation;
  if not exists (select from members m where m.conversation = p_conversation and m.left_seq is null) then
    update conversations c set name = null, data_key = null, created_by = null, purged_seq = c.last_seq
    where c.id = p_conversation;
  end if;
  delete from members m where m.conversation = p_conversation and m.account = p_account;
end $function$;

CREATE OR REPLACE FUNCTION public.hand_over_channel(p_conversation uuid)
 RETURNS void
 LANGUAGE sql
AS $function$
  update members set role = 1
  where (conversation, account, joined_seq) = (
      select m.conversation, m.account, m.joined_seq from members m
      where m.conversation = p_conversation and m.left_seq is null and m.role = 2
      order by m.joined_seq, m.account limit 1)
    and not exists (select from members m where m.conversation = p_conversation and m.left_seq is null and m.role = 1)
$function$;

CREATE OR REPLACE FUNCTION public.hand_over_ownership(p_conversation uuid)
 RETURNS void
 LANGUAGE sql
AS $function$
  update members set role = 1
  where (conversation, account, joined_seq) = (
      select m.conversation, m.account, m.joined_seq from members m
      where m.conversation = p_conversation and m.left_seq is null
      order by m.role, m.joined_seq, m.account limit 1)
    and not exists (select 1 from members m where m.conversation = p_conversation and m.left_seq is null and m.role = 1)
$function$;

CREATE OR REPLACE FUNCTION public.hide_message(p_account uuid, p_conversation uuid, p_seq bigint, p_message uuid)
 RETURNS TABLE(o_number bigint, o_known boolean)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_number bigint;
begin
  insert into hidden_heads (account, last) values (p_account, 0)
  on conflict (account) do update set last = hidden_heads.last;
  -- From here on every statement sees what was committed under that lock.
  select h.number into v_number from hidden_messages h
  where h.account = p_account and h.conversation = p_conversation and h.seq = p_seq;
  if found then
    return query select v_number, true;
    return;
  end if;
  update hidden_heads h set last = h.last + 1 where h.account = p_account returning h.last into v_number;
  insert into hidden_messages (account, conversation, seq, message, number)
  values (p_account, p_conversation, p_seq, p_message, v_number);
  return query select v_number, false;
end $function$;

CREATE OR REPLACE FUNCTION public.is_shared_with(p_conversation uuid, p_account uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  select coalesce((
    select h.shared and (h.public or exists (
      select from members m where m.conversation = p_conversation and m.account = p_account and m.left_seq is null))
    from channels h where h.conversation = p_conversation), false)
$function$;

CREATE OR REPLACE FUNCTION public.keep_audit_log()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  if tg_op = 'DELETE' then
    if old.at < now() - interval '365 days' then
      return old;
    end if;
  end if;
  raise exception 'Leave the audit log as it is: % is refused', lower(tg_op) using errcode = 'insufficient_privilege';
end;
$function$;

CREATE OR REPLACE FUNCTION public.known_event(p_conversation uuid, p_actor uuid, p_kind smallint, p_id uuid, p_digest bytea, p_now timestamp with time zone)
 RETURNS TABLE(o_status integer, o_seq bigint, o_at double precision, o_expires double precision)
 LANGUAGE sql
 STABLE
AS $function$
  select case when e.conversation = p_conversation and e.sender = p_actor and e.kind = p_kind and e.digest = p_digest
              then 1 else 2 end,
         e.seq, unix_ms(e.at), unix_ms(e.expires_at)
  from events e
  where e.id = p_id and e.day >= (least(p_now - interval '24 hours', time_of_id(p_id)) at time zone 'utc')::date - 1
  order by e.conversation = p_conversation desc limit 1
$function$;

CREATE OR REPLACE FUNCTION public.lock_pair(p_one uuid, p_other uuid)
 RETURNS void
 LANGUAGE sql
AS $function$
  select pg_advisory_xact_lock(hashtextextended('pair ' || least(p_one, p_other) || ' ' || greatest(p_one, p_other), 0))
$function$;

CREATE OR REPLACE FUNCTION public.lowest_id_at(p_at timestamp with time zone)
 RETURNS uuid
 LANGUAGE sql
 STABLE
AS $function$
  select (lpad(to_hex((extract(epoch from p_at) * 1000)::bigint), 12, '0') || '00000000000000000000')::uuid
$function$;

CREATE OR REPLACE FUNCTION public.membership_refusal(p_head conversations, p_actor uuid, p_change smallint, p_accounts uuid[], p_limit integer)
 RETURNS integer
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_role  smallint := (select m.role from members m
                       where m.conversation = p_head.id and m.account = p_actor and m.left_seq is null);
  v_asked int := (select count(distinct a) from unnest(p_accounts) a);
  v_there int := (select count(*) from members m
                  where m.conversation = p_head.id and m.account = any (p_accounts) and m.left_seq is null);
begin
  if v_role is null then return 4; end if;
  if p_head.kind = 1 or v_asked = 0 then return 8; end if;
  if p_change = 1 then
    if v_role = 3 then return 8; end if;
    if v_there > 0 then return 9; end if;
    if v_asked + (select count(*) from members m where m.conversation = p_head.id and m.left_seq is null) > p_limit then
      return 11;
    end if;
    return 0;
  end if;
  if v_asked = 1 and p_accounts[1] = p_actor then return 0; end if;
  if v_role = 3 then return 8; end if;
  if v_there < v_asked then return 10; end if;
  if v_role = 2 and exists (
    select 1 from members m where m.conversation = p_head.id and m.account = any (p_accounts)
      and m.left_seq is null and m.role <> 3 and m.account <> p_actor) then
    return 8;
  end if;
  return 0;
end $function$;

CREATE OR REPLACE FUNCTION public.missing_partitions(p_now timestamp with time zone)
 RETURNS TABLE(name text, tree text, low date, high date)
 LANGUAGE sql
AS $function$
  with today as (select (p_now at time zone 'utc')::date as day),
  wanted as (
    select 'events_d' || to_char(d, 'YYYYMMDD') as name, 'events_expiring' as tree, d::date as low, d::date + 1 as high
    from today t, generate_series((t.day - 1)::timestamp, (t.day + 3)::timestamp, interval '1 day') d
    union all
    select 'events_m' || to_char(m, 'YYYYMM'), 'events_kept', m::date, (m + interval '1 month')::date
    from today t, generate_series(date_trunc('month', (t.day - 1)::timestamp), date_trunc('month', t.day::timestamp) + interval '1 month',
                                  interval '1 month') m)
  select w.name, w.tree, w.low, w.high from wanted w
  where not exists (
    select 1 from pg_class c
    where c.relname = w.name and c.relnamespace = (select r.relnamespace from pg_class r where r.oid = 'events'::regclass))
  order by w.name
$function$;

CREATE OR REPLACE FUNCTION public.newest_edit(p_conversation uuid, p_target bigint, p_seen int8multirange, p_withheld int8multirange)
 RETURNS TABLE(seq bigint, day date, kept boolean)
 LANGUAGE sql
 STABLE ROWS 1
AS $function$
  select d.seq, d.day, d.kept from edits d
  where d.conversation = p_conversation and d.target_seq = p_target
    and p_seen @> d.seq and (p_withheld @> d.seq) is not true
  order by d.seq desc limit 1
$function$;

CREATE OR REPLACE FUNCTION public.note_changed_member()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  new.changed_at := clock_timestamp();
  return new;
end $function$;

CREATE OR REPLACE FUNCTION public.partition_is_over(p_partition regclass, p_now timestamp with time zone)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
AS $function$
declare
  v_live boolean;
begin
  execute format('select exists (select 1 from %s where expires_at is null or expires_at > $1)', p_partition)
    into v_live using p_now;
  return not v_live;
end $function$;

CREATE OR REPLACE FUNCTION public.put_in_inboxes(p_sender uuid, p_sender_device uuid, p_sender_session uuid, p_account uuid, p_session uuid, p_kind smallint, p_id uuid, p_digest bytea, p_body bytea, p_most integer, p_most_bytes integer, p_most_of_one integer, p_most_bytes_of_one integer, p_window integer, p_keep integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_devices  uuid[];
  v_missing  uuid[];
  v_room     uuid[];
  v_size     int := octet_length(p_body);
  v_withheld boolean;
  v_at       timestamptz;
begin
  perform lock_pair(p_sender, p_account);
  select array_agg(s.device order by s.device) into v_devices from sessions s
  where s.account = p_account and s.ended_at is null and s.expires_at > clock_timestamp()
    and s.device <> p_sender_device and (p_session is null or s.id = p_session);
  if v_devices is null then return 1; end if;
  insert into device_inboxes (device) select d from unnest(v_devices) d order by d on conflict do nothing;
  perform 1 from device_inboxes h where h.device = any (v_devices) order by h.device for no key update;
  -- From here on every statement sees what was committed under the locks.
  if exists (
    select from device_inbox x
    where x.account = p_account and x.device = any (v_devices) and x.sender = p_sender and x.id = p_id
      and (x.kind, x.digest) is distinct from (p_kind, p_digest)
  ) then
    return 2;
  end if;
  select array_agg(d) into v_missing from unnest(v_devices) d
  where not exists (
    select from device_inbox x where x.account = p_account and x.device = d and x.sender = p_sender and x.id = p_id);
  if v_missing is null then return 0; end if;
  v_at := date_trunc('milliseconds', clock_timestamp());
  if abs(extract(epoch from v_at - time_of_id(p_id))) > p_window then return 4; end if;
  select array_agg(d) into v_room from unnest(v_missing) d
  where (
    select count(*) < p_most and coalesce(sum(x.size), 0) + v_size <= p_most_bytes
    from device_inbox x where x.device = d and x.seq is not null and x.body is not null
  ) and (
    select count(*) < p_most_of_one and coalesce(sum(x.size), 0) + v_size <= p_most_bytes_of_one
    from device_inbox x where x.account = p_account and x.device = d and x.sender = p_sender
  );
  if v_room is null then return 3; end if;
  v_withheld := exists (select from account_blocks b where b.blocker = p_account and b.blocked = p_sender);
  update device_inboxes h set last_seq = h.last_seq + (not v_withheld)::int where h.device = any (v_room);
  insert into device_inbox
    (account, device, sender, id, sender_session, kind, seq, digest, size, body, at, expires_at)
  select p_account, h.device, p_sender, p_id, p_sender_session, p_kind, case when not v_withheld then h.last_seq end,
         p_digest, v_size, case when v_withheld then decode(repeat('00', v_size), 'hex') else p_body end,
         v_at, v_at + make_interval(secs => p_keep)
  from device_inboxes h where h.device = any (v_room);
  return case when cardinality(v_room) < cardinality(v_missing) then 3 else 0 end;
end $function$;

CREATE OR REPLACE FUNCTION public.raise_purged(p_partition regclass, p_after uuid, p_limit integer)
 RETURNS uuid
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
 SET enable_seqscan TO 'off'
AS $function$
declare
  v_ids  uuid[];
  v_tops bigint[];
begin
  execute format(
    'select array_agg(s.conversation order by s.conversation), array_agg(s.top order by s.conversation)
     from (select conversation, max(seq) as top from %s where conversation > $1
           group by conversation order by conversation limit $2) s', p_partition)
    into v_ids, v_tops using p_after, p_limit;
  if v_ids is null then return null; end if;
  perform 1 from conversations c where c.id = any (v_ids) order by c.id for no key update;
  update conversations c set purged_seq = s.top
  from unnest(v_ids, v_tops) s (id, top) where c.id = s.id and c.purged_seq < s.top;
  delete from confirmations f using unnest(v_ids, v_tops) s (id, top)
  where f.conversation = s.id and f.seq <= s.top;
  delete from edits d using unnest(v_ids, v_tops) s (id, top)
  where d.conversation = s.id and d.target_seq <= s.top;
  delete from reactions r using unnest(v_ids, v_tops) s (id, top)
  where r.conversation = s.id and r.target_seq <= s.top;
  delete from hidden_messages h using unnest(v_ids, v_tops) s (id, top)
  where h.conversation = s.id and h.seq <= s.top;
  return v_ids[cardinality(v_ids)];
end $function$;

CREATE OR REPLACE FUNCTION public.read_inboxes(p_devices uuid[], p_after bigint[], p_window integer)
 RETURNS TABLE(o_place integer, o_seq bigint, o_kind smallint, o_id uuid, o_sender uuid, o_session uuid, o_body bytea, o_at timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $function$
  select d.place::int, e.seq, e.kind, e.id, e.sender, e.sender_session, e.body, e.at
  from unnest(p_devices, p_after) with ordinality d (device, after, place)
  cross join lateral (
    select x.seq, x.kind, x.id, x.sender, x.sender_session, x.body, x.at from device_inbox x
    where x.device = d.device and x.seq > d.after and x.body is not null and x.expires_at > now()
    order by x.seq
    limit p_window - (
      select count(*) from (
        select from device_inbox y
        where y.device = d.device and y.seq <= d.after and y.body is not null and y.expires_at > now()
        limit p_window) w)
  ) e
  order by d.place, e.seq
$function$;

CREATE OR REPLACE FUNCTION public.seen_seqs(p_conversation uuid, p_account uuid)
 RETURNS int8multirange
 LANGUAGE sql
 STABLE
AS $function$
  select case when is_shared_with(p_conversation, p_account) then int8multirange(int8range(1, null))
              else (select range_agg(int8range(m.joined_seq, m.left_seq)) from members m
                    where m.conversation = p_conversation and m.account = p_account) end
$function$;

CREATE OR REPLACE FUNCTION public.settled_at()
 RETURNS timestamp with time zone
 LANGUAGE sql
AS $function$
  select least(clock_timestamp(), min(a.xact_start)) - interval '10 seconds'
  from pg_stat_activity a where a.datname = current_database() and a.backend_xid is not null
$function$;

CREATE OR REPLACE FUNCTION public.time_of_id(p_id uuid)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  select to_timestamp(('x0000' || substr(replace(p_id::text, '-', ''), 1, 12))::bit(64)::bigint / 1000.0)
$function$;

CREATE OR REPLACE FUNCTION public.unblock_account(p_blocker uuid, p_blocked uuid)
 RETURNS TABLE(o_conversation uuid, o_seq bigint)
 LANGUAGE plpgsql
 SET lock_timeout TO '2s'
AS $function$
declare
  v_id  uuid;
  v_seq bigint;
begin
  perform lock_pair(p_blocker, p_blocked);
  delete from account_blocks b where b.blocker = p_blocker and b.blocked = p_blocked;
  for v_id in select w.conversation from withheld w
              where w.reader = p_blocker and w.sender = p_blocked and w.to_seq is null order by w.conversation loop
    update conversations c set members_version = c.members_version + 1 where c.id = v_id returning c.last_seq into v_seq;
    delete from withheld w
    where w.conversation = v_id and w.reader = p_blocker and w.to_seq is null and w.from_seq > v_seq;
    update withheld w set to_seq = v_seq where w.conversation = v_id and w.reader = p_blocker and w.to_seq is null;
    update members m set changed_at = clock_timestamp()
    where m.conversation = v_id and m.account = p_blocker and m.left_seq is null;
    return query select v_id, v_seq;
  end loop;
end $function$;

CREATE OR REPLACE FUNCTION public.unix_ms(p_at timestamp with time zone)
 RETURNS double precision
 LANGUAGE sql
 STABLE
AS $function$
  select (extract(epoch from p_at) * 1000)::double precision
$function$;

CREATE OR REPLACE FUNCTION public.withheld_seqs(p_conversation uuid, p_reader uuid)
 RETURNS int8multirange
 LANGUAGE sql
 STABLE
AS $function$
  select range_agg(int8range(w.from_seq, w.to_seq, '[]')) from withheld w
  where w.conversation = p_conversation and w.reader = p_reader
$function$;

CREATE TRIGGER audit_log_rows BEFORE DELETE OR UPDATE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION keep_audit_log();

CREATE TRIGGER audit_log_whole BEFORE TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();

CREATE TRIGGER conversations_ended AFTER UPDATE OF ended_at ON public.conversations FOR EACH ROW WHEN (((old.ended_at IS NULL) AND (new.ended_at IS NOT NULL))) EXECUTE FUNCTION end_channel();

CREATE TRIGGER members_left BEFORE UPDATE OF left_seq ON public.members FOR EACH ROW WHEN ((old.left_seq IS DISTINCT FROM new.left_seq)) EXECUTE FUNCTION note_changed_member();

CREATE TRIGGER members_role BEFORE UPDATE OF role ON public.members FOR EACH ROW WHEN ((old.role IS DISTINCT FROM new.role)) EXECUTE FUNCTION follow_role();
