-- name: next_epoch
update frontdesk.threads set epoch = nextval('frontdesk.epochs')
where thread_id = %(thread_id)s
returning epoch;

-- name: fence
select {schema}.fence(%(thread_id)s::text, %(epoch)s);
