-- Which copies in Redis may be believed: those of this generation, unless a process that cannot
-- reach Redis says that none may (`checkpoints.trust`).
create table {schema}.tier (
    singleton bool primary key default true check (singleton),
    generation bigint not null default 1,
    distrusted_since timestamptz not null default '-infinity',
    distrusted_until timestamptz not null default '-infinity'
);
insert into {schema}.tier default values;
