-- name: failed
insert into frontdesk.job_failures (job_id, error) values (%(job_id)s, %(error)s)
on conflict (job_id) do update set error = excluded.error, at = now()

-- name: unlock
-- Whatever comes from now on is not in this job any more, and its next attempt must not meet it.
update procrastinate_jobs set queueing_lock = null where id = %(job_id)s

-- name: revive
-- Jobs of workers that are gone or silent go to others; hints do not, as the next sweep says the same.
with stalled as materialized (
    select job.id, job.queue_name, job.attempts + 1 >= %(attempts)s as spent
    from procrastinate_jobs job left join procrastinate_workers worker on worker.id = job.worker_id
    where job.status = 'doing' and (
        worker.id is null
        or worker.last_heartbeat < now() - %(silent)s * interval '1 second'
    )
    for update of job skip locked
), hints as (
    delete from procrastinate_jobs job using stalled
    where job.id = stalled.id and stalled.queue_name <> %(queue)s
), noted as (
    insert into frontdesk.job_failures (job_id, error)
    select id, 'WorkerLost: the worker died or was paused' from stalled where queue_name = %(queue)s
    on conflict (job_id) do update set error = excluded.error, at = now()
)
update procrastinate_jobs job
set status = (case when spent then 'failed' else 'todo' end)::procrastinate_job_status,
    attempts = job.attempts + 1, worker_id = null, queueing_lock = null, scheduled_at = null
from stalled
where job.id = stalled.id and stalled.queue_name = %(queue)s

-- name: tidy
with pruned as (
    delete from procrastinate_workers
    where last_heartbeat < now() - 2 * %(silent)s * interval '1 second'
)
delete from frontdesk.job_failures failure
where not exists (select 1 from procrastinate_jobs job where job.id = failure.job_id)

-- name: dead
select job.id, job.task_name as kind, job.args->>'key' as key, job.attempts,
    failure.at, failure.error
from procrastinate_jobs job left join frontdesk.job_failures failure on failure.job_id = job.id
where job.queue_name = %(queue)s and job.status in ('failed', 'aborted')
order by job.id

-- name: replay
update procrastinate_jobs
set status = 'todo', attempts = 0, scheduled_at = null, worker_id = null, queueing_lock = null
where queue_name = %(queue)s and status in ('failed', 'aborted')
  and (%(ids)s::bigint[] is null or id = any(%(ids)s))
returning id
