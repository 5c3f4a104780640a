-- name: active
select run_id, status, cancel from frontdesk.runs
where thread_id = %(thread_id)s and status in ('pending', 'running')
order by seq;

-- name: insert
insert into frontdesk.runs (
    run_id, thread_id, assistant_id, graph_id, since, multitask_strategy, metadata, kwargs,
    after, created_at
)
values (
    %(run_id)s, %(thread_id)s, %(assistant_id)s, %(graph_id)s, %(since)s, %(multitask_strategy)s,
    %(metadata)s::jsonb, %(kwargs)s::json,
    now() + %(delay)s * interval '1 second', now() + %(delay)s * interval '1 second'
)
returning *;

-- name: occupy_thread
update frontdesk.threads
set status = 'busy', updated_at = now(),
    metadata = metadata || %(metadata)s::jsonb, config = config || %(config)s::jsonb
where thread_id = %(thread_id)s;

-- name: get
select r.* from frontdesk.runs r join frontdesk.threads t using (thread_id)
where r.run_id = %(run_id)s and t.tenant = %(tenant)s
  and (%(thread_id)s::uuid is null or r.thread_id = %(thread_id)s)
  and r.cancel is distinct from 'rollback';

-- name: list
select r.* from frontdesk.runs r
where r.thread_id = %(thread_id)s and r.cancel is distinct from 'rollback'
  and (
      %(status)s::text is null
      or %(status)s = case
          when r.status = 'running' and r.cancel is not null then 'interrupted' else r.status
      end
  )
order by r.seq desc
limit %(limit)s offset %(offset)s;

-- name: request_cancel
update frontdesk.runs
set cancel = %(action)s, cancel_reason = %(reason)s, updated_at = now()
where run_id = %(run_id)s and status in ('pending', 'running') and cancel is null
returning run_id, status;

-- name: end_pending
update frontdesk.runs set status = 'interrupted', ended_at = now(), updated_at = now()
where run_id = %(run_id)s and status = 'pending';

-- name: delete
delete from frontdesk.runs where run_id = %(run_id)s returning run_id, status;

-- name: release_thread
update frontdesk.threads t set status = 'idle', updated_at = now()
where thread_id = %(thread_id)s and status = 'busy' and not exists (
    select 1 from frontdesk.runs r
    where r.thread_id = t.thread_id and r.status in ('pending', 'running')
);
