-- Assistants of tenants: each has an owner, and keeps what every version of it was.
alter table frontdesk.assistants
    add column owner text,                      -- null: one per graph
    add column last_version int not null default 1;
update frontdesk.assistants set last_version = version;

create table frontdesk.assistant_versions (
    assistant_id uuid references frontdesk.assistants on delete cascade,
    version int,
    graph_id text not null,
    name text not null,
    description text,
    config jsonb not null,
    context jsonb not null,
    metadata jsonb not null,
    created_at timestamptz not null,
    primary key (assistant_id, version)
);
insert into frontdesk.assistant_versions
select assistant_id, version, graph_id, name, description, config, context, metadata, updated_at
from frontdesk.assistants;
create index assistants_of_tenant on frontdesk.assistants (tenant, created_at desc);
