-- Why a background job failed last; Procrastinate keeps the job, not the reason.
create table frontdesk.job_failures (
    job_id bigint primary key,
    error text not null,
    at timestamptz not null default now()
);
