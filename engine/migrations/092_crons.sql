-- Runs that are asked for again and again, when their schedule says so.
create table frontdesk.crons (
    cron_id uuid primary key,
    tenant text not null,
    owner text not null,
    assistant_id uuid not null,
    thread_id uuid references frontdesk.threads on delete cascade,
    schedule text not null,
    timezone text,                              -- IANA; null is UTC
    end_time timestamptz,
    enabled boolean not null default true,
    on_run_completed text check (on_run_completed in ('delete', 'keep')),
    metadata jsonb not null default '{}',
    payload json not null,                      -- what was asked for, as it was sent
    request json not null,                      -- the same for the engine
    runs_as json not null,                      -- the caller that its runs have
    next_run_date timestamptz,                  -- null: never again
    taken_until timestamptz,                    -- until then a process is at the tick
    last_error json,                            -- why the latest tick made no run
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index crons_due on frontdesk.crons (next_run_date) where enabled;
create index crons_by_age on frontdesk.crons (tenant, created_at desc);
create index crons_of_thread on frontdesk.crons (thread_id) where thread_id is not null;
