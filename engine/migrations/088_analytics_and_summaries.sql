-- One row a run: numbers and names, none of the customer's words.
create table frontdesk.analytics (
    run_id uuid primary key,
    thread_id uuid not null,
    tenant text,
    graph_id text not null,
    status text not null,
    started_at timestamptz,
    ended_at timestamptz not null,
    input_tokens bigint not null default 0,
    output_tokens bigint not null default 0,
    tokens jsonb not null default '{}',         -- by model: {"input": n, "output": n}
    ms jsonb not null default '{}'              -- by node
);
create index analytics_by_time on frontdesk.analytics (ended_at);

-- What a conversation is about, for people. It goes with its thread.
create table frontdesk.summaries (
    thread_id uuid primary key references frontdesk.threads on delete cascade,
    tenant text not null,
    version bigint not null,                    -- the thread's epoch that was read: never goes back
    intent text,
    outcome text not null,
    turns int not null,
    text text not null,
    updated_at timestamptz not null default now()
);
