-- name: found
select to_regnamespace(%(schema)s) as schema,
    to_regclass(%(schema)s || '.memories') as items,
    to_regclass(%(schema)s || '.memory_vectors') as vectors,
    (select atttypmod from pg_attribute
        where attrelid = to_regclass(%(schema)s || '.memory_vectors')
        and attname = 'embedding') as dims;

-- name: lock
select pg_advisory_xact_lock(%(lock)s);

-- name: schema
create schema if not exists {schema};

-- name: items
-- Arrays of "C" strings: all namespaces that begin alike are one range of the key.
create table if not exists {schema}.memories (
    namespace text[] collate "C" not null,
    key text collate "C" not null,
    value jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    ttl interval,
    expires_at timestamptz,
    primary key (namespace, key)
);

-- name: expiry
create index if not exists memories_expiry on {schema}.memories (expires_at)
where expires_at is not null;

-- name: extension
create extension if not exists vector;

-- name: vectors
create table if not exists {schema}.memory_vectors (
    namespace text[] collate "C" not null,
    key text collate "C" not null,
    field text not null,
    embedding vector({dims}) not null,
    primary key (namespace, key, field),
    foreign key (namespace, key) references {schema}.memories on delete cascade
);

-- name: nearness
create index if not exists memory_vectors_nearest on {schema}.memory_vectors
using hnsw (embedding vector_cosine_ops);

-- name: get
-- An item is ageing when a read has to begin its time anew: not at every one of many reads.
-- "offset 0" keeps the planner, which takes every batch for a hundred rows, at the primary key.
select asked.n, found.*
from jsonb_to_recordset(%(asked)s::jsonb) as asked (n int, namespace text[], key text),
    lateral (
        select m.namespace, m.key, m.value::text as value, m.created_at, m.updated_at,
            coalesce(m.expires_at < now() + m.ttl * 0.98, false) as ageing
        from {schema}.memories m
        where m.namespace = asked.namespace and m.key = asked.key
            and (m.expires_at is null or m.expires_at > now())
        offset 0
    ) as found;

-- name: refresh
update {schema}.memories m set expires_at = now() + m.ttl
from jsonb_to_recordset(%(read)s::jsonb) as read (namespace text[], key text)
where m.namespace = read.namespace and m.key = read.key and m.expires_at > now();

-- name: put
insert into {schema}.memories as m (namespace, key, value, ttl, expires_at)
select namespace, key, value::jsonb,
    minutes * interval '1 minute', now() + minutes * interval '1 minute'
from {given}
order by namespace, key
on conflict (namespace, key) do update set
    created_at = case when m.expires_at <= now() then now() else m.created_at end,
    value = excluded.value, updated_at = now(), ttl = excluded.ttl,
    expires_at = excluded.expires_at

-- name: given
jsonb_to_recordset(%(given)s::jsonb)
    as given (n int, namespace text[], key text, value text, minutes float8)

-- name: delete
delete from {schema}.memories m
using jsonb_to_recordset(%(given)s::jsonb) as given (namespace text[], key text)
where m.namespace = given.namespace and m.key = given.key;

-- name: put_indexed
with given as materialized (
    select * from {given}
), vectors as materialized (
    select given.namespace, given.key, vector.field, vector.embedding
    from unnest(%(owners)s::int[], %(fields)s::text[], %(embeddings)s::text[])
        as vector (n, field, embedding)
    join given using (n)
), stored as (
    {put} returning 1
), outdated as (
    delete from {schema}.memory_vectors where ctid = any(array(
        select old.ctid from given, lateral (
            select v.ctid, v.namespace, v.key, v.field from {schema}.memory_vectors v
            where v.namespace = given.namespace and v.key = given.key offset 0
        ) as old
        where (old.namespace, old.key, old.field) not in (select namespace, key, field from vectors)
    ))
)
insert into {schema}.memory_vectors (namespace, key, field, embedding)
select namespace, key, field, embedding::vector from vectors
order by namespace, key, field
on conflict (namespace, key, field) do update set embedding = excluded.embedding;

-- name: search
select asked.n, found.*
from jsonb_to_recordset(%(asked)s::jsonb) as asked
    (n int, low text[], high text[], filter text, most int, skip int)
cross join lateral (
    select m.namespace, m.key, m.value::text as value, m.created_at, m.updated_at, null as score,
        coalesce(m.expires_at < now() + m.ttl * 0.98, false) as ageing
    from {schema}.memories m
    where m.namespace >= asked.low and m.namespace < asked.high
        and (m.expires_at is null or m.expires_at > now())
        and (asked.filter = '[]' or {matches})
    order by m.updated_at desc, m.namespace, m.key
    limit asked.most offset asked.skip
) as found
order by asked.n, found.updated_at desc, found.namespace, found.key;

-- name: nearest
-- Compares all of a namespace, unless it is wide.
select asked.n, asked.wide, found.*
from (
    select n, low, high, filter, most, skip, query, not exactly and {wide} = (
        select count(*) from (
            select from {schema}.memory_vectors v
            where v.namespace >= low and v.namespace < high limit {wide}
        ) as first
    ) as wide
    from jsonb_to_recordset(%(asked)s::jsonb) as asked (
        n int, low text[], high text[], filter text, most int, skip int, query vector, exactly bool
    )
) as asked
left join lateral (
    select m.namespace, m.key, m.value::text as value, m.created_at, m.updated_at,
        1 - best.distance as score,
        coalesce(m.expires_at < now() + m.ttl * 0.98, false) as ageing
    from (
        select m.namespace, m.key, min(v.embedding <=> asked.query) as distance
        from {schema}.memory_vectors v
        join {schema}.memories m on m.namespace = v.namespace and m.key = v.key
        where not asked.wide and v.namespace >= asked.low and v.namespace < asked.high
            and (m.expires_at is null or m.expires_at > now())
            and (asked.filter = '[]' or {matches})
        group by m.namespace, m.key
        order by distance, m.namespace, m.key
        limit asked.most offset asked.skip
    ) as best
    join {schema}.memories m on m.namespace = best.namespace and m.key = best.key
) as found on true
order by asked.n, found.score desc, found.namespace, found.key;

-- name: iterate
-- The index goes on until enough of what it finds lies in the namespace and matches.
select set_config('hnsw.iterative_scan', 'strict_order', true),
    set_config('enable_sort', 'off', true);  -- and is taken, analyzed or not

-- name: roughly
with near as (
    select v.namespace, v.key, v.embedding <=> %(query)s::vector as distance
    from {schema}.memory_vectors v
    join {schema}.memories m on m.namespace = v.namespace and m.key = v.key
    cross join (select %(filter)s::text as filter) as asked
    where v.namespace >= %(low)s::text[] and v.namespace < %(high)s::text[]
        and (m.expires_at is null or m.expires_at > now())
        and (asked.filter = '[]' or {matches})
    order by v.embedding <=> %(query)s::vector
    limit %(candidates)s
), best as (
    select namespace, key, min(distance) as distance from near group by namespace, key
    order by distance, namespace, key
    limit %(most)s offset %(skip)s
)
select m.namespace, m.key, m.value::text as value, m.created_at, m.updated_at,
    1 - best.distance as score,
    coalesce(m.expires_at < now() + m.ttl * 0.98, false) as ageing
from best join {schema}.memories m on m.namespace = best.namespace and m.key = best.key
order by best.distance, m.namespace, m.key;

-- name: matches
not exists (
    select from jsonb_to_recordset(asked.filter::jsonb) as f (path text[], test text, v jsonb)
    cross join lateral (
        select coalesce(m.value #> f.path, 'null') as got, coalesce(f.v, 'null') as bound
    ) as pair
    where not case f.test
        when '$eq' then got = bound
        when '$ne' then got <> bound
        else jsonb_typeof(got) = jsonb_typeof(bound) and case f.test
            when '$gt' then got > bound
            when '$gte' then got >= bound
            when '$lt' then got < bound
            when '$lte' then got <= bound
        end
    end
)

-- name: namespaces
select distinct m.namespace[1:coalesce(%(depth)s::int, cardinality(m.namespace))] as namespace
from {schema}.memories m
where (m.expires_at is null or m.expires_at > now()) and not exists (
    select from jsonb_to_recordset(%(conditions)s::jsonb) as c (suffix bool, path text[])
    where cardinality(m.namespace) < cardinality(c.path) or exists (
        select from unnest(c.path) with ordinality as p (label, i)
        where p.label <> '*' and p.label <> m.namespace[
            case when c.suffix then cardinality(m.namespace) - cardinality(c.path) else 0 end + p.i
        ]
    )
)
order by 1 limit %(limit)s offset %(offset)s;

-- name: sweep
with removed as (
    delete from {schema}.memories where (namespace, key) in (
        select namespace, key from {schema}.memories where expires_at <= now()
        order by expires_at limit 1000 for update skip locked
    ) returning 1
)
select count(*) as removed from removed;
