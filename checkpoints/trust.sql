-- name: generation
select generation, distrusted_until > clock_timestamp() from {schema}.tier;

-- name: outdate
update {schema}.tier set generation = generation + 1;

-- name: distrust
update {schema}.tier set
    generation = generation + (distrusted_until <= clock_timestamp())::int,
    distrusted_since = case when distrusted_until > clock_timestamp()
        then distrusted_since else clock_timestamp() end,
    distrusted_until = clock_timestamp() + %(seconds)s * interval '1 second'
returning extract(epoch from clock_timestamp() - distrusted_since)::float8;
