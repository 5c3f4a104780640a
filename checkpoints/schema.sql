-- name: recorded
select 1 from pg_tables
where schemaname = %(schema)s and tablename = 'migrations';

-- name: version
select max(number) from {schema}.migrations;

-- name: lock
select pg_advisory_xact_lock(hashtextextended('checkpoints ' || %(schema)s, 0));

-- name: found
select 1 from pg_namespace where nspname = %(schema)s;

-- name: create
create schema {schema};

-- name: prepare
create table if not exists {schema}.migrations (
    number int primary key, name text not null, applied_at timestamptz not null default now()
);

-- name: record
insert into {schema}.migrations (number, name) values (%s, %s);
