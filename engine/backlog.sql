-- name: backlog
select
    (select count(*) from frontdesk.runs where status = 'pending' and after <= now())::float8
        as runs_waiting,
    (select coalesce(max(extract(epoch from now() - after)), 0) from frontdesk.runs
        where status = 'pending' and after <= now())::float8 as runs_oldest_seconds,
    (select count(*) from frontdesk.runs where status = 'running')::float8 as runs_running,
    (select count(*) from frontdesk.effects where state = 'unknown')::float8 as effects_unknown,
    (select count(*) from procrastinate_jobs
        where queue_name = %(queue)s and status = 'todo')::float8 as jobs_waiting,
    (select count(*) from procrastinate_jobs
        where queue_name = %(queue)s and status in ('failed', 'aborted'))::float8 as jobs_dead,
    queue.*
from (
    select count(*) filter (where status = 'pending') as n_pending,
           count(*) filter (where status = 'running') as n_running,
           coalesce(max(extract(epoch from now() - after)) filter (where status = 'pending'), 0)::float8
               as pending_runs_wait_time_max_secs,
           coalesce(percentile_cont(0.5) within group (order by extract(epoch from now() - after))
               filter (where status = 'pending'), 0)::float8 as pending_runs_wait_time_med_secs
    from frontdesk.runs
    where status in ('pending', 'running')
) queue;
