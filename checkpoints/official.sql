-- name: missing
select wanted.name from unnest(%(tables)s::text[]) as wanted (name)
where not exists (
    select from information_schema.tables t
    where t.table_schema = %(schema)s and t.table_name = wanted.name
);

-- name: has_paths
-- Tables that no recent version of the official saver has opened lack the column.
select exists (
    select from information_schema.columns where table_schema = %(schema)s
    and table_name = 'checkpoint_writes' and column_name = 'task_path'
) as found;

-- name: next_thread
select thread_id from {schema}.checkpoints
where %(after)s::text is null or thread_id > %(after)s
order by thread_id limit 1;

-- name: checkpoints
-- Versions also as text: that is how blobs name them.
select checkpoint_ns as ns, checkpoint_id as id, parent_checkpoint_id as parent, checkpoint,
    metadata, array(
        select array[key, value] from jsonb_each_text(checkpoint -> 'channel_versions')
    ) as versions
from {schema}.checkpoints
where thread_id = %(thread)s and (checkpoint_ns, checkpoint_id) > (%(ns)s, %(id)s)
order by checkpoint_ns, checkpoint_id limit 32;

-- name: blobs
select blob.channel, blob.version, blob.type, blob.blob
from {schema}.checkpoint_blobs blob
join unnest(%(channels)s::text[], %(versions)s::text[]) as wanted (channel, version)
    on blob.channel = wanted.channel and blob.version = wanted.version
where blob.thread_id = %(thread)s and blob.checkpoint_ns = %(ns)s;

-- name: writes
select task_id as task, {task_path} as path, idx, channel, type, blob
from {schema}.checkpoint_writes
where thread_id = %(thread)s and checkpoint_ns = %(ns)s and checkpoint_id = %(id)s;
