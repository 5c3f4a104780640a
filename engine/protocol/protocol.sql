-- name: visible
select 1 as visible from frontdesk.threads
where thread_id = %(thread_id)s and tenant = %(tenant)s
  and (%(only)s::text is null or owner = %(only)s) and metadata @> %(filter)s::jsonb;

-- name: runs
select r.run_id, r.graph_id, r.status, r.error, r.since, (
    select coalesce(max(other.epoch), 0) from frontdesk.runs other
    where other.thread_id = r.thread_id and other.epoch < r.epoch
) as before
from frontdesk.runs r where r.run_id = any(%(run_ids)s);

-- name: latest
select run_id, assistant_id, graph_id, status, cancel from frontdesk.runs
where thread_id = %(thread_id)s and cancel is distinct from 'rollback'
order by seq desc limit 1;

-- name: left
select r.run_id, r.graph_id, r.status, r.error, r.epoch, t.interrupts
from frontdesk.threads t join frontdesk.runs r using (thread_id)
where thread_id = %(thread_id)s and t.status <> 'busy' and r.epoch is not null
order by r.epoch desc limit 1;
