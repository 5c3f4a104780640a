create schema if not exists frontdesk;

-- What tools did to the world. A row is inserted before the work and completed after it, inside
-- the transaction that does the work, so that a committed row always has its receipt.
create table frontdesk.effects (
    thread_id text not null,
    call_id text not null,
    tenant text not null,
    run_id text not null,
    tool text not null,
    args jsonb not null,
    digest text not null,
    text text,
    data jsonb,
    at timestamptz not null default now(),
    primary key (thread_id, call_id)
);
-- The same call twice in one run is one effect, whatever the model calls it.
create unique index effects_in_run on frontdesk.effects (thread_id, run_id, tool, digest);
create index effects_on_thread on frontdesk.effects (thread_id, tool, digest);
