-- name: write
select stored, refused from {schema}.write(
    %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
);

-- name: find
select c.id::text, c.parent::text, c.body, t.salt, array(
    select w.body from {schema}.writes w
    where w.thread = c.thread and w.ns = c.ns and w.id = c.id order by w.at
)
from {schema}.checkpoints c join {schema}.threads t using (thread)
where c.thread = %(thread)s and c.ns = %(ns)s and (%(id)s::uuid is null or c.id = %(id)s)
order by c.id desc limit 1;

-- name: early
select w.ns, w.id::text, w.body from {schema}.writes w
where w.thread = %(thread)s and not exists (
    select from {schema}.checkpoints c
    where c.thread = w.thread and c.ns = w.ns and c.id >= w.id
)
order by w.ns, w.id, w.at;

-- name: elements
select e.stream, e.seq, e.data
from unnest(%(streams)s::bigint[], %(los)s::int[], %(his)s::int[]) as r (stream, lo, hi),
    lateral (
        select * from {schema}.elements
        where thread = %(thread)s and stream = r.stream and seq >= r.lo and seq < r.hi
        offset 0  -- one index scan a range: no plan to join them all
    ) e;

-- name: rows
select c.thread, t.thread_id, c.ns, c.id::text, c.parent::text, c.body, t.salt, array(
    select w.body from {schema}.writes w
    where w.thread = c.thread and w.ns = c.ns and w.id = c.id order by w.at
)
from {schema}.checkpoints c,
    lateral (
        select * from {schema}.threads where thread = c.thread
        offset 0  -- looked up for each: a merge would begin at the first thread on every page
    ) t
where (%(thread)s::uuid is null or c.thread = %(thread)s)
    and (%(ns)s::text is null or c.ns = %(ns)s)
    and (%(id)s::uuid is null or c.id = %(id)s)
    and (%(before)s::uuid is null or c.id < %(before)s)
    and (%(last_thread)s::uuid is null
        or (c.thread, c.ns, c.id) < (%(last_thread)s, %(last_ns)s, %(last_id)s))
order by c.thread desc, c.ns desc, c.id desc limit %(limit)s;

-- name: threads_of_runs
select distinct t.thread_id from {schema}.runs r join {schema}.threads t using (thread)
where r.run_id = any(%(runs)s);

-- name: remove
select {schema}.remove(
    %(thread)s, %(nss)s, %(ids)s, %(write_nss)s, %(write_ids)s, %(bodies)s,
    %(streams)s, %(los)s, %(his)s
);

-- name: delete_thread
select {schema}.delete_thread(%(thread)s, %(if_swept)s);

-- name: sweep
with idle as materialized (
    select thread, touched from {schema}.threads
    where touched < now() - %(idle)s * interval '1 second'
    order by touched limit %(limit)s for no key update skip locked
), given as (
    update {schema}.threads t set touched = now(), swept = true from idle
    where t.thread = idle.thread
    returning t.thread_id, idle.touched
)
select thread_id from given order by touched;
