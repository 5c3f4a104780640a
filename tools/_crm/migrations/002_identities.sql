-- The one customer of a conversation, for good, and the facts that matched so far.
create table crm.identities (
    tenant text not null,
    thread_id text not null,
    customer_id text not null,
    facts text[] not null default '{}',
    bound_at timestamptz not null default now(),
    primary key (tenant, thread_id)
);
