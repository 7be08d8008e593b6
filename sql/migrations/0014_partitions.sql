-- Partitions ahead of time, and what retention removes.
--
-- Why: rows of a day that is over and expired go by dropping their partition, not row by row.
-- Run by the role that owns the tables: this is DDL. No default partition, no foreign key to events.
-- Locks: see each function. All take the moment as an argument, so a test can move the clock.

-- The partitions that should be there and are not. From pg_class and not by to_regclass, which may
-- answer from a cache that is older than the lock.
create function missing_partitions(p_now timestamptz)
returns table (name text, tree text, low date, high date) language sql volatile as $$
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
$$;

-- Makes the daily partitions from yesterday to three days ahead and the monthly ones around them;
-- gives how many were made. Nothing is locked where nothing is missing.
-- Locks: ATTACH takes SHARE UPDATE EXCLUSIVE on the tree, which readers and writers pass
-- (PARTITION OF would take ACCESS EXCLUSIVE).
create function ensure_partitions(p_now timestamptz) returns int
language plpgsql volatile set lock_timeout = '3s' as $$
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
end $$;

-- Removes the bodies of at most p_limit expired events, oldest partition first; gives how many.
-- Rows that are locked are left for the next run.
create function expire_bodies(p_now timestamptz, p_limit int) returns int
language plpgsql volatile set lock_timeout = '1s' set enable_seqscan = off as $$
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
end $$;

-- Whether everything in a daily partition has expired.
create function partition_is_over(p_partition regclass, p_now timestamptz) returns boolean
language plpgsql stable as $$
declare
  v_live boolean;
begin
  execute format('select exists (select 1 from %s where expires_at is null or expires_at > $1)', p_partition)
    into v_live using p_now;
  return not v_live;
end $$;

-- Raises purged_seq over what a partition holds, for at most p_limit conversations after p_after in
-- id order; gives the last of them, or null when none was left. Confirmations below go too.
-- Locks: FOR NO KEY UPDATE on the heads, in id order, as append_events does.
create function raise_purged(p_partition regclass, p_after uuid, p_limit int) returns uuid
language plpgsql volatile set lock_timeout = '2s' set enable_seqscan = off as $$
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
  return v_ids[cardinality(v_ids)];
end $$;
