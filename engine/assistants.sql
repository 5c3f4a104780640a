-- name: register
-- One that has been changed keeps its own description.
with made as (
    insert into frontdesk.assistants as a (assistant_id, graph_id, name, description, metadata)
    values (
        %(assistant_id)s, %(graph_id)s, %(graph_id)s, %(description)s, '{"created_by": "system"}'
    )
    on conflict (assistant_id) do update set description = excluded.description
    where a.last_version = 1 and a.description is distinct from excluded.description
    returning *
)
insert into frontdesk.assistant_versions
select assistant_id, version, graph_id, name, description, config, context, metadata, created_at
from made
on conflict (assistant_id, version) do update set description = excluded.description;

-- name: insert
with made as (
    insert into frontdesk.assistants (
        assistant_id, tenant, owner, graph_id, name, description, config, context, metadata
    ) values (
        %(assistant_id)s, %(tenant)s, %(owner)s, %(graph_id)s, %(name)s, %(description)s,
        %(config)s::jsonb, %(context)s::jsonb, %(metadata)s::jsonb
    )
    on conflict (assistant_id) do nothing
    returning *
), noted as (
    insert into frontdesk.assistant_versions
    select assistant_id, version, graph_id, name, description, config, context, metadata,
        created_at
    from made
)
select * from made;

-- name: get
select * from frontdesk.assistants
where assistant_id = %(assistant_id)s and graph_id = any(%(graphs)s)
  and (tenant is null or (
      tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  ))
  and metadata @> %(filter)s::jsonb;

-- name: usable
-- Every caller may use those of the graphs.
select * from frontdesk.assistants
where assistant_id = %(assistant_id)s and graph_id = any(%(graphs)s)
  and (tenant is null or (
      tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
      and metadata @> %(filter)s::jsonb
  ));

-- name: patch
with changed as (
    update frontdesk.assistants a
    set graph_id = coalesce(%(graph_id)s, graph_id), name = coalesce(%(name)s, name),
        description = coalesce(%(description)s, description),
        config = coalesce(%(config)s::jsonb, config) || %(mirrored)s::jsonb,
        context = coalesce(%(context)s::jsonb, context),
        metadata = metadata || %(metadata)s::jsonb,
        version = last_version + 1, last_version = last_version + 1,
        updated_at = clock_timestamp()
    where assistant_id = %(assistant_id)s
      and ((tenant is null and %(system)s) or (
          tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
      ))
      and metadata @> %(filter)s::jsonb
    returning *
), noted as (
    insert into frontdesk.assistant_versions
    select assistant_id, version, graph_id, name, description, config, context, metadata,
        updated_at
    from changed
)
select * from changed;

-- name: restore
update frontdesk.assistants a
set graph_id = v.graph_id, name = v.name, description = v.description, config = v.config,
    context = v.context, metadata = v.metadata, version = v.version,
    updated_at = clock_timestamp()
from frontdesk.assistant_versions v
where a.assistant_id = %(assistant_id)s
  and v.assistant_id = a.assistant_id and v.version = %(version)s
  and ((a.tenant is null and %(system)s) or (
      a.tenant = %(tenant)s and (%(only)s::text is null or a.owner = %(only)s)
  ))
  and a.metadata @> %(filter)s::jsonb
returning a.*;

-- name: delete
delete from frontdesk.assistants
where assistant_id = %(assistant_id)s
  and ((tenant is null and %(system)s) or (
      tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  ))
  and metadata @> %(filter)s::jsonb
returning assistant_id;

-- name: versions
select * from frontdesk.assistant_versions
where assistant_id = %(assistant_id)s and metadata @> %(metadata)s::jsonb
  and (%(exact)s::jsonb is null or frontdesk.holds(metadata, %(exact)s::jsonb))
order by version desc limit %(limit)s offset %(offset)s;

-- name: search
select * from frontdesk.assistants
where (tenant is null or (
      tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  ))
  and metadata @> %(filter)s::jsonb and graph_id = any(%(graphs)s)
  and (%(graph_id)s::text is null or graph_id = %(graph_id)s)
  and (%(name)s::text is null or position(lower(%(name)s) in lower(name)) > 0)
  and metadata @> %(metadata)s::jsonb
  and (%(exact)s::jsonb is null or frontdesk.holds(metadata, %(exact)s::jsonb))

-- name: count
select count(*) as count from frontdesk.assistants
where (tenant is null or (
      tenant = %(tenant)s and (%(only)s::text is null or owner = %(only)s)
  ))
  and metadata @> %(filter)s::jsonb and graph_id = any(%(graphs)s)
  and (%(graph_id)s::text is null or graph_id = %(graph_id)s)
  and (%(name)s::text is null or position(lower(%(name)s) in lower(name)) > 0)
  and metadata @> %(metadata)s::jsonb
  and (%(exact)s::jsonb is null or frontdesk.holds(metadata, %(exact)s::jsonb))
