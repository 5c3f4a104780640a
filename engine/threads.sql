-- name: insert
insert into frontdesk.threads (
    thread_id, tenant, owner, metadata, ttl_minutes, ttl_strategy
) values (
    %(thread_id)s, %(tenant)s, %(owner)s, %(metadata)s::jsonb, %(ttl_minutes)s, %(ttl_strategy)s
)
on conflict (thread_id) do nothing
returning *;

-- name: copy
insert into frontdesk.threads (
    thread_id, tenant, owner, metadata, config, status, values, interrupts, error,
    ttl_minutes, ttl_strategy
) values (
    %(thread_id)s, %(tenant)s, %(owner)s, %(metadata)s::jsonb, %(config)s::jsonb, %(status)s,
    %(values)s::json, %(interrupts)s::json, %(error)s::json, %(ttl_minutes)s, %(ttl_strategy)s
)
returning *;

-- name: get
select * from frontdesk.threads where thread_id = %(thread_id)s and tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb;

-- name: lock
select * from frontdesk.threads where thread_id = %(thread_id)s and tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
for no key update;

-- name: patch
update frontdesk.threads
set metadata = metadata || %(metadata)s::jsonb, updated_at = now(),
    ttl_minutes = coalesce(%(ttl_minutes)s, ttl_minutes),
    ttl_strategy = coalesce(%(ttl_strategy)s, ttl_strategy)
where thread_id = %(thread_id)s and tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
returning *;

-- name: delete
delete from frontdesk.threads where thread_id = %(thread_id)s;

-- name: lock_expired
select thread_id from frontdesk.threads t
where thread_id = %(thread_id)s and expires_at = %(expires_at)s and not exists (
    select from frontdesk.runs r
    where r.thread_id = t.thread_id and r.status in ('pending', 'running')
)
for no key update;

-- name: ids
select thread_id from frontdesk.threads
where tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb and metadata @> %(metadata)s::jsonb;

-- name: active_runs
select run_id, status from frontdesk.runs
where thread_id = %(thread_id)s and status in ('pending', 'running')
order by seq;

-- name: hold
select thread_id from frontdesk.threads
where thread_id = %(thread_id)s and epoch = %(epoch)s
for no key update;

-- name: settle
update frontdesk.threads t
set status = case when exists (
        select 1 from frontdesk.runs r
        where r.thread_id = t.thread_id and r.status in ('pending', 'running')
    ) then 'busy' else %(status)s end,
    values = %(values)s::json, interrupts = %(interrupts)s::json,
    error = null, updated_at = now(), state_updated_at = now()
where thread_id = %(thread_id)s;

-- name: search
select * from frontdesk.threads
where tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
  and (%(ids)s::uuid[] is null or thread_id = any(%(ids)s))
  and (%(status)s::text is null or status = %(status)s)
  and metadata @> %(metadata)s::jsonb
  and (%(exact)s::jsonb is null or frontdesk.holds(metadata, %(exact)s::jsonb))
  and (%(values)s::jsonb is null or frontdesk.holds(values::jsonb, %(values)s::jsonb))

-- name: count
select count(*) as count from frontdesk.threads
where tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  and metadata @> %(filter)s::jsonb
  and (%(ids)s::uuid[] is null or thread_id = any(%(ids)s))
  and (%(status)s::text is null or status = %(status)s)
  and metadata @> %(metadata)s::jsonb
  and (%(exact)s::jsonb is null or frontdesk.holds(metadata, %(exact)s::jsonb))
  and (%(values)s::jsonb is null or frontdesk.holds(values::jsonb, %(values)s::jsonb))
