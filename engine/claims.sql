-- name: claim
select * from frontdesk.claim(
    %(thread_id)s, %(worker)s, %(lease)s, %(most)s, %(fence)s
);

-- name: waiting_threads
-- By turns between tenants, so that nobody's backlog is in front of everybody.
select thread_id from (
    select r.thread_id, r.tenant, min(r.seq) as seq,
        row_number() over (partition by r.tenant order by min(r.seq)) as turn
    from frontdesk.runs r
    where r.status = 'pending' and r.after <= now() and not exists (
        select 1 from frontdesk.runs x where x.thread_id = r.thread_id and x.status = 'running'
    ) and (%(most)s::int is null or %(most)s > (
        select count(*) from frontdesk.runs x where x.tenant = r.tenant and x.status = 'running'
    ))
    group by r.thread_id, r.tenant
) waiting
order by turn, seq limit %(limit)s;

-- name: finish
select * from frontdesk.finish(
    %(run_id)s, %(thread_id)s, %(epoch)s, %(erased)s, %(status)s, %(failure)s::json,
    %(resting)s, %(values)s::json, %(interrupts)s::json, %(error)s::json,
    %(worker)s, %(lease)s, %(most)s, %(fence)s
);

-- name: hold
select run_id from frontdesk.runs
where run_id = %(run_id)s and epoch = %(epoch)s and status = 'running'
for update;

-- name: renew
update frontdesk.runs set epoch = %(epoch)s where run_id = %(run_id)s returning *;

-- name: hand_over
update frontdesk.runs
set status = 'pending', worker = null, lease_until = null, updated_at = now()
where run_id = %(run_id)s and epoch = %(epoch)s and status = 'running'
returning run_id;

-- name: keep
-- Whoever waited for a stateless run was cut off, as a process stopped or died, and comes back for
-- what it leaves: its thread does not go with it, but a minute later.
update frontdesk.threads set temporary = false, ttl_minutes = 1, ttl_strategy = 'delete'
where thread_id = %(thread_id)s and temporary;

-- name: beat
update frontdesk.runs set lease_until = clock_timestamp() + %(lease)s * interval '1 second'
where run_id = any(%(runs)s) and worker = %(worker)s and status = 'running'
returning run_id, epoch, cancel;

-- name: lost
-- Runs whose worker has died, or does not end what was told to stop.
select run_id, thread_id, crashes, lease_until < clock_timestamp() as expired from frontdesk.runs
where status = 'running' and (
    lease_until < clock_timestamp()
    or cancelled_at < clock_timestamp() - %(grace)s * interval '1 second'
);

-- name: lock_thread
select thread_id from frontdesk.threads where thread_id = %(thread_id)s for no key update;

-- name: requeue
update frontdesk.runs
set status = 'pending', crashes = crashes + %(expired)s::int, worker = null, lease_until = null,
    updated_at = now()
where run_id = %(run_id)s and status = 'running' and (
    lease_until < clock_timestamp()
    or cancelled_at < clock_timestamp() - %(grace)s * interval '1 second'
)
returning run_id;

-- name: quarantine
update frontdesk.runs
set status = 'error', error = %(error)s::json, crashes = crashes + 1, worker = null,
    lease_until = null, ended_at = now(), updated_at = now()
where run_id = %(run_id)s and status = 'running' and lease_until < clock_timestamp()
returning *;

-- name: fail_thread
update frontdesk.threads t
set status = case when exists (
        select 1 from frontdesk.runs r
        where r.thread_id = t.thread_id and r.status in ('pending', 'running')
    ) then 'busy' else 'error' end,
    error = %(error)s::json, updated_at = now()
where thread_id = %(thread_id)s;

-- name: forget_keys
-- And how webhooks were delivered.
with old as (
    delete from frontdesk.webhooks where created_at < now() - interval '30 days'
)
delete from frontdesk.idempotency i
where created_at < now() - interval '24 hours'
  and not exists (  -- the tick of a cron that somebody took and has not come to an end with
    select from frontdesk.crons c
    where c.taken_until is not null and i.key like '%"cron:' || c.cron_id || ':%'
  );

-- name: load
-- How many due runs wait, by tenant; no more are looked at than would be refused anyway.
select tenant, count(*)::int as waiting from (
    select tenant from frontdesk.runs where status = 'pending' and after <= now() limit %(limit)s
) due
group by tenant;
