-- Writes can be removed from a checkpoint that stays. Their bodies name them: one that is equal says
-- the same of the same task and run, and goes too.
drop function {schema}.remove(uuid, text[], uuid[], bigint[], int[], int[]);

-- Locks first, in a statement of its own: the statements after it see what was waited for.
create function {schema}.remove(
    key uuid, nss text[], ids uuid[], write_nss text[], write_ids uuid[], bodies bytea[],
    streams bigint[], los int[], his int[]
) returns void language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock({schema}.lock_of(key));
    delete from {schema}.checkpoints c using unnest(nss, ids) as gone (ns, id)
    where c.thread = key and c.ns = gone.ns and c.id = gone.id;
    delete from {schema}.writes w using unnest(nss, ids) as gone (ns, id)
    where w.thread = key and w.ns = gone.ns and w.id = gone.id;
    delete from {schema}.writes w using unnest(write_nss, write_ids, bodies) as gone (ns, id, body)
    where w.thread = key and w.ns = gone.ns and w.id = gone.id and w.body = gone.body;
    delete from {schema}.elements e using unnest(streams, los, his) as gone (stream, lo, hi)
    where e.thread = key and e.stream = gone.stream and e.seq >= gone.lo and e.seq < gone.hi;
    update {schema}.threads set salt = {schema}.new_salt(), touched = now() where thread = key;
end $$;
