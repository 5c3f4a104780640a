-- name: enter
-- A worker that sleeps inside the transaction loses it, so that its successor waits only so long.
select set_config('idle_in_transaction_session_timeout', %(idle)s, true),
    (select epoch from frontdesk.threads where thread_id = %(thread)s::uuid) as epoch

-- name: hold_epoch
select epoch from frontdesk.threads where thread_id = %(thread)s::uuid for share

-- name: claim
-- Waits for a transaction that holds the same key, and returns no row once that one committed.
insert into frontdesk.effects (thread_id, call_id, tenant, run_id, tool, args, digest)
values (%(thread_id)s, %(call_id)s, %(tenant)s, %(run_id)s, %(tool)s, %(args)s, %(digest)s)
on conflict do nothing
returning *

-- name: begin
-- Not while the same call of whatever run has an open outcome.
insert into frontdesk.effects (
    thread_id, call_id, tenant, run_id, tool, args, digest, state, attempt, until
)
select %(thread_id)s, %(call_id)s, %(tenant)s, %(run_id)s, %(tool)s, %(args)s, %(digest)s,
    'begun', %(attempt)s, clock_timestamp() + %(seconds)s * interval '1 second'
where not exists (
    select 1 from frontdesk.effects
    where thread_id = %(thread_id)s and tool = %(tool)s and digest = %(digest)s
      and state <> 'done'
)
on conflict do nothing
returning *

-- name: complete
-- Under one key every attempt has the same outcome, so any may write it down.
with done as (
    update frontdesk.effects
    set text = %(text)s, data = %(data)s, state = 'done', until = null, at = now()
    where thread_id = %(thread_id)s and call_id = %(call_id)s
      and case when %(keyed)s then state <> 'done'  -- the first receipt stays
          else attempt is not distinct from %(attempt)s end
    returning *
), audited as (
    insert into frontdesk.audit (tenant, actor, thread_id, run_id, action, detail)
    select tenant, 'run', thread_id, run_id, 'effect.done',
        jsonb_build_object('call_id', call_id, 'tool', tool)
    from done
)
select * from done

-- name: take
-- Without a key that is honoured only one of those who saw the same row gets it.
update frontdesk.effects
set state = 'begun', attempt = %(attempt)s,
    until = clock_timestamp() + %(seconds)s * interval '1 second'
where thread_id = %(thread_id)s and call_id = %(call_id)s and (attempt = %(before)s or %(keyed)s)
  and state <> 'done'
returning *

-- name: release
delete from frontdesk.effects
where thread_id = %(thread_id)s and call_id = %(call_id)s and attempt = %(attempt)s
  and state = 'begun'

-- name: escalate
with unknown as (
    update frontdesk.effects set state = 'unknown', until = null
    where thread_id = %(thread_id)s and call_id = %(call_id)s and attempt = %(attempt)s
      and state = 'begun'
    returning *
)
insert into frontdesk.audit (tenant, actor, thread_id, run_id, action, detail)
select tenant, 'run', thread_id, run_id, 'effect.unknown',
    jsonb_build_object('call_id', call_id, 'tool', tool)
from unknown
returning id

-- name: alone
select pg_try_advisory_xact_lock(hashtextextended('frontdesk.effects:' || %(same)s, 0)) as alone

-- name: row
select *, extract(epoch from until - clock_timestamp())::float8 as remaining
from frontdesk.effects
where thread_id = %(thread_id)s and call_id = %(call_id)s

-- name: claimed_before
-- The row of this key, else that of the same call in this run, else one with an open outcome.
select *, extract(epoch from until - clock_timestamp())::float8 as remaining
from frontdesk.effects
where thread_id = %(thread_id)s
  and (call_id = %(call_id)s
       or (tool = %(tool)s and digest = %(digest)s
           and (run_id = %(run_id)s or state <> 'done')))
order by call_id = %(call_id)s desc, run_id = %(run_id)s desc
limit 1

-- name: same_call
select * from frontdesk.effects
where thread_id = %(thread_id)s and tool = %(tool)s
  and digest = %(digest)s and state = 'done'
order by at desc
limit 1

-- name: receipts
select * from frontdesk.effects
where thread_id = %(thread_id)s and state = 'done'
    and (%(tenant)s::text is null or tenant = %(tenant)s)  -- the id of a thread may come again
order by at, call_id
