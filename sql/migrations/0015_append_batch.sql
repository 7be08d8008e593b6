-- append_batch: append_events (0012) for the ordinary batch, at two thirds of its cost.
--
-- Why: nearly every batch holds only new events of members whose check still stands. Then there is
-- nothing to judge event by event, and numbers follow from where each event stands in the batch, which
-- the node says: no sorting, no windows, and no rows copied from step to step. Everything else goes to
-- append_events as it is, which judges it under the locks that are held already. It also serves nodes
-- of the version before.
-- Locks: as append_events, FOR NO KEY UPDATE on the heads in id order. Needs READ COMMITTED.
--
-- The heads' values are those that the locking statement itself returns: whoever waited for a lock is
-- given the row as it is then, not as its snapshot had it. Whether an id is known is asked by a later
-- statement, whose snapshot is newer than the locks.
--
-- p_heads: the conversations of the batch, each once, rising. Of each: p_last, its last event in the
-- batch, and p_last_message, its last of kind message or 0; both count from 1.
-- The other arrays have one element for each event: p_head says whose it is; p_place how many of the
-- batch's events of that conversation there are up to it, and p_counted how many of them count.
-- p_expire_after: -1 for none. The answer has one element for each event, as append_events says it.
create function append_batch(
  p_heads uuid[], p_last int[], p_last_message int[],
  p_id uuid[], p_sender uuid[], p_head int[], p_place int[], p_counted int[], p_version int[], p_kind smallint[],
  p_expire_after int[], p_counts boolean[], p_offset int[], p_length int[],
  p_digest bytea, p_body bytea, p_wait boolean)
returns table (o_status json, o_seq json, o_version json, o_at json, o_expires json)
language plpgsql volatile set enable_seqscan = off as $$
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
begin
  if p_wait then
    select array_agg(c.id), array_agg(c.ctid), array_agg(c.last_seq), array_agg(c.counted), array_agg(c.members_version),
           array_agg(c.retention_seconds), max(c.last_activity)
    into h_id, h_row, h_seq, h_counted, h_version, h_keep, v_newest
    from (select c.id, c.ctid, c.last_seq, c.counted, c.members_version, c.retention_seconds, c.last_activity
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
         v_now, v_now + make_interval(secs => least(h_keep[p_head[i]], nullif(p_expire_after[i], -1))),
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
         array_to_json(array(select v_ms + 1000::double precision * least(h_keep[p_head[i]], nullif(p_expire_after[i], -1))
                             from generate_series(1, v_events) i));
end $$;
