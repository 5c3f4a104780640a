-- name: lock_thread
select thread_id from frontdesk.threads where thread_id = %(thread_id)s for no key update;

-- name: claim
with next as (
    select run_id from frontdesk.runs
    where thread_id = %(thread_id)s and status = 'pending' and after <= now()
      and not exists (
          select 1 from frontdesk.runs x
          where x.thread_id = %(thread_id)s and x.status = 'running'
      )
    order by seq limit 1
), fence as (
    update frontdesk.threads set epoch = nextval('frontdesk.epochs'), status = 'busy'
    where thread_id = %(thread_id)s and exists (select 1 from next)
    returning epoch
)
update frontdesk.runs r
set status = 'running', attempt = attempt + 1, epoch = fence.epoch, worker = %(worker)s,
    lease_until = clock_timestamp() + %(lease)s * interval '1 second',
    started_at = coalesce(started_at, now()), updated_at = now()
from next, fence
where r.run_id = next.run_id
returning r.*;

-- name: waiting_threads
select r.thread_id from frontdesk.runs r
where r.status = 'pending' and r.after <= now() and not exists (
    select 1 from frontdesk.runs x where x.thread_id = r.thread_id and x.status = 'running'
)
group by r.thread_id order by min(r.seq) limit %(limit)s;

-- name: hold
select cancel, cancel_reason from frontdesk.runs
where run_id = %(run_id)s and epoch = %(epoch)s and status = 'running'
for update;

-- name: finish
update frontdesk.runs
set status = %(status)s, error = %(error)s::json, worker = null, lease_until = null,
    ended_at = now(), updated_at = now()
where run_id = %(run_id)s;

-- name: settle_thread
update frontdesk.threads t
set status = case when exists (
        select 1 from frontdesk.runs r
        where r.thread_id = t.thread_id and r.status in ('pending', 'running')
    ) then 'busy' else %(status)s end,
    values = %(values)s::json, interrupts = %(interrupts)s::json, error = %(error)s::json,
    updated_at = now(), state_updated_at = now()
where thread_id = %(thread_id)s;

-- name: drop_temporary
delete from frontdesk.threads t
where thread_id = %(thread_id)s and temporary and not exists (
    select 1 from frontdesk.runs r
    where r.thread_id = t.thread_id and r.status in ('pending', 'running')
)
returning thread_id;

-- name: erase
delete from frontdesk.runs where run_id = %(run_id)s;

-- name: hand_over
update frontdesk.runs
set status = 'pending', worker = null, lease_until = null, updated_at = now()
where run_id = %(run_id)s and epoch = %(epoch)s and status = 'running'
returning run_id;

-- name: beat
update frontdesk.runs set lease_until = clock_timestamp() + %(lease)s * interval '1 second'
where run_id = any(%(runs)s) and worker = %(worker)s and status = 'running'
returning run_id, epoch, cancel;

-- name: expired
select run_id, thread_id, crashes from frontdesk.runs
where status = 'running' and lease_until < clock_timestamp();

-- name: requeue
update frontdesk.runs
set status = 'pending', crashes = crashes + 1, worker = null, lease_until = null, updated_at = now()
where run_id = %(run_id)s and status = 'running' and lease_until < clock_timestamp()
returning run_id;

-- name: quarantine
update frontdesk.runs
set status = 'error', error = %(error)s::json, crashes = crashes + 1, worker = null,
    lease_until = null,
    ended_at = now(), updated_at = now()
where run_id = %(run_id)s and status = 'running' and lease_until < clock_timestamp()
returning run_id;

-- name: fail_thread
update frontdesk.threads t
set status = case when exists (
        select 1 from frontdesk.runs r
        where r.thread_id = t.thread_id and r.status in ('pending', 'running')
    ) then 'busy' else 'error' end,
    error = %(error)s::json, updated_at = now()
where thread_id = %(thread_id)s;

-- name: queue
select count(*) filter (where status = 'pending') as n_pending,
       count(*) filter (where status = 'running') as n_running,
       coalesce(max(extract(epoch from now() - after)) filter (where status = 'pending'), 0)::float8
           as pending_runs_wait_time_max_secs,
       coalesce(percentile_cont(0.5) within group (order by extract(epoch from now() - after))
           filter (where status = 'pending'), 0)::float8 as pending_runs_wait_time_med_secs
from frontdesk.runs
where status in ('pending', 'running');
