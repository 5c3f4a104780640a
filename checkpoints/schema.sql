-- name: recorded
select 1 from pg_tables
where format('%I.%I', schemaname, tablename) = $${schema}.migrations$$;

-- name: version
select max(number) from {schema}.migrations;

-- name: lock
select pg_advisory_xact_lock(hashtextextended(%s, 0));

-- name: found
select 1 from pg_namespace where quote_ident(nspname) = $${schema}$$;

-- name: create
create schema {schema};

-- name: prepare
create table if not exists {schema}.migrations (
    number int primary key, name text not null, applied_at timestamptz not null default now()
);

-- name: record
insert into {schema}.migrations (number, name) values (%s, %s);
