-- name: register
insert into frontdesk.assistants (assistant_id, graph_id, name, metadata)
values (%(assistant_id)s, %(graph_id)s, %(graph_id)s, '{"created_by": "system"}')
on conflict (assistant_id) do nothing;

-- name: get
select * from frontdesk.assistants
where assistant_id = %(assistant_id)s
  and (tenant is null or tenant = %(tenant)s) and graph_id = any(%(graphs)s)

-- name: search
select * from frontdesk.assistants
where (tenant is null or tenant = %(tenant)s) and graph_id = any(%(graphs)s)
  and (%(graph_id)s::text is null or graph_id = %(graph_id)s)
  and (%(name)s::text is null or position(lower(%(name)s) in lower(name)) > 0)
  and metadata @> %(metadata)s::jsonb

-- name: count
select count(*) as count from frontdesk.assistants
where (tenant is null or tenant = %(tenant)s) and graph_id = any(%(graphs)s)
  and (%(graph_id)s::text is null or graph_id = %(graph_id)s)
  and (%(name)s::text is null or position(lower(%(name)s) in lower(name)) > 0)
  and metadata @> %(metadata)s::jsonb
