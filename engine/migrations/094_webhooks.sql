-- Which runs have a webhook, and how far it is: the job that delivers it tells the rest. Rows stay
-- for 30 days, also when their run or thread goes, so they have its owner and metadata themselves.
create table frontdesk.webhooks (
    run_id uuid primary key,
    thread_id uuid not null,
    tenant text not null,
    owner text not null,
    metadata jsonb not null default '{}',
    job_id bigint not null,
    url text not null,
    attempts int,                               -- that it took
    created_at timestamptz not null default now(),
    delivered_at timestamptz
);
create index webhooks_by_age on frontdesk.webhooks (created_at);
create index webhooks_of_tenant on frontdesk.webhooks (tenant, created_at desc);
