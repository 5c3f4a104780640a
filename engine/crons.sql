-- name: insert
insert into frontdesk.crons (
    cron_id, tenant, owner, assistant_id, thread_id, schedule, timezone, end_time, enabled,
    on_run_completed, metadata, payload, request, runs_as, next_run_date
) values (
    %(cron_id)s, %(tenant)s, %(owner)s, %(assistant_id)s, %(thread_id)s, %(schedule)s,
    %(timezone)s, %(end_time)s, %(enabled)s, %(on_run_completed)s, %(metadata)s::jsonb,
    %(payload)s::json, %(request)s::json, %(runs_as)s::json, %(next_run_date)s
)
returning *;

-- name: get
select * from frontdesk.crons
where cron_id = %(cron_id)s and tenant = %(tenant)s
  and (%(only)s::text is null or owner = %(only)s) and metadata @> %(filter)s::jsonb;

-- name: update
-- A tick that a process is at becomes another one with another date, so it is not waited for.
update frontdesk.crons set
    assistant_id = %(assistant_id)s, schedule = %(schedule)s, timezone = %(timezone)s,
    end_time = %(end_time)s, enabled = %(enabled)s, on_run_completed = %(on_run_completed)s,
    metadata = %(metadata)s::jsonb, payload = %(payload)s::json, request = %(request)s::json,
    taken_until = case
        when next_run_date is not distinct from %(next_run_date)s then taken_until
    end,
    next_run_date = %(next_run_date)s, last_error = null, updated_at = clock_timestamp()
where cron_id = %(cron_id)s and updated_at = %(seen)s
returning *;

-- name: delete
delete from frontdesk.crons
where cron_id = %(cron_id)s and tenant = %(tenant)s
  and (%(only)s::text is null or owner = %(only)s) and metadata @> %(filter)s::jsonb
returning cron_id;

-- name: search
select * from frontdesk.crons
where tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
  and (%(assistant_id)s::uuid is null or assistant_id = %(assistant_id)s)
  and (%(thread_id)s::uuid is null or thread_id = %(thread_id)s)
  and (%(enabled)s::boolean is null or enabled = %(enabled)s)
  and metadata @> %(metadata)s::jsonb

-- name: count
select count(*) as count from frontdesk.crons
where tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
  and (%(assistant_id)s::uuid is null or assistant_id = %(assistant_id)s)
  and (%(thread_id)s::uuid is null or thread_id = %(thread_id)s)
  and (%(enabled)s::boolean is null or enabled = %(enabled)s)
  and metadata @> %(metadata)s::jsonb

-- name: take
-- Due ticks that no process is at, or whose process has not come to an end with them.
with due as (
    select cron_id, taken_until is not null as again from frontdesk.crons
    where enabled and next_run_date <= now() and (taken_until is null or taken_until < now())
    order by next_run_date limit %(limit)s
    for update skip locked
)
update frontdesk.crons c set taken_until = now() + %(seconds)s * interval '1 second'
from due where c.cron_id = due.cron_id
returning c.*, now() as now, due.again;

-- name: key_opens
select from frontdesk.keys
where key_id::text = %(key_id)s and revoked_at is null and coalesce(expires_at > now(), true);

-- name: was_asked
select run_id from frontdesk.idempotency where owner = %(owner)s and key = %(key)s;

-- name: advance
update frontdesk.crons
set next_run_date = %(next_run_date)s, taken_until = null, last_error = %(last_error)s::json
where cron_id = %(cron_id)s and next_run_date = %(due)s;
