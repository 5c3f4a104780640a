-- Bodies and elements come compressed, perhaps encrypted: Postgres must not try again.

create table {schema}.threads (
    thread uuid primary key,  -- {schema}.key(thread_id)
    thread_id text not null,
    epoch bigint,             -- of its owner; null: never fenced
    salt bigint not null,     -- changes whenever something of the thread is removed
    touched timestamptz,      -- by a write, to the minute; null: nothing is stored
    swept bool not null default false  -- given away as idle, and not written to since
);
create index threads_touched on {schema}.threads (touched);

create table {schema}.checkpoints (
    thread uuid,
    ns text collate "C",
    id uuid,
    parent uuid,
    body bytea not null,
    primary key (thread, ns, id)
);
alter table {schema}.checkpoints alter body set storage external;

-- No foreign keys: writes may come before their checkpoint.
create table {schema}.writes (
    thread uuid,
    ns text collate "C",
    id uuid,
    nonce bigint,
    at bigint not null generated always as identity,
    body bytea not null,
    primary key (thread, ns, id, nonce)
);
alter table {schema}.writes alter body set storage external;

create table {schema}.elements (
    thread uuid,
    stream bigint,
    seq int,
    data bytea not null,
    primary key (thread, stream, seq)
);
alter table {schema}.elements alter data set storage external;

create table {schema}.runs (
    run_id text collate "C",
    thread uuid,
    primary key (run_id, thread)
);
create index runs_of_thread on {schema}.runs (thread);

-- Not md5, which a server in FIPS mode refuses.
create function {schema}.key(thread_id text) returns uuid language sql immutable strict
return encode(substr(sha256(convert_to(thread_id, 'UTF8')), 1, 16), 'hex')::uuid;

create function {schema}.lock_of(thread uuid) returns bigint language sql immutable strict
return uuid_hash_extended(thread, 0);

create function {schema}.new_salt() returns bigint language sql volatile
return uuid_hash_extended(gen_random_uuid(), 0);

-- Raise the thread's epoch. From the end of this transaction on, writes with a lower one are
-- refused; until then they wait. Returns the epoch, which is higher when another owner came first.
create function {schema}.fence(thread_id text, epoch bigint) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
    raised bigint;
begin
    perform pg_advisory_xact_lock({schema}.lock_of({schema}.key($1)));
    insert into {schema}.threads as t (thread, thread_id, epoch, salt)
    values ({schema}.key($1), $1, $2, {schema}.new_salt())
    on conflict (thread) do update set epoch = greatest(t.epoch, excluded.epoch)
    returning t.epoch into raised;
    return raised;
end $$;

-- Store puts: `keys` and `names` are the threads, sorted by key; `threads` .. `salts` say for each
-- put the position of its thread and what it is; `puts` .. `data` are elements, each with the
-- position of its put. Answers for each put either the thread's salt or why it is refused.
create function {schema}.write(
    keys uuid[], names text[],
    threads int[], nss text[], ids uuid[], parents uuid[], runs text[], nonces bigint[],
    bodies bytea[], epochs bigint[], salts bigint[],
    puts int[], streams bigint[], seqs int[], data bytea[],
    out stored bigint[], out refused text[]
) language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
declare
    thread_epochs bigint[];
    thread_salts bigint[];
    broken bool[] := '{}';
    stale bool;
    raised bool := false;
    t int;
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'checkpoints are written at isolation level read committed only'
            using hint = 'A snapshot from before the lock would not see a higher epoch.';
    end if;
    perform pg_advisory_xact_lock_shared({schema}.lock_of(key)) from unnest(keys) key;

    loop
        select array_agg(h.epoch order by n), array_agg(h.salt order by n),
            bool_or(h.touched is null or h.swept or h.touched < now() - interval '1 minute')
        into thread_epochs, thread_salts, stale
        from unnest(keys) with ordinality as _ (key, n),
            lateral (select * from {schema}.threads where thread = key offset 0) h;
        exit when coalesce(cardinality(thread_salts), 0) = cardinality(keys);
        insert into {schema}.threads (thread, thread_id, salt)
        select key, name, {schema}.new_salt() from unnest(keys, names) as _ (key, name)
        on conflict do nothing;
    end loop;

    stored := array_fill(null::bigint, array[cardinality(threads)]);
    refused := array_fill(null::text, array[cardinality(threads)]);
    for n in 1 .. cardinality(threads) loop
        t := threads[n];
        if epochs[n] < thread_epochs[t] then
            refused[n] := 'SUPERSEDED';
            broken[t] := true;
        elsif broken[t] or salts[n] <> thread_salts[t] then
            refused[n] := 'INCOMPLETE';
            broken[t] := true;
        else
            stored[n] := thread_salts[t];
            if epochs[n] is not null and epochs[n] is distinct from thread_epochs[t] then
                thread_epochs[t] := epochs[n];
                raised := true;
            end if;
        end if;
    end loop;

    if raised then
        update {schema}.threads h set epoch = greatest(h.epoch, k.epoch)
        from unnest(keys, thread_epochs) as k (key, epoch)
        where h.thread = k.key and k.epoch is distinct from h.epoch;
    end if;
    if stale then
        update {schema}.threads set touched = now(), swept = false where thread in (
            select thread from {schema}.threads
            where thread = any(keys)
                and (touched is null or swept or touched < now() - interval '1 minute')
            order by thread for no key update
        );
    end if;

    if cardinality(puts) > 0 then
        insert into {schema}.elements (thread, stream, seq, data)
        select keys[threads[put]], stream, seq, datum
        from unnest(puts, streams, seqs, data) as _ (put, stream, seq, datum)
        where stored[put] is not null
        on conflict do nothing;
    end if;
    insert into {schema}.checkpoints as c (thread, ns, id, parent, body)
    select distinct on (thread, ns, id) keys[thread], ns, id, parent, body
    from unnest(threads, nss, ids, parents, bodies, nonces, stored)
        with ordinality as _ (thread, ns, id, parent, body, nonce, stored, n)
    where nonce = 0 and stored is not null
    order by thread, ns, id, n desc  -- of one that comes twice the last
    on conflict (thread, ns, id) do update set parent = excluded.parent, body = excluded.body;
    insert into {schema}.writes (thread, ns, id, nonce, body)
    select keys[thread], ns, id, nonce, body
    from unnest(threads, nss, ids, bodies, nonces, stored)
        with ordinality as _ (thread, ns, id, body, nonce, stored, n)
    where nonce <> 0 and stored is not null
    order by n
    on conflict do nothing;
    if cardinality(array_remove(runs, null)) > 0 then
        insert into {schema}.runs (run_id, thread)
        select distinct run_id, keys[thread]
        from unnest(threads, runs, stored) as _ (thread, run_id, stored)
        where run_id is not null and stored is not null
        on conflict do nothing;
    end if;
end $$;

-- Locks first, in a statement of its own: the statements after it see what was waited for.
create function {schema}.remove(
    key uuid, nss text[], ids uuid[], streams bigint[], los int[], his int[]
) returns void language plpgsql set jit = off set enable_seqscan = off as $$
#variable_conflict use_column
begin
    perform pg_advisory_xact_lock({schema}.lock_of(key));
    delete from {schema}.checkpoints c using unnest(nss, ids) as gone (ns, id)
    where c.thread = key and c.ns = gone.ns and c.id = gone.id;
    delete from {schema}.writes w using unnest(nss, ids) as gone (ns, id)
    where w.thread = key and w.ns = gone.ns and w.id = gone.id;
    delete from {schema}.elements e using unnest(streams, los, his) as gone (stream, lo, hi)
    where e.thread = key and e.stream = gone.stream and e.seq >= gone.lo and e.seq < gone.hi;
    update {schema}.threads set salt = {schema}.new_salt(), touched = now() where thread = key;
end $$;

-- `if_swept`: only a thread that was given away as idle and not written to since.
create function {schema}.delete_thread(key uuid, if_swept bool)
returns void language plpgsql set jit = off set enable_seqscan = off as $$
begin
    perform pg_advisory_xact_lock({schema}.lock_of(key));
    if if_swept and not exists (select from {schema}.threads where thread = key and swept) then
        return;
    end if;
    delete from {schema}.checkpoints where thread = key;
    delete from {schema}.writes where thread = key;
    delete from {schema}.elements where thread = key;
    delete from {schema}.runs where thread = key;
    delete from {schema}.threads where thread = key and epoch is null;
    update {schema}.threads set salt = {schema}.new_salt(), touched = null, swept = false
    where thread = key;
end $$;
