-- name: insert
insert into frontdesk.threads (thread_id, tenant, owner, metadata, temporary)
values (%(thread_id)s, %(tenant)s, %(owner)s, %(metadata)s::jsonb, %(temporary)s)
on conflict (thread_id) do nothing
returning *;

-- name: get
select * from frontdesk.threads where thread_id = %(thread_id)s and tenant = %(tenant)s;

-- name: lock
select * from frontdesk.threads where thread_id = %(thread_id)s and tenant = %(tenant)s
for no key update;

-- name: patch
update frontdesk.threads
set metadata = metadata || %(metadata)s::jsonb, updated_at = now()
where thread_id = %(thread_id)s and tenant = %(tenant)s
returning *;

-- name: delete
delete from frontdesk.threads where thread_id = %(thread_id)s;

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
where tenant = %(tenant)s
  and (%(ids)s::uuid[] is null or thread_id = any(%(ids)s))
  and (%(status)s::text is null or status = %(status)s)
  and metadata @> %(metadata)s::jsonb
  and (%(values)s::jsonb is null or coalesce(values::jsonb, '{}') @> %(values)s::jsonb)

-- name: count
select count(*) as count from frontdesk.threads
where tenant = %(tenant)s
  and (%(ids)s::uuid[] is null or thread_id = any(%(ids)s))
  and (%(status)s::text is null or status = %(status)s)
  and metadata @> %(metadata)s::jsonb
  and (%(values)s::jsonb is null or coalesce(values::jsonb, '{}') @> %(values)s::jsonb)
