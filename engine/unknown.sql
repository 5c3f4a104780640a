-- name: open
select thread_id, call_id, tenant, run_id, tool, args, at from frontdesk.effects
where state = 'unknown'
order by at, call_id

-- name: overdue
with unknown as (
    update frontdesk.effects effect set state = 'unknown', until = null
    where state = 'begun' and until < now() - %(seconds)s * interval '1 second'
      and not exists (
          select 1 from frontdesk.runs run
          where run.run_id = case when effect.run_id ~ '^[0-9a-f-]{36}$'
                                  then effect.run_id::uuid end
            and run.status in ('pending', 'running')
      )
    returning *
)
insert into frontdesk.audit (tenant, actor, thread_id, run_id, action, detail)
select tenant, 'sweep', thread_id, run_id, 'effect.unknown',
    jsonb_build_object('call_id', call_id, 'tool', tool)
from unknown
returning detail->>'tool' as tool

-- name: happened
update frontdesk.effects
set state = 'done', text = %(text)s, data = '{}', until = null, at = now()
where thread_id = %(thread_id)s and call_id = %(call_id)s and state = 'unknown'
returning *

-- name: did_not
delete from frontdesk.effects
where thread_id = %(thread_id)s and call_id = %(call_id)s and state = 'unknown'
returning *
