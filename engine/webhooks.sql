-- name: delivered
update frontdesk.webhooks w
set delivered_at = now(),
    attempts = 1 + coalesce(
        (select j.attempts from procrastinate_jobs j where j.id = w.job_id), 0
    )
where w.run_id = %(run_id)s;

-- name: deliveries
select * from (
    select w.run_id, w.thread_id, w.url, w.created_at, w.delivered_at, w.job_id,
        case
            when w.delivered_at is not null then 'delivered'
            when j.status in ('todo', 'doing') then 'pending'
            else 'failed'
        end as state,
        coalesce(w.attempts, j.attempts, 0) as attempts,
        case when w.delivered_at is null then f.error end as error,
        case when j.status = 'todo' then j.scheduled_at end as next_attempt_at
    from frontdesk.webhooks w
    left join procrastinate_jobs j on j.id = w.job_id
    left join frontdesk.job_failures f on f.job_id = w.job_id
    where (%(tenant)s::text is null or w.tenant = %(tenant)s)
      and (%(only)s::text is null or w.owner = %(only)s) and w.metadata @> %(filter)s::jsonb
      and (%(thread_id)s::uuid is null or w.thread_id = %(thread_id)s)
      and (%(run_ids)s::uuid[] is null or w.run_id = any(%(run_ids)s))
) known
where %(state)s::text is null or state = %(state)s
order by created_at desc, run_id
limit %(limit)s offset %(offset)s;
