-- name: find
with seen as (
    select t.* from frontdesk.threads t
    where t.tenant = %(tenant)s and (%(only)s::text is null or t.owner = %(only)s)
      and t.metadata @> %(filter)s::jsonb
      and (%(thread_id)s::uuid is null or t.thread_id = %(thread_id)s)
      and (%(thread_id)s::uuid is not null or not t.temporary and t.metadata @> %(about)s::jsonb)
    order by t.updated_at desc
    limit %(threads)s
), latest as (
    select distinct on (r.thread_id, coalesce(r.metadata ->> 'a2a_task', r.run_id::text))
        r.*, coalesce(r.metadata ->> 'a2a_task', r.run_id::text) as task_id
    from frontdesk.runs r join seen using (thread_id)
    where r.cancel is distinct from 'rollback'
      and (%(assistant_id)s::uuid is null or r.assistant_id = %(assistant_id)s)
      and (
          %(task_id)s::text is null
          or coalesce(r.metadata ->> 'a2a_task', r.run_id::text) = %(task_id)s
      )
    order by r.thread_id, coalesce(r.metadata ->> 'a2a_task', r.run_id::text), r.seq desc
), told as (
    select l.*, case
        when l.status in ('pending', 'running') and l.cancel is not null then 'canceled'
        when l.status = 'pending' then 'submitted'
        when l.status = 'running' then 'working'
        when l.status = 'interrupted' then 'canceled'
        when l.status <> 'success' then 'failed'
        when coalesce(t.interrupts::text, '{}') in ('{}', 'null') then 'completed'
        when exists (
            select 1 from frontdesk.runs r where r.thread_id = l.thread_id and r.seq > l.seq
        ) then 'completed'
        else 'input-required'
    end as state
    from latest l join seen t using (thread_id)
)
select *, count(*) over () as total from told
where (%(state)s::text is null or state = %(state)s)
  and (%(since)s::timestamptz is null or updated_at >= %(since)s)
order by seq desc
limit %(limit)s offset %(offset)s;

-- name: said
select message ->> 'id' as message_id, coalesce(r.metadata ->> 'a2a_task', r.run_id::text) as task_id
from frontdesk.runs r
cross join json_array_elements(
    case json_typeof(r.kwargs #> '{input,messages}')
        when 'array' then r.kwargs #> '{input,messages}'
        else '[]'::json
    end
) message
where r.thread_id = %(thread_id)s and message ->> 'id' is not null
order by r.seq desc
limit %(messages)s;
