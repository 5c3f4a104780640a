-- name: claim
-- Waits for a transaction that holds the same key, and returns no row once that one committed.
insert into frontdesk.effects (thread_id, call_id, tenant, run_id, tool, args, digest)
values (%(thread_id)s, %(call_id)s, %(tenant)s, %(run_id)s, %(tool)s, %(args)s, %(digest)s)
on conflict do nothing
returning call_id

-- name: complete
update frontdesk.effects set text = %(text)s, data = %(data)s
where thread_id = %(thread_id)s and call_id = %(call_id)s
returning thread_id, call_id, tool, args, digest, text, data, at

-- name: claimed_before
-- The row of this key, else the row of the same call in this run.
select thread_id, call_id, tool, args, digest, text, data, at from frontdesk.effects
where thread_id = %(thread_id)s
  and (call_id = %(call_id)s
       or (run_id = %(run_id)s and tool = %(tool)s and digest = %(digest)s))
order by call_id = %(call_id)s desc
limit 1

-- name: same_call
select thread_id, call_id, tool, args, digest, text, data, at from frontdesk.effects
where thread_id = %(thread_id)s and tool = %(tool)s
  and digest = %(digest)s
order by at desc
limit 1

-- name: receipts
select thread_id, call_id, tool, args, digest, text, data, at from frontdesk.effects
where thread_id = %(thread_id)s
order by at, call_id
