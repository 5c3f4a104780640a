-- name: index_runs
create index if not exists checkpoints_of_run on checkpoints ((metadata ->> 'run_id'));

-- name: delete_runs
with gone as (
    delete from checkpoints where metadata ->> 'run_id' = any(%(runs)s)
    returning thread_id, checkpoint_ns, checkpoint_id
)
delete from checkpoint_writes w using gone
where w.thread_id = gone.thread_id
  and w.checkpoint_ns = gone.checkpoint_ns and w.checkpoint_id = gone.checkpoint_id;
