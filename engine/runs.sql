-- name: ask
-- An assistant that was deleted and made again is another one, whatever its version.
select * from frontdesk.ask(
    %(run_id)s, %(thread_id)s, %(tenant)s, %(owner)s, %(only)s::text is not null,
    %(filter)s::jsonb, %(make_thread)s, %(thread_metadata)s::jsonb, %(temporary)s,
    %(assistant_id)s, (
        select version from frontdesk.assistants
        where assistant_id = %(assistant_id)s and version = %(version)s
            and created_at = %(assistant_made)s
    ), %(graph_id)s,
    %(multitask_strategy)s, %(base_metadata)s::jsonb, %(own_metadata)s::jsonb,
    %(merged)s::jsonb, %(kwargs)s::json, %(delay)s,
    %(key)s, %(digest)s, %(worker)s, %(lease)s, %(most)s, %(fence)s
);

-- name: stop
select * from frontdesk.stop(%(thread_id)s, %(run_id)s, %(action)s, %(reason)s);

-- name: find
select r.run_id, r.thread_id from frontdesk.runs r join frontdesk.threads t using (thread_id)
where t.tenant = %(tenant)s
  and (%(only)s::text is null or t.owner = %(only)s) and t.metadata @> %(filter)s::jsonb
  and (%(thread_id)s::uuid is null or r.thread_id = %(thread_id)s)
  and (%(ids)s::uuid[] is null or r.run_id = any(%(ids)s))
  and (%(statuses)s::text[] is null or r.status = any(%(statuses)s))
  and r.cancel is distinct from 'rollback'
order by r.seq desc;

-- name: let_go
-- A thread that belongs to a stateless run goes with it.
delete from frontdesk.threads t
where t.thread_id = %(thread_id)s and t.temporary and not exists (
    select 1 from frontdesk.runs r
    where r.thread_id = t.thread_id and r.status in ('pending', 'running')
)
returning thread_id;

-- name: get
select r.* from frontdesk.runs r join frontdesk.threads t using (thread_id)
where r.run_id = %(run_id)s and t.tenant = %(tenant)s
  and (%(only)s::text is null or t.owner = %(only)s) and t.metadata @> %(filter)s::jsonb
  and (%(thread_id)s::uuid is null or r.thread_id = %(thread_id)s)
  and r.cancel is distinct from 'rollback';

-- name: list
select r.* from frontdesk.runs r
where r.thread_id = %(thread_id)s and r.cancel is distinct from 'rollback'
  and (
      %(status)s::text is null
      or %(status)s = case
          when r.status in ('pending', 'running') and r.cancel is not null then 'interrupted'
          else r.status
      end
  )
order by r.created_at desc, r.seq desc
limit %(limit)s offset %(offset)s;

-- name: delete
delete from frontdesk.runs where run_id = %(run_id)s returning run_id, status;
