-- name: read
-- While a run works, the values are those of before its epoch.
select t.tenant, t.values, t.epoch - (exists (
    select 1 from frontdesk.runs r where r.thread_id = t.thread_id and r.status = 'running'
))::int as version
from frontdesk.threads t where t.thread_id = %(thread_id)s

-- name: keep
-- An older reading never replaces a newer one, and whoever follows is told of what was kept.
with kept as (
    insert into frontdesk.summaries as s (
        thread_id, tenant, version, intent, outcome, turns, text
    )
    values (
        %(thread_id)s, %(tenant)s, %(version)s, %(intent)s, %(outcome)s, %(turns)s, %(text)s
    )
    on conflict (thread_id) do update
    set version = excluded.version, intent = excluded.intent, outcome = excluded.outcome,
        turns = excluded.turns, text = excluded.text, updated_at = now()
    where s.version <= excluded.version
    returning *
), told as (
    insert into procrastinate_jobs (queue_name, task_name, args)
    select %(queue)s, %(next)s::text, jsonb_build_object(
        'key', thread_id || ':' || version || ':' || %(next)s::text, 'thread_id', thread_id
    )
    from kept where %(next)s::text is not null
)
select version from kept

-- name: get
select thread_id, tenant, version, intent, outcome, turns, text
from frontdesk.summaries where thread_id = %(thread_id)s
