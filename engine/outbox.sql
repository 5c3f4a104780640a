-- name: add
-- A job that waits for its time already stands for this run too. Touching it keeps every worker
-- from taking it before this transaction commits; one that was just taken is no longer in the way.
with added as (
    insert into procrastinate_jobs (queue_name, task_name, queueing_lock, args, scheduled_at)
    select %(queue)s, job.name, job.lock,
        job.args || jsonb_build_object(
            'tenant', (select tenant from frontdesk.threads where thread_id = %(thread_id)s),
            'started_at', (select started_at from frontdesk.runs where run_id = %(run_id)s),
            'ended_at', now()
        ),
        case when job.delay > 0 then now() + job.delay * interval '1 second' end
    from jsonb_to_recordset(%(jobs)s::jsonb) as job (name text, lock text, args jsonb, delay float8)
    on conflict (queueing_lock) where status = 'todo'
    do update set scheduled_at = procrastinate_jobs.scheduled_at
    returning id, task_name, args
)
insert into frontdesk.webhooks (run_id, thread_id, tenant, owner, metadata, job_id, url)
select %(run_id)s, t.thread_id, t.tenant, t.owner, t.metadata, added.id, added.args->>'url'
from added join frontdesk.threads t on t.thread_id = %(thread_id)s
where added.task_name = 'webhook'
on conflict (run_id) do nothing;
