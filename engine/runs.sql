-- name: ask
select * from frontdesk.ask(
    %(run_id)s, %(thread_id)s, %(tenant)s, %(owner)s, %(make_thread)s, %(temporary)s,
    %(assistant_id)s, %(version)s, %(graph_id)s,
    %(multitask_strategy)s, %(base_metadata)s::jsonb, %(own_metadata)s::jsonb,
    %(merged)s::jsonb, %(kwargs)s::json, %(delay)s,
    %(key)s, %(digest)s, %(worker)s, %(lease)s, %(most)s, %(fence)s
);

-- name: stop
select * from frontdesk.stop(%(thread_id)s, %(run_id)s, %(action)s, %(reason)s);

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
          when r.status in ('pending', 'running') and r.cancel is not null then 'interrupted'
          else r.status
      end
  )
order by r.seq desc
limit %(limit)s offset %(offset)s;

-- name: delete
delete from frontdesk.runs where run_id = %(run_id)s returning run_id, status;
