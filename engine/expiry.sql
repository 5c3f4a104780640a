-- name: default
insert into frontdesk.thread_ttl (minutes, strategy) values (%(minutes)s, %(strategy)s)
on conflict (singleton) do update
set minutes = excluded.minutes, strategy = excluded.strategy
where (thread_ttl.minutes, thread_ttl.strategy)
    is distinct from (excluded.minutes, excluded.strategy);

-- name: expired
select thread_id, expires_at, ttl_strategy from frontdesk.threads t
where expires_at < now() and not exists (
    select from frontdesk.runs r
    where r.thread_id = t.thread_id and r.status in ('pending', 'running')
)
order by expires_at limit %(limit)s;

-- name: pruned
-- Unless somebody has changed it meanwhile: then it expires again.
update frontdesk.threads set expires_at = null
where thread_id = %(thread_id)s and expires_at = %(expires_at)s;
