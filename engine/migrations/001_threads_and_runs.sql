create table frontdesk.assistants (
    assistant_id uuid primary key,
    tenant text,                                -- null: one per graph, seen by every tenant
    graph_id text not null,
    name text not null,
    description text,
    config jsonb not null default '{}',
    context jsonb not null default '{}',
    metadata jsonb not null default '{}',
    version int not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table frontdesk.threads (
    thread_id uuid primary key,
    tenant text not null,
    owner text not null,                        -- identity of the key that created it
    status text not null default 'idle' check (status in ('idle', 'busy', 'interrupted', 'error')),
    metadata jsonb not null default '{}',
    config jsonb not null default '{}',
    values json,                                -- json, not jsonb: keeps the order of keys
    interrupts json,
    error json,
    temporary boolean not null default false,   -- belongs to a stateless run and goes with it
    epoch bigint not null default 0,            -- fencing token: raised by every claim
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    state_updated_at timestamptz not null default now()
);
create index threads_by_update on frontdesk.threads (tenant, updated_at desc);
create index threads_by_metadata on frontdesk.threads using gin (metadata jsonb_path_ops);

create table frontdesk.runs (
    run_id uuid primary key,
    seq bigint generated always as identity,    -- order of creation, given under the thread's lock
    thread_id uuid not null references frontdesk.threads on delete cascade,
    assistant_id uuid not null,
    graph_id text not null,
    status text not null default 'pending'
        check (status in ('pending', 'running', 'success', 'error', 'timeout', 'interrupted')),
    multitask_strategy text not null default 'enqueue',
    metadata jsonb not null default '{}',
    kwargs json not null,                       -- what was asked for: input, command, config, ...
    after timestamptz not null default now(),
    attempt int not null default 0,             -- shown to clients
    crashes int not null default 0,             -- expired leases only; decides quarantine
    since bigint not null,                      -- the thread's epoch when it was asked for
    epoch bigint,                               -- of the claim that may finish it
    worker text,
    lease_until timestamptz,
    cancel text check (cancel in ('interrupt', 'rollback')),
    cancel_reason text,
    error json,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    started_at timestamptz,
    ended_at timestamptz
);
create unique index one_running_per_thread on frontdesk.runs (thread_id) where status = 'running';
create index runs_of_thread on frontdesk.runs (thread_id, seq desc);
create index runs_pending on frontdesk.runs (seq) where status = 'pending';
create index runs_leased on frontdesk.runs (lease_until) where status = 'running';
