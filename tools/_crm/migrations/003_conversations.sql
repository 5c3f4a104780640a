-- What the desk tells the CRM about conversations; the thread is known by its id.
create table crm.conversations (
    tenant text not null,
    external_id text not null,
    version bigint not null,
    customer_id text,
    intent text,
    outcome text not null,
    summary text not null,
    updated_at timestamptz not null default now(),
    primary key (tenant, external_id)
);
